"""Writing an explanation into a folder: JSON, raw maps and overlays, each file whole or absent."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from softcam.data.geometry import Geometry
from softcam.errors import InputError
from softcam.explanation.document import FORMAT, image_digest, to_dict
from softcam.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from softcam.explanation.explanation import Explanation

_LONGEST = 80
"""Bytes of a name; a stem, a class and a suffix fit into the 255 that file systems allow."""


def save(
    explanation: Explanation,
    folder: Path | str,
    *,
    stem: str | None = None,
    contrast: bool = False,
    dpi: int = 150,
) -> list[Path]:
    """Write an explanation.

    Args:
        explanation: What to write.
        folder: Where to; made if it does not exist.
        stem: What the files' names begin with. By default the image's name without its suffix,
            with "-2", "-3" and so on behind it if files of that name explain another image; the
            same image explained again replaces its files.
        contrast: Overlays show each class against the others instead of its own evidence. The
            raw maps and the JSON hold what both are made from.
        dpi: Resolution of the overlays.

    Returns:
        The files: `<stem>.json` (last to be written, so that it vouches for the others),
        `<stem>.npz`, `<stem>_summary.png` with every class, and `<stem>_<class>.png` for each
        class that has a map of its own.

        The npz holds evidence (K, h, w) and logits (K,) in float32, probabilities (C,), classes
        (C,), name, task, file_size and input_size (height, width), and input_to_file, a (2, 3)
        matrix from (x, y, 1) in input pixels to (x, y) in file pixels.

    Raises:
        InputError: If the folder cannot be made or written.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The explanation of {explanation.name} cannot be written to {target} "
            f"({error.strerror}); choose another folder."
        ) from error
    name = safe_name(stem) if stem is not None else _free_stem(explanation, target)
    content: dict[Path, bytes | str] = {target / f"{name}.npz": arrays(explanation)}
    content[target / f"{name}_summary.png"] = _png(explanation.plot(contrast=contrast), dpi)
    for class_, file_name in class_file_names(explanation.mapped_classes).items():
        figure = explanation.plot(class_, contrast=contrast)
        content[target / f"{name}_{file_name}.png"] = _png(figure, dpi)
    text = json.dumps(to_dict(explanation), indent=1, allow_nan=False, ensure_ascii=False)
    vouching = target / f"{name}.json"
    _write_all({**content, vouching: text + "\n"})
    return [vouching, *content]


def _write_all(content: Mapping[Path, bytes | str]) -> None:
    """Write files in order; where one cannot be written, those that were not there go again."""
    new = []
    try:
        for path, data in content.items():
            if not path.exists():
                new.append(path)
            write_atomically(path, data)
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise


def safe_name(text: str) -> str:
    """Give a file name for any text: letters, digits, dot, minus and underscore are kept."""
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")
    return name.encode()[:_LONGEST].decode(errors="ignore") or "unnamed"


def class_file_names(classes: Iterable[str]) -> dict[str, str]:
    """Give each class a file name of its own, different also where case does not count."""
    names: dict[str, str] = {}
    taken = {"summary"}
    for class_ in classes:
        name = base = safe_name(class_)
        number = 2
        while name.casefold() in taken:
            name = f"{base}-{number}"
            number += 1
        taken.add(name.casefold())
        names[class_] = name
    return names


def _free_stem(explanation: Explanation, folder: Path) -> str:
    """Give a stem that no other image's explanation has in the folder."""
    base = safe_name(Path(explanation.name.replace("\\", "/")).stem)
    digest = image_digest(explanation)
    stem, number = base, 2
    while True:
        path = folder / f"{stem}.json"
        if not path.exists() or _digest_in(path) == digest:
            return stem
        stem = f"{base}-{number}"
        number += 1


def _digest_in(path: Path) -> str | None:
    """Read which image a JSON explains; None for a file that is not an explanation."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return None
    image = content.get("image")
    return str(image.get("sha256")) if isinstance(image, dict) else None


def arrays(explanation: Explanation) -> bytes:
    """Give the raw maps and what places them as the bytes of an npz file; see `save`."""
    geometry = explanation.geometry
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        evidence=explanation.evidence.astype(np.float32),
        logits=explanation.logits.astype(np.float32),
        probabilities=explanation.probabilities,
        classes=np.array(explanation.classes, dtype=np.str_),
        name=np.array(explanation.name, dtype=np.str_),
        task=np.array(str(explanation.task), dtype=np.str_),
        file_size=np.array(geometry.file_size, dtype=np.int64),
        input_size=np.array(geometry.input_size, dtype=np.int64),
        input_to_file=input_to_file(geometry),
    )
    return buffer.getvalue()


def input_to_file(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Give the (2, 3) matrix from (x, y, 1) in input pixels to (x, y) in file pixels."""
    height, width = geometry.input_size
    origin, right, down = geometry.to_file(np.array([[0.0, 0.0], [width, 0.0], [0.0, height]]))
    return np.stack([(right - origin) / width, (down - origin) / height, origin], axis=1)


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = io.BytesIO()
    # No software or date in the file: the same explanation gives the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
