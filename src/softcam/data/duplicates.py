"""Find near-duplicates among the fingerprints of many images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from softcam.data.fingerprint import Fingerprint

HASH_BITS = 8
"""Two images are compared in detail if their hashes differ in no more bits than this."""

ALIKE = 0.95
"""Two images are near-duplicates from this correlation of their fine details on."""

_TILE = 1024  # images compared at once with as many others: some 30 MiB
_DENSE = 100  # one pair in so many


def group_similar(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Group images that are the same picture, resized, recompressed, brightened or saved anew.

    A pair is first sifted by its perceptual hashes (at most 8 of 64 bits differ) and then judged by
    the correlation of its fine details (at least 0.95); pairs that share an image join one group.

    Both numbers were set on phantoms, of which no two show the same. Hashes alone do not tell
    copies apart: among 120 of each kind (160 px) two chest phantoms differ in 2 bits, copies saved
    as JPEG of quality 30 to 95 in up to 4, copies of half the size in up to 8. The details do:
    among 2000 of each kind (96 px, 6 million pairs) two phantoms correlate by 0.93 at most, JPEG
    copies of 40 of each kind by 0.97 at least. A copy shrunk to less than about 64 px a side may
    be missed, and a cropped, turned or mirrored one will be. Photographs from a clinic were not
    measured.

    Args:
        prints: The images. Those without contrast are in no group.

    Returns:
        The groups of two images or more with different files, as indices, in order. Files with the
        same bytes are in one group if there is a third that resembles them.
    """
    places: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for index, one in enumerate(prints):
        if not one.flat:
            places[one.picture].append(index)
    pictures = list(places.values())
    if len(pictures) < 2:
        return []
    hashes = np.array([prints[own[0]].hash for own in pictures], dtype=np.uint64)
    details = np.stack([prints[own[0]].detail for own in pictures])
    roots = _components(hashes, details)
    groups: dict[int, list[list[int]]] = defaultdict(list)
    for root, own in zip(roots.tolist(), pictures, strict=True):
        groups[root].append(own)
    return [sorted(chain.from_iterable(g)) for g in groups.values() if len(g) > 1]


def _components(
    hashes: npt.NDArray[np.uint64], details: npt.NDArray[np.float16]
) -> npt.NDArray[np.intp]:
    """The first member of every image's group."""
    roots = np.arange(len(hashes))
    starts = range(0, len(hashes), _TILE)
    for top in starts:
        for left in starts[top // _TILE :]:
            rows, columns = slice(top, top + _TILE), slice(left, left + _TILE)
            apart = np.bitwise_count(hashes[rows, None] ^ hashes[None, columns])
            near = apart <= HASH_BITS
            if top == left:
                near = np.triu(near, 1)  # each pair once, and none of an image with itself
            first, second = _alike(near, details[rows], details[columns])
            if len(first):
                _join(roots, first + top, second + left)
    return _settled(roots)


def _alike(
    near: npt.NDArray[np.bool_], rows: npt.NDArray[np.float16], columns: npt.NDArray[np.float16]
) -> tuple[npt.NDArray[np.intp], ...]:
    """The pairs among the near ones whose details correlate: row and column of each."""
    first, second = np.nonzero(near)
    if len(first) * _DENSE > near.size:  # the product of all pairs is quicker than of those
        products = rows.astype(np.float32) @ columns.astype(np.float32).T
        return np.nonzero(near & (products >= ALIKE))
    one, other = rows[first].astype(np.float32), columns[second].astype(np.float32)
    alike = np.einsum("ij,ij->i", one, other) >= ALIKE
    return first[alike], second[alike]


def _join(roots: npt.NDArray[np.intp], a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> None:
    """Give the two ends of every pair the smaller of their roots, in place, until all agree."""
    while True:
        roots[:] = _settled(roots)
        one, other = roots[a], roots[b]
        if (one == other).all():
            return
        np.minimum.at(roots, np.maximum(one, other), np.minimum(one, other))


def _settled(roots: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Follow every root to the root of its own."""
    while True:
        further = roots[roots]
        if (further == roots).all():
            return further
        roots = further
