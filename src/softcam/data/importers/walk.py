"""The files of a download, wherever its folders were unpacked to."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from softcam.data.importers.plan import LeftOut
from softcam.errors import InputError


@dataclass
class Files:
    """The files below a folder.

    Attributes:
        root: The folder.
        names: Every file relative to it, with forward slashes, sorted.
        left_out: Links that lead outside the folder, which are not followed.
    """

    root: Path
    names: list[str]
    left_out: list[LeftOut] = field(default_factory=list)

    def one(self, name: str) -> Path:
        """Find the one file with this base name, in whatever folder.

        Raises:
            InputError: There is none, or several.
        """
        found = [n for n in self.names if n.rpartition("/")[2].lower() == name.lower()]
        if not found:
            raise InputError(f"{self.root} holds no {name}; give the folder of the download.")
        if len(found) > 1:
            raise InputError(
                f"{self.root} holds {len(found)} files called {name} ({found[0]}, {found[1]}); "
                "give the folder of one download."
            )
        return self.root / found[0]

    def by_stem(self, suffixes: Iterable[str], inside: str = "") -> dict[str, list[str]]:
        """Group files by their base name without its suffix.

        Args:
            suffixes: The suffixes to take, in lower case, with their dots.
            inside: Take only what lies in a folder of this name, however deep; any if empty.
        """
        taken = tuple(suffixes)
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            path = PurePosixPath(name)
            if path.suffix.lower() in taken and (not inside or inside in path.parts[:-1]):
                found[path.stem].append(name)
        return found


def walk(root: Path) -> Files:
    """List the files of a download; hidden ones and __MACOSX are no part of it.

    Args:
        root: The folder.

    Raises:
        InputError: It is no folder, or cannot be read.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give the folder that the download is unpacked in.")
    real = os.path.realpath(root)
    names: list[str] = []
    left_out: list[LeftOut] = []

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); check its rights.")

    for folder, folders, files in os.walk(root, onerror=fail):
        left_out.extend(
            LeftOut(link.relative_to(root).as_posix(), "it is a link to a folder: not followed")
            for link in map(Path(folder).joinpath, folders)
            if link.is_symlink()
        )
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        for file in files:
            path = Path(folder) / file
            if file.startswith("."):
                continue
            name = path.relative_to(root).as_posix()
            if path.is_symlink() and not os.path.realpath(path).startswith(real + os.sep):
                left_out.append(LeftOut(name, "it is a link that leads outside the download"))
            else:
                names.append(name)
    return Files(root, sorted(names), sorted(left_out, key=lambda left: left.what))
