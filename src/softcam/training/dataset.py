"""Records to tensors: prepared once, kept in memory while they fit, augmented by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_record
from softcam.data.records import Record, Table
from softcam.errors import InputError
from softcam.training.augment import Augment
from softcam.training.seeds import ORDER, SAMPLE, derive

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""

_MAX_LISTED = 10


class ImageDataset(Dataset[tuple[Tensor, Tensor]]):
    """The images of a table as normalised tensors.

    Every file is read once when the data set is built, so that a damaged one is found before
    training starts and not hours into it.

    Args:
        table: The images and their labels.
        preprocessing: How pixels become input.
        augment: Random changes for training; None for none.
        seed: The run's seed.
        cache_bytes: Prepared images are kept up to this many bytes; the rest is read again.
        progress: Told after each image.

    Raises:
        InputError: Naming every image that cannot be read.
    """

    def __init__(
        self,
        table: Table,
        preprocessing: Preprocessing,
        *,
        augment: Augment | None = None,
        seed: int = 0,
        cache_bytes: int = 4 << 30,
        progress: Progress | None = None,
    ) -> None:
        self.records: Sequence[Record] = table.records
        self.preprocessing = preprocessing
        self.augment = augment
        self.seed = seed
        labels = table.labels()
        self.labels = torch.as_tensor(labels)
        self._cache = self._read_all(cache_bytes, progress)

    def _read_all(self, cache_bytes: int, progress: Progress | None) -> dict[int, npt.NDArray[Any]]:
        kept: dict[int, npt.NDArray[Any]] = {}
        problems = []
        room = cache_bytes
        # Pillow lets go of the interpreter while it decodes and resizes.
        with ThreadPoolExecutor(max_workers=max(2, torch.get_num_threads())) as pool:
            results = pool.map(self._try_prepare, range(len(self.records)))
            for index, result in enumerate(results):
                if isinstance(result, InputError):
                    problems.append(str(result))
                elif result.nbytes <= room:
                    kept[index] = result
                    room -= result.nbytes
                if progress is not None:
                    progress(index + 1, len(self.records))
        if problems:
            more = len(problems) - _MAX_LISTED
            listed = "\n".join(problems[:_MAX_LISTED])
            raise InputError(listed + (f"\n... and {more} more images." if more > 0 else ""))
        return kept

    @property
    def nbytes(self) -> int:
        """Memory that the prepared images take."""
        return sum(array.nbytes for array in self._cache.values())

    def _try_prepare(self, index: int) -> npt.NDArray[Any] | InputError:
        try:
            return self._prepare(index)
        except InputError as error:
            return error

    def _prepare(self, index: int) -> npt.NDArray[Any]:
        return self.preprocessing.prepare(read_record(self.records[index]))[0]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, place: int | tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Give one image and its label.

        Args:
            place: An index, or (epoch, index) in training, which decides the augmentation.

        Returns:
            The normalised image (C, H, W) in float32, and its label.
        """
        epoch, index = place if isinstance(place, tuple) else (0, place)
        prepared = self._cache.get(index)
        if prepared is None:
            prepared = self._prepare(index)
        if self.augment is not None and isinstance(place, tuple):
            prepared = self._augmented(prepared, derive(self.seed, SAMPLE, epoch, index))
        return torch.from_numpy(self.preprocessing.normalise(prepared)), self.labels[index]

    def _augmented(self, prepared: npt.NDArray[Any], seed: int) -> npt.NDArray[Any]:
        if self.augment is None:
            return prepared
        if prepared.dtype == np.uint16:  # torchvision changes 8-bit and float images
            prepared = (prepared / np.float32(65535)).astype(np.float32)
        image = torch.from_numpy(prepared).permute(2, 0, 1)
        changed = self.augment(image, seed)
        return np.asarray(changed.permute(1, 2, 0).contiguous().numpy())


class EpochSampler(Sampler[tuple[int, int]]):
    """Indices in a random order that depends on seed and epoch alone.

    Each item is (epoch, index), so that worker processes know the epoch as well.

    Args:
        size: Number of images.
        seed: The run's seed.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the training loop calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give the (epoch, index) pairs of the current epoch."""
        order = np.random.default_rng(derive(self.seed, ORDER, self.epoch)).permutation(self.size)
        for index in order.tolist():
            yield self.epoch, index
