"""The data card: what a data set holds, and what was left out and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from softcam.data.importers.plan import Importer, Item, LeftOut, Plan
from softcam.data.importers.sources import Source
from softcam.data.labels import canonical

_SPLITS = ("train", "val", "test")
_SHOWN = 10


def make_card(
    importer: Importer,
    plan: Plan,
    settings: dict[str, Any],
    taken: Sequence[tuple[Item, Source]],
    *,
    boxes: int,
    masks: int,
) -> dict[str, Any]:
    """Count what was imported.

    Args:
        importer: The data set.
        plan: The plan, with all that was left out.
        settings: What the import was asked for.
        taken: The images.
        boxes: How many boxes were kept.
        masks: How many masks were written.

    Returns:
        The card as plain values; nothing in it depends on when or where it was made.
    """
    return {
        "name": importer.name,
        "title": importer.title,
        "source": importer.source,
        "settings": settings,
        "images": len(taken),
        "patients": len({item.patient or item.name for item, _ in taken}),
        "boxes": boxes,
        "masks": masks,
        "splits": _splits(plan, [item for item, _ in taken]),
        "sizes": _sizes([(s.width, s.height) for _, s in taken]),
        "original_sizes": _sizes([(s.source_width, s.source_height) for _, s in taken]),
        "duplicates": _duplicates(taken),
        "image_notes": dict(sorted(Counter(s.note for _, s in taken if s.note).items())),
        "left_out": _left_out(plan.left_out),
        "notes": plan.notes,
    }


def _splits(plan: Plan, items: Sequence[Item]) -> dict[str, Any]:
    names = list(plan.columns or dict.fromkeys(plan.labels.values()))
    counts: dict[str, Any] = {}
    for split in _SPLITS:
        own = [item for item in items if item.split == split]
        if not own:
            continue
        found: Counter[str] = Counter()
        for item in own:
            if plan.columns:
                flags = zip(plan.columns, item.flags, strict=True)
                found.update(name for name, cell in flags if canonical(cell) in ("1", "true"))
            else:
                label = canonical(item.label)
                found[plan.labels.get(label, label)] += 1
        counts[split] = {
            "images": len(own),
            "patients": len({item.patient or item.name for item in own}),
            "classes": {name: found[name] for name in names},
        }
    return counts


def _sizes(sizes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    common = sorted(Counter(sizes).items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "different": len(common),
        "most_common": {f"{w} x {h}": count for (w, h), count in common[:_SHOWN]},
        "width": [min(w for w, _ in sizes), max(w for w, _ in sizes)],
        "height": [min(h for _, h in sizes), max(h for _, h in sizes)],
    }


def _duplicates(taken: Sequence[tuple[Item, Source]]) -> dict[str, Any]:
    """Files with the same bytes, which may hide one picture in two splits or under two labels."""
    groups: dict[str, list[tuple[Item, Source]]] = defaultdict(list)
    for item, source in taken:
        groups[source.source_sha256].append((item, source))
    several = [group for group in groups.values() if len(group) > 1]

    def differ(name: str) -> int:
        return sum(len({getattr(item, name) for item, _ in group}) > 1 for group in several)

    return {
        "groups": len(several),
        "images": sum(map(len, several)),
        "across_splits": differ("split"),
        "across_patients": differ("patient"),
        "across_labels": differ("label"),
        "examples": [[source.source for _, source in group] for group in several[:_SHOWN]],
    }


def _left_out(left_out: Sequence[LeftOut]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, bool], list[LeftOut]] = defaultdict(list)
    for left in left_out:
        groups[left.reason, left.problem].append(left)
    return [
        {
            "reason": reason,
            "problem": problem,
            "count": len(group),
            "examples": [f"{x.what} ({x.detail})" if x.detail else x.what for x in group[:_SHOWN]],
        }
        for (reason, problem), group in groups.items()
    ]


def card_text(card: dict[str, Any]) -> str:
    """Write a card for people, in Markdown."""
    settings = ", ".join(f"{k} {v}" for k, v in card["settings"].items() if v not in (None, []))
    lines = [f"# {card['title']}", ""]
    if card["source"]:
        lines += [f"Source: {card['source']}", ""]
    lines += [
        f"{card['images']} images of {card['patients']} patients, {card['boxes']} boxes, "
        f"{card['masks']} masks. Imported by softcam with: {settings}.",
        "",
        "## Splits",
        "",
    ]
    names = list(next(iter(card["splits"].values()))["classes"])
    lines += _table(
        ("split", "images", "patients", *names),
        [
            (split, row["images"], row["patients"], *row["classes"].values())
            for split, row in card["splits"].items()
        ],
    )
    lines += ["", *(f"- {note}" for note in card["notes"]), "", "## Sizes", ""]
    for key, what in (("sizes", "written"), ("original_sizes", "original")):
        size = card[key]
        shown = ", ".join(f"{name} ({count})" for name, count in size["most_common"].items())
        lines.append(
            f"- {what}: {size['different']} different; width {size['width'][0]} to "
            f"{size['width'][1]} px, height {size['height'][0]} to {size['height'][1]} px; "
            f"most often {shown}"
        )
    lines += [f"- {count} image(s): {note}" for note, count in card["image_notes"].items()]
    lines += ["", "## Duplicates", "", _duplicate_text(card["duplicates"]), ""]
    if "quality" in card:
        lines += ["## Leaks, conflicts and hints", "", *_quality_text(card["quality"]), ""]
    lines += ["## Left out", ""]
    if card["left_out"]:
        lines += [f"{sum(g['count'] for g in card['left_out'])} in all; left_out.csv lists each."]
        lines.append("")
    else:
        lines.append("Nothing.")
    for group in card["left_out"]:
        kind = "problem" if group["problem"] else "by choice"
        lines.append(f"- {group['count']}, {group['reason']} ({kind})")
        lines += [f"  - {example}" for example in group["examples"]]
        rest = group["count"] - len(group["examples"])
        if rest:
            lines.append(f"  - and {rest} more")
    return "\n".join(lines).rstrip() + "\n"


def _quality_text(findings: Sequence[dict[str, Any]]) -> list[str]:
    if not findings:
        return ["None was found."]
    lines = []
    for finding in findings:
        lines.append(f"- {finding['severity']}: {finding['sentence']}")
        lines += [f"  - {example}" for example in finding["examples"]]
    return lines


def _duplicate_text(found: dict[str, Any]) -> str:
    if not found["groups"]:
        return "No two files have the same bytes."
    return (
        f"{found['images']} files in {found['groups']} groups have the same bytes; of the groups "
        f"{found['across_splits']} span two splits, {found['across_patients']} two patients and "
        f"{found['across_labels']} two labels. All are kept. For instance: "
        + "; ".join(" = ".join(group) for group in found["examples"][:3])
        + "."
    )


def _table(heads: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
