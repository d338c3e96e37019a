"""The files of an imported data set: table, annotations, sources, card, checksums; table last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from softcam.data.annotations import Box
from softcam.data.importers.card import card_text, make_card
from softcam.data.importers.engine import JOURNAL
from softcam.data.importers.marks import write_masks
from softcam.data.importers.plan import Importer, Item, LeftOut, Plan
from softcam.data.importers.sources import Source, sources_text
from softcam.data.importers.tables import csv_text
from softcam.data.quality import Finding
from softcam.errors import InputError
from softcam.files import write_atomically

_OUTSIDE = 1.0  # px over the border from which a box counts as wrong and not as rounded
_BOX_COLUMNS = ("image", "x", "y", "width", "height", "finding")


def write_data_set(
    out: Path,
    importer: Importer,
    plan: Plan,
    settings: dict[str, Any],
    taken: Sequence[tuple[Item, Source]],
) -> dict[str, Any]:
    """Write everything but the images, each file whole, the table last.

    Args:
        out: The data set's folder, which holds the images.
        importer: The data set.
        plan: The plan; boxes and masks that fit no image are added to what is left out.
        settings: What the import was asked for.
        taken: The images.

    Returns:
        The data card.

    Raises:
        InputError: The folder cannot be written.
    """
    (out / "table.csv").unlink(missing_ok=True)  # a folder without its table is no data set
    boxes = _box_rows(plan, taken)
    masks = write_masks(out, plan, taken)
    card = make_card(importer, plan, settings, taken, boxes=len(boxes), masks=len(masks))
    head = ("image", *(plan.columns or ("label",)), "split", "patient")
    rows = [
        (source.image, *(item.flags or (item.label,)), item.split, item.patient or item.name)
        for item, source in taken
    ]
    left = [(x.what, x.reason, x.detail, "yes" if x.problem else "no") for x in plan.left_out]
    files = {
        "dataset.yaml": yaml.safe_dump(plan.meaning, sort_keys=False, allow_unicode=True),
        "sources.csv": sources_text(source for _, source in taken),
        "left_out.csv": csv_text([("what", "reason", "detail", "problem")], left),
        "datacard.json": json.dumps(card, indent=2, ensure_ascii=False) + "\n",
        "datacard.md": card_text(card),
        "table.csv": csv_text([head], rows),
    }
    if boxes:
        files["boxes.csv"] = csv_text([_BOX_COLUMNS], boxes)
    if not boxes:
        (out / "boxes.csv").unlink(missing_ok=True)
    for name, text in files.items():
        if name != "table.csv":
            write_atomically(out / name, text)
    _remove_strangers(out / "images", {source.image for _, source in taken})
    _remove_strangers(out / "masks", {name.removeprefix("masks/") for _, name in masks})
    sums = [(source.sha256, f"images/{source.image}") for _, source in taken]
    sums += masks
    sums += [(hashlib.sha256(text.encode()).hexdigest(), name) for name, text in files.items()]
    lines = [f"{digest}  {name}\n" for digest, name in sorted(sums, key=lambda pair: pair[1])]
    write_atomically(out / "checksums.sha256", "".join(lines))
    write_atomically(out / "table.csv", files["table.csv"])
    (out / JOURNAL).unlink(missing_ok=True)
    return card


def add_quality(out: Path, card: dict[str, Any], findings: Sequence[Finding]) -> dict[str, Any]:
    """Put what the checks found into the data card of an imported data set.

    Args:
        out: The data set's folder.
        card: Its card.
        findings: What was found; none is said too.

    Returns:
        The card with `quality`.

    Raises:
        InputError: The folder cannot be written.
    """
    card = {**card, "quality": [asdict(finding) for finding in findings]}
    files = {
        "datacard.json": json.dumps(card, indent=2, ensure_ascii=False) + "\n",
        "datacard.md": card_text(card),
    }
    sums = (out / "checksums.sha256").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in sums if line.rstrip("\n").split("  ", 1)[-1] not in files]
    kept += [f"{hashlib.sha256(t.encode()).hexdigest()}  {name}\n" for name, t in files.items()]
    for name, text in files.items():
        write_atomically(out / name, text)
    lines = sorted(kept, key=lambda line: line.split("  ", 1)[1])
    write_atomically(out / "checksums.sha256", "".join(lines))
    return card


def _box_rows(plan: Plan, taken: Sequence[tuple[Item, Source]]) -> list[tuple[str, ...]]:
    """Every box in the pixels of the written image; what is wrong with one is noted."""
    rows = []
    for item, source in taken:
        width, height = source.source_width, source.source_height
        if not item.boxes:
            continue
        geometry = source.geometry()
        for finding, box in item.boxes:
            over = max(-box.x, -box.y, box.x + box.width - width, box.y + box.height - height)
            corners = [(box.x, box.y, box.width, box.height)]
            x, y, wide, high = map(float, geometry.boxes_to_input(corners)[0])
            what = f"{item.source}: {_box_text(box)}"
            if wide <= 0 or high <= 0:
                plan.left_out.append(LeftOut(what, "the box lies outside the image"))
                continue
            if over > _OUTSIDE:
                reason = "the box reaches over the image's border (the part inside is kept)"
                plan.left_out.append(LeftOut(what, reason))
            rows.append((source.image, *(_number(v) for v in (x, y, wide, high)), finding))
    return rows


def _box_text(box: Box) -> str:
    return f"x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g}"


def _number(value: float) -> str:
    """At most 3 decimals: a thousandth of a pixel."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _remove_strangers(folder: Path, names: set[str]) -> None:
    """Remove what earlier, interrupted imports left in a folder that is the import's."""
    try:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.relative_to(folder).as_posix() not in names:
                path.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be cleaned up ({error.strerror}).") from error
