"""Evidence maps in a chunked store: one zarr (version 3) array, one chunk a block.

A chunk is encoded in memory and written like any other file, so that it is whole or absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.workflows.scores.extra import zarr

STORE = "evidence.zarr"
"""The array's folder."""

METADATA = f"{STORE}/zarr.json"
"""What describes the array."""

_KEY = "c.{}.0.0.0"  # with dots: with slashes, each chunk would have a folder in folders


def chunk_name(block: int) -> str:
    """Name the file of a block's maps."""
    return f"{STORE}/{_KEY.format(block)}"


def metadata_bytes(
    count: int, block: int, outputs: int, size: tuple[int, int], attributes: Mapping[str, Any]
) -> bytes:
    """Describe the array of shape (count, outputs, h, w), float32 in logit units.

    Args:
        count: Number of images of the table.
        block: Images in a chunk.
        outputs: K, the number of maps of an image.
        size: (h, w) of a map, in cells.
        attributes: JSON values to keep with the array.

    Returns:
        The content of its `zarr.json`.
    """
    held: dict[str, Any] = {}
    _create(held, (count, outputs, *size), block, attributes)
    return bytes(held["zarr.json"].to_bytes())


def chunk_bytes(evidence: npt.NDArray[np.float32], block: int) -> bytes:
    """Encode the maps of a block.

    Args:
        evidence: Shape (n, K, h, w), n at most `block`; NaN where there is none.
        block: Images in a chunk; what is missing of the last one is NaN.
    """
    held: dict[str, Any] = {}
    array = _create(held, evidence.shape, block, {})
    array[:] = evidence
    return bytes(held[_KEY.format(0)].to_bytes())


def open_maps(folder: Path) -> Any:
    """Open the array to read; nothing is read before it is indexed.

    Args:
        folder: The folder of the results.

    Returns:
        A zarr array of shape (N, K, h, w), float32 in logit units; NaN where there is none.
    """
    return zarr().open_array(str(folder / STORE), mode="r")


def _create(
    held: dict[str, Any], shape: tuple[int, ...], block: int, attributes: Mapping[str, Any]
) -> Any:
    zarr()
    from zarr.storage import MemoryStore

    return zarr().create_array(
        MemoryStore(held),
        shape=shape,
        chunks=(block, *shape[1:]),
        dtype="float32",
        fill_value=float("nan"),
        chunk_key_encoding={"name": "default", "separator": "."},
        attributes=dict(attributes),
        dimension_names=("image", "output", "row", "column"),
        # A block of images that could not be read is all NaN, and written all the same.
        config={"write_empty_chunks": True},
    )
