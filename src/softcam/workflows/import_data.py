"""From a download to a data set that trains: `softcam import`."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softcam.data.fingerprint import Fingerprint
from softcam.data.frames import split_frame
from softcam.data.importers import csvtable
from softcam.data.importers.catalogue import find_importer
from softcam.data.importers.engine import convert_all
from softcam.data.importers.plan import Item, LeftOut, Plan
from softcam.data.importers.sources import Source
from softcam.data.importers.splits import make_splits, take_splits
from softcam.data.importers.write import add_quality, write_data_set
from softcam.data.problems import Problems
from softcam.data.readers import file_format, open_file
from softcam.data.records import Record, Table
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.files import write_atomically
from softcam.workflows.check import Checked, check_read
from softcam.workflows.progress import image_progress

SETTINGS = "import.json"
"""Says what a folder's import was asked for; only the same import goes on in it."""

_FORMAT = 2  # of the images: raised when the same settings would give other ones


@dataclass(frozen=True)
class Imported:
    """An imported data set.

    Attributes:
        folder: Where it lies.
        card: The data card's values.
        left_out: What was left out, and why.
        notes: What else is to know when the table is read.
    """

    folder: Path
    card: dict[str, Any]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def table(self) -> Path:
        """The table, ready for training."""
        return self.folder / "table.csv"

    @property
    def problems(self) -> int:
        """How many of the things left out are wrong with the download."""
        return sum(left.problem for left in self.left_out)


def import_data(
    name: str,
    source: Path | str,
    out: Path | str,
    *,
    task: str | None = None,
    splits: Sequence[Path] = (),
    resplit: bool = False,
    size: int | None = None,
    seed: int = 0,
    jobs: int = 2,
    strict: bool = False,
    masks: Path | None = None,
    check: bool = True,
    show_progress: bool = False,
) -> Imported:
    """Import a data set.

    The same download and settings give the same files, byte for byte (with the same Pillow). An
    interrupted import goes on where it stopped when it is called again.

    Args:
        name: kaggle-dr, oct2017, rsna-pneumonia, folder or csv.
        source: The folder that the download is unpacked in; for csv the table or its folder.
        out: The data set's folder: new, empty, or of the same import.
        task: What the labels are taken for; the data set's first task if None.
        splits: Published split tables, or folders of them.
        resplit: Make splits by patient though the download has some.
        size: In pixels; the data set's own if None, and 0 leaves images as large as they are.
        seed: Decides splits that are made.
        jobs: Processes that convert images.
        strict: Refuse a download in which something is wrong, instead of leaving it out.
        masks: For csv, a folder with `<finding>/<image>.png` that does not lie beside the table.
        check: Look for leaks, label conflicts, hints and flat images, as `softcam check` does, and
            put what is found into the data card; with `strict`, leaks and conflicts are refused.
        show_progress: Whether to show a progress bar.

    Returns:
        What was imported, and what was not.

    Raises:
        InputError: Download, folder or arguments cannot be used; or with `strict` anything is
            wrong.
        MissingExtraError: pydicom is missing, for rsna-pneumonia.
        WorkError: A process died.
        KeyboardInterrupt: After an interruption; the same call goes on.
    """
    source, out = Path(source), Path(out)
    importer, task = find_importer(name, task)
    shape = importer.shape if size is None else replace(importer.shape, size=size or None)
    if resplit and splits:
        raise InputError("import: give either --splits or --resplit, not both.")
    settings = {
        "task": task,
        "size": shape.size,
        "seed": seed,
        "splits": [_digest(path) for path in splits],
        "resplit": resplit,
        "format": _FORMAT,
    }
    if masks is not None:
        _check_masks(masks, name)
        settings["masks"] = masks.resolve().name  # not where it lies: cards are alike everywhere
    _check_apart(source, out)
    if masks is None:
        plan = importer.plan(source, task)
    else:
        plan = csvtable.plan(source, task, masks=masks)
    given = take_splits(plan, splits, resplit=resplit)
    _check_plan(plan, source, strict=strict)
    _open_folder(out, {"import": name, **settings})
    root = source if source.is_dir() else source.parent
    with image_progress(f"importing {name}", shown=show_progress) as told:
        results = convert_all(plan.items, root, out, shape, jobs=jobs, progress=told)
    plan.left_out += [result for result in results if isinstance(result, LeftOut)]
    _check_plan(plan, source, strict=strict)
    pairs = zip(plan.items, results, strict=True)
    taken = [(item, result) for item, result in pairs if not isinstance(result, LeftOut)]
    if not taken:
        raise _nothing(source, plan)
    if not given:
        # Not before: an image that cannot be read must not be the only one of its class in a split.
        made = make_splits([item for item, _ in taken], seed=seed)
        taken = [(item, result) for item, (_, result) in zip(made, taken, strict=True)]
        plan.notes.append(f"the splits were made by patient, with seed {seed}")
    card = write_data_set(out, importer, plan, settings, taken)
    table = read_table(out, seed=seed)  # a data set that cannot be trained on is no success
    if check:
        found = _check_images(table, taken, root, show_progress=show_progress)
        card = add_quality(out, card, found.findings)
        if strict:
            found.refuse()
    return Imported(out, card, tuple(plan.left_out), table.notes)


def _check_images(
    table: Table, taken: Sequence[tuple[Item, Source]], root: Path, *, show_progress: bool
) -> Checked:
    """Check the imported images, with the bytes, size and format that their originals had."""
    sources = {source.image: source for _, source in taken}

    def as_original(record: Record, one: Fingerprint) -> Fingerprint:
        source = sources[record.name]
        size = (source.source_height, source.source_width)
        with open_file(split_frame(root / source.source)[0]) as stream:
            kind = file_format(stream)
        return replace(one, digest=source.source_sha256, size=size, format=kind)

    return check_read(table, as_original=as_original, show_progress=show_progress)


def _digest(path: Path) -> str:
    """A digest of a split table, or of all in a folder, so that another one is noticed."""
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    try:
        whole = b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); name a split table."
        ) from error
    return hashlib.sha256(whole).hexdigest()


def _check_masks(masks: Path, name: str) -> None:
    if name != csvtable.CSV.name:
        raise InputError(f"import: --masks goes with csv, and {name} has no masks; leave it out.")
    if not masks.is_dir():
        raise InputError(f"{masks} is no folder; name one with <finding>/<image>.png.")


def _check_apart(source: Path, out: Path) -> None:
    if not source.exists():
        raise InputError(f"{source} does not exist; name the download.")
    home = os.path.realpath(source if source.is_dir() else source.parent)
    target = os.path.realpath(out)
    if target == home or (source.is_dir() and target.startswith(home + os.sep)):
        raise InputError(
            f"{out} lies in the download {source}; choose another folder for the output."
        )


def _check_plan(plan: Plan, source: Path, *, strict: bool) -> None:
    if strict:
        problems = Problems(str(source))
        for left in plan.left_out:
            if left.problem:
                detail = f" ({left.detail})" if left.detail else ""
                problems.add(left.what, f"{left.reason}{detail}")
        problems.raise_any()
    if not plan.items:
        raise _nothing(source, plan)
    names = Counter(item.name for item in plan.items)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{source}: two images would be called {twice!r}; rename one of them.")


def _nothing(source: Path, plan: Plan) -> InputError:
    first = plan.left_out[0] if plan.left_out else None
    why = f", such as {first.what}: {first.reason} {first.detail}".rstrip() if first else ""
    return InputError(f"{source} holds no image to import ({len(plan.left_out)} left out{why}).")


def _open_folder(out: Path, settings: dict[str, Any]) -> None:
    """Claim the folder for this import, or find that it is this import's already."""
    path = out / SETTINGS
    text = json.dumps(settings, indent=2) + "\n"
    try:
        if path.is_file():
            if path.read_text(encoding="utf-8") != text:
                raise InputError(
                    f"{out}: holds an import with other settings (see {SETTINGS}); choose another "
                    "folder, or remove this one."
                )
        elif out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out}: is not an empty folder; choose another one.")
        (out / "images").mkdir(parents=True, exist_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{out}: cannot write here ({error}); choose another folder.") from error
    write_atomically(path, text)
