"""Which split an image belongs to: a published table's, the download's own, or made by patient.

Whichever it is, no patient ends up in two splits.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from softcam.data.csvfile import read_csv
from softcam.data.folder import SPLITS
from softcam.data.importers.plan import Item, LeftOut, Plan
from softcam.data.labels import canonical
from softcam.data.problems import Problems
from softcam.data.records import Record
from softcam.data.split import split_by_patient
from softcam.errors import InputError

_IMAGE_COLUMNS = ("filename", "image")
_COLUMNS = (*_IMAGE_COLUMNS, "patient_id", "split")
_FIRST = ("test", "val", "train")  # who keeps a patient that several splits claim


def take_splits(plan: Plan, tables: Sequence[Path], *, resplit: bool = False) -> bool:
    """Give every item of a plan the split that is known for it, in place.

    Args:
        plan: The plan; items may be moved to what is left out.
        tables: Published split tables, or folders of them; they win over the download's splits.
        resplit: Whether splits are to be made though the download has some.

    Returns:
        Whether the items have splits; otherwise `make_splits` makes them.

    Raises:
        InputError: A split table cannot be used.
    """
    if tables:
        _assign(plan, _read_tables(tables))
        plan.notes.append("the splits are those of the tables given with --splits")
    elif not resplit and any(item.split for item in plan.items):
        plan.notes.append("the splits are the download's own")
    else:
        return False
    _keep_patients_apart(plan)
    return True


def make_splits(items: Sequence[Item], *, seed: int) -> list[Item]:
    """Share images out to splits by patient, each label as evenly as can be.

    Args:
        items: The images.
        seed: Decides among patients that are alike.

    Returns:
        The images with their splits, in order.
    """
    kinds = {label: i for i, label in enumerate(sorted({item.label for item in items}))}
    records = [
        Record(
            image=Path(item.name),
            name=item.name,
            label=_flags(item) if item.flags else kinds[item.label],
            split=None,
            patient=item.patient or item.name,
            row=0,
        )
        for item in items
    ]
    splits = split_by_patient(records, seed=seed)
    return [replace(item, split=split) for item, split in zip(items, splits, strict=True)]


def _flags(item: Item) -> tuple[float, ...]:
    return tuple(1.0 if canonical(cell).lower() in ("1", "true") else 0.0 for cell in item.flags)


def _keep_patients_apart(plan: Plan) -> None:
    """Leave a patient's images to the one split that comes first: test, val, train."""
    claimed: dict[str, set[str]] = defaultdict(set)
    for item in plan.items:
        claimed[item.patient or item.name].add(item.split)
    torn = {patient for patient, splits in claimed.items() if len(splits) > 1}
    if not torn:
        return
    owner = {patient: min(claimed[patient], key=_FIRST.index) for patient in torn}
    kept: list[Item] = []
    counts: Counter[str] = Counter()
    for item in plan.items:
        where = owner.get(item.patient or item.name, item.split)
        if where == item.split:
            kept.append(item)
            continue
        counts[f"{item.split} and {where}"] += 1
        reason = f"it is in {item.split} and its patient is in {where} too"
        plan.left_out.append(LeftOut(item.source, reason, f"patient {item.patient}"))
    plan.items = kept
    shown = ", ".join(f"{count} of {pair}" for pair, count in sorted(counts.items()))
    plan.notes.append(
        f"{len(torn)} patient(s) are in more than one of these splits; their images are kept in "
        f"the first of test, val and train, the others are left out ({shown})"
    )


@dataclass
class _Published:
    """What split tables say, by image (its path without the suffix) or by patient."""

    images: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    cells: dict[str, dict[str, str]] = field(default_factory=dict)


def _read_tables(tables: Sequence[Path]) -> _Published:
    published = _Published()
    for path in tables:
        files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path} holds no split table (*.csv); name the files.")
        for file in files:
            _read_table(file, published)
    return published


def _read_table(path: Path, published: _Published) -> None:
    table = read_csv(path, _COLUMNS)
    column = next((name for name in _IMAGE_COLUMNS if name in table.columns), None)
    if column is None and "patient_id" not in table.columns:
        raise InputError(
            f"{path} has none of the columns {', '.join(_IMAGE_COLUMNS)} and patient_id; a split "
            "table names images or patients."
        )
    own = None if "split" in table.columns else _split_of_name(path)
    problems = Problems(str(path))
    for row in table.rows:
        split = own or SPLITS.get(row.cells["split"].lower())
        if split is None:
            text = f"the split {row.cells['split']!r} is unknown; use train, val or test"
            problems.add(f"row {row.line}", text)
            continue
        known = published.patients if column is None else published.images
        key = row.cells["patient_id"] if column is None else _key(row.cells[column])
        if known.setdefault(key, split) != split:
            text = f"{key!r} is in {split} and in {known[key]}; keep it in one"
            problems.add(f"row {row.line}", text)
        if column is not None:
            published.cells.setdefault(key, dict(row.cells))
    problems.raise_any()


def _split_of_name(path: Path) -> str:
    words = {SPLITS[w] for w in re.split(r"[^a-z]+", path.stem.lower()) if w in SPLITS}
    if len(words) != 1:
        raise InputError(
            f"{path} has no column 'split' and its name does not say which split it is; call it "
            "train.csv, val.csv or test.csv."
        )
    return words.pop()


def _key(written: str) -> str:
    """An image without its last suffix, which published tables change (.png for .jpeg, .dcm)."""
    path = PurePosixPath(written.replace("\\", "/"))
    known = path.suffix.lower() in (".png", ".jpg", ".jpeg", ".dcm")
    return str(path.with_suffix("") if known else path)


def _assign(plan: Plan, published: _Published) -> None:
    """Take the splits of the tables; what they do not list is left out."""
    bases = Counter(PurePosixPath(item.name).name for item in plan.items)
    by_base: dict[str, list[str]] = defaultdict(list)
    for listed in published.images:
        by_base[PurePosixPath(listed).name].append(listed)
    used: set[str] = set()
    kept: list[Item] = []
    for item in plan.items:
        base = PurePosixPath(item.name).name
        key = _listed(item.name, by_base.get(base, []), alone=bases[base] == 1)
        split = published.images[key] if key else published.patients.get(item.patient)
        if key:
            used.add(key)
        elif split:
            used.add(item.patient)
        if split is None:
            plan.left_out.append(
                LeftOut(item.source, "the split tables do not list it", problem=False)
            )
            continue
        wrong = _contradiction(item, plan, published.cells.get(key or "", {}))
        if wrong:
            reason = "its label in the split table is another"
            plan.left_out.append(LeftOut(item.source, reason, wrong))
            continue
        kept.append(replace(item, split=split))
    plan.items = kept
    # An image that was left out for another reason is not missing.
    others = {PurePosixPath(left.what).stem for left in plan.left_out}
    for listed in (*published.images, *published.patients):
        if listed not in used and PurePosixPath(listed).name not in others:
            plan.left_out.append(LeftOut(listed, "a split table lists it, the download lacks it"))


def _listed(name: str, keys: Sequence[str], *, alone: bool) -> str | None:
    """The key of an image: one path must be the end of the other, so that folders agree.

    A bare file name will do if no other image has it.
    """
    for key in keys:
        if f"/{key}".endswith(f"/{name}"):
            return key
        if f"/{name}".endswith(f"/{key}") and (alone or "/" in key):
            return key
    return None


def _contradiction(item: Item, plan: Plan, cells: dict[str, str]) -> str:
    for column, by_label in plan.split_cells.items():
        wanted = by_label.get(item.label)
        if column in cells and wanted is not None and canonical(cells[column]) != wanted:
            return f"{column} is {cells[column]!r} there, the download says {item.label!r}"
    return ""
