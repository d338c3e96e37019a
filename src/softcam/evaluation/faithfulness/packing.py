"""Many changed copies of each image through a classifier, in batches that are always full."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from softcam.errors import InputError

Classify = Callable[[Tensor], Tensor]
"""Normalised images (B, C, H, W) or (B, C, D, H, W) to logits (B, K)."""

Images = Tensor | Iterable[Tensor]
"""All images (N, C, ...), or batches of them, such as a loader yields."""


def packed_logits(
    classify: Classify,
    images: Images,
    count: int,
    copies: int,
    *,
    batch_size: int,
    prepare: Callable[[Tensor], Tensor],
    change: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Classify changed copies of images, packed so that each batch but the last is full.

    Never more than one batch of copies exists, and of the images only those read and not done.

    Args:
        classify: Gives logits; runs in inference mode. Put a model into eval mode before.
        images: N images of one shape, or batches of them; copies are made on their device.
        count: N.
        copies: S, how many copies of each image are classified.
        batch_size: Copies per forward pass.
        prepare: Called once per image with images (B, C, ...); answers with B rows of whatever
            `change` needs, such as a baseline.
        change: Called with images, prepared rows, image numbers (B,) from 0 and copy numbers
            (B,) below S, both on the CPU; answers with the B copies.

    Returns:
        Logits of shape (N, S, K), on the CPU, in the classifier's type, at least float32.

    Raises:
        InputError: If there are more or fewer images than N, the batch size is below 1, or the
            classifier gives anything but (B, K).
    """
    if batch_size < 1:
        raise InputError(f"The batch size is {batch_size}; it must be 1 or more.")
    if copies == 0:
        return torch.empty(count, 0, 0)
    source = _source(images, max(1, batch_size // copies))
    total, done, read = count * copies, 0, 0
    logits = held = prepared = torch.empty(0)
    with torch.inference_mode():
        while done < total:
            while read * copies < min(done + batch_size, total):
                new = next(source, None)
                if new is None:
                    raise InputError(f"{read} images for {count} maps; give one map per image.")
                waiting = read - done // copies
                held, prepared = (
                    torch.cat((old[len(old) - waiting :], more)) if waiting else more
                    for old, more in ((held, new), (prepared, prepare(new)))
                )
                read += len(new)
            jobs = torch.arange(done, min(done + batch_size, total))
            numbers = jobs // copies
            rows = numbers - (read - len(held))
            changed = change(held[rows], prepared[rows], numbers, jobs % copies)
            found: object = classify(changed)  # a SoftCAM would give an Output
            if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(jobs):
                given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise InputError(
                    f"The classifier gives {given} for {len(jobs)} images; it must give logits of "
                    "shape (B, K), such as lambda batch: model(batch).logits."
                )
            if not done:
                dtype = torch.promote_types(found.dtype, torch.float32)
                with torch.inference_mode(False):  # a tensor that autograd and users may touch
                    logits = torch.empty(total, found.shape[1], dtype=dtype)
            logits[done : done + len(jobs)] = found.cpu()
            done += len(jobs)
        if read > count or next(source, None) is not None:
            raise InputError(f"There are more images than {count} maps; give one map per image.")
    return logits.view(count, copies, -1) if total else torch.empty(count, copies, 0)


def _source(images: Images, size: int) -> Iterator[Tensor]:
    """Yield batches of images that are not empty, without copying."""
    if isinstance(images, Tensor):
        yield from (images[start : start + size] for start in range(0, len(images), size))
    else:
        yield from (batch for batch in images if len(batch))
