"""`masks/<finding>/<image>.png`: one picture for each finding and image."""

from __future__ import annotations

from pathlib import Path

from softcam.data.annotations import UNNAMED, size_problem
from softcam.data.annotationsources.found import Found
from softcam.data.annotationsources.images import Images, files_in, stem
from softcam.data.problems import Problems
from softcam.data.readers import image_size
from softcam.data.wording import quoted
from softcam.errors import InputError

_EXAMPLE = "image.jpg.png"


def find_masks(folder: Path, images: Images, found: Found) -> None:
    """Find the mask files of images; their pixels are not read.

    Args:
        folder: `masks/`.
        images: The images of the table.
        found: What is added to.

    Raises:
        InputError: A mask does not fit its image, or none belongs to an image.
    """
    problems = Problems(str(folder))
    masks: dict[str, dict[str, Path]] = {}
    strangers: list[str] = []
    for path in files_in(folder):
        if path.suffix.lower() != ".png":
            continue
        relative = path.relative_to(folder).as_posix()
        try:
            match = _match(stem(relative), images)
            if match is None:
                strangers.append(relative)
                continue
            finding, name = match
            mask_size = image_size(path)
            if mask_size != images.size_of(name):
                raise InputError(size_problem(path, mask_size, images.size_of(name)))
        except InputError as error:
            problems.add(relative, str(error).rstrip("."))
            continue
        if finding in masks.setdefault(name, {}):
            problems.add(
                relative, f"the image {quoted(name)} has two masks of {quoted(finding)}; keep one"
            )
        masks[name][finding] = path
    problems.raise_any()
    if strangers and not masks and not any(_known(name, images) for name in strangers):
        raise InputError(
            f"{folder} holds {len(strangers)} mask(s) and none fits an image, for instance "
            f"{quoted(strangers[0])}; lay them out as masks/<finding>/<image name>.png."
        )
    found.masks.update(masks)
    if strangers:
        count = len(strangers)
        found.notes.append(f"{count} mask(s) belong to images that the table does not list")


def _match(key: str, images: Images) -> tuple[str, str] | None:
    """The finding and the image that a mask's path (without its .png) speaks of."""
    finding, _, rest = key.partition("/")
    name = images.the_one(rest, _EXAMPLE)
    if name is not None:
        return finding, name
    name = images.the_one(key, _EXAMPLE)
    return None if name is None else (UNNAMED, name)


def _known(mask: str, images: Images) -> bool:
    """Whether an image that the mask could belong to lies in the image folder."""
    key = stem(mask)
    return images.lies_in_folder(key) or images.lies_in_folder(key.partition("/")[2])
