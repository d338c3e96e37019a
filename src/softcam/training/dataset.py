"""Records to tensors: prepared once, kept in memory or in a cache folder, augmented by seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info

from softcam.data.cache import Looked, PreparedCache
from softcam.data.preprocessing import Prepared, Preprocessing
from softcam.data.readers import read_record
from softcam.data.records import Record, Table
from softcam.errors import InputError
from softcam.training.augment import Augment
from softcam.training.sampling import Sampling, epoch_order, turns
from softcam.training.seeds import SAMPLE, derive

Progress = Callable[[int, int], None]
"""Called with the number of images done and the number of all."""

_Result = TypeVar("_Result")

_MAX_LISTED = 10


class ImageDataset(Dataset[tuple[Tensor, Tensor]]):
    """The images of a table as normalised tensors.

    Every file is read once when the data set is built, so that a damaged one is found before
    training starts and not hours into it. With a cache only files that it does not know are, and
    building goes on where it was interrupted.

    Args:
        table: The images and their labels.
        preprocessing: How pixels become input.
        augment: Random changes for training; None for none.
        seed: The run's seed.
        cache_bytes: Prepared images are kept in memory up to this many bytes; the rest is read
            again in every epoch. Not used with `cache`.
        cache: Keeps them in a folder instead, and memory flat.
        progress: Told after each image.

    Raises:
        InputError: Naming every image that cannot be read, or the room that the cache needs.
    """

    def __init__(
        self,
        table: Table,
        preprocessing: Preprocessing,
        *,
        augment: Augment | None = None,
        seed: int = 0,
        cache_bytes: int = 4 << 30,
        cache: PreparedCache | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.records: Sequence[Record] = table.records
        self.preprocessing = preprocessing
        self.augment = augment
        self.seed = seed
        self.cache = cache
        labels = table.labels()
        self.labels = torch.as_tensor(labels)
        self._kept: dict[int, Prepared] = {}
        self._numbers = np.full(len(self.records), -1, np.int64)
        if cache is None:
            self._keep_in_memory(cache_bytes, progress)
        else:
            self._keep_in_folder(cache, progress)

    def _keep_in_memory(self, room: int, progress: Progress | None) -> None:
        for index, result in self._tried(self._prepare, progress):
            if result.nbytes <= room:
                self._kept[index] = result
                room -= result.nbytes

    def _keep_in_folder(self, cache: PreparedCache, progress: Progress | None) -> None:
        cache.check_room(self.records)

        def look(index: int) -> Looked:
            return cache.look(self.records[index])

        for index, looked in self._tried(look, progress):
            self._numbers[index] = cache.keep(looked)

    def _tried(
        self, work: Callable[[int], _Result], progress: Progress | None
    ) -> Iterator[tuple[int, _Result]]:
        """Work on every image in some threads; at the end, raise one error for all bad images."""

        def attempt(index: int) -> _Result | InputError:
            try:
                return work(index)
            except InputError as error:
                return error

        problems = []
        threads = max(2, torch.get_num_threads())
        # Pillow lets go of the interpreter while it decodes and resizes.
        with ThreadPoolExecutor(max_workers=threads) as pool:
            results = _in_order(pool, attempt, len(self.records), ahead=4 * threads)
            for index, result in enumerate(results):
                if isinstance(result, InputError):
                    problems.append(str(result))
                else:
                    yield index, result
                if progress is not None:
                    progress(index + 1, len(self.records))
        if problems:
            more = len(problems) - _MAX_LISTED
            listed = "\n".join(problems[:_MAX_LISTED])
            raise InputError(listed + (f"\n... and {more} more images." if more > 0 else ""))

    @property
    def nbytes(self) -> int:
        """Memory that the prepared images take."""
        return sum(array.nbytes for array in self._kept.values())

    @property
    def decoded_each_epoch(self) -> int:
        """Images that are neither in memory nor in the cache folder."""
        return 0 if self.cache is not None else len(self) - len(self._kept)

    def _prepare(self, index: int) -> Prepared:
        return self.preprocessing.prepare(read_record(self.records[index]))[0]

    def _prepared(self, index: int) -> Prepared:
        if self.cache is not None:
            number = int(self._numbers[index])
            prepared, self._numbers[index] = self.cache.get(number, self.records[index])
            return prepared
        kept = self._kept.get(index)
        return self._prepare(index) if kept is None else kept

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, place: int | tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Give one image and its label.

        Args:
            place: An index, or (epoch, index) in training, which decides the augmentation; a
                third number tells the repetitions of an image in one epoch apart.

        Returns:
            The normalised image (C, H, W) in float32, and its label.
        """
        prepared, label = self.prepared(place)
        return torch.from_numpy(self.preprocessing.normalise(prepared)), label

    def prepared(self, place: int | tuple[int, ...]) -> tuple[npt.NDArray[Any], Tensor]:
        """Give one image before it is normalised, and its label.

        Args:
            place: As for an item.

        Returns:
            (H, W, C) array as `Preprocessing.normalise` takes it, perhaps read-only; the label.
        """
        epoch, index, *turn = place if isinstance(place, tuple) else (0, place)
        prepared: npt.NDArray[Any] = self._prepared(index)
        if self.augment is not None and isinstance(place, tuple):
            prepared = self._augmented(prepared, derive(self.seed, SAMPLE, epoch, index, *turn))
        return prepared, self.labels[index]

    def _augmented(self, prepared: npt.NDArray[Any], seed: int) -> npt.NDArray[Any]:
        if self.augment is None or self.augment.recipe == "none":
            return prepared
        if prepared.dtype == np.uint16:  # torchvision changes 8-bit and float images
            prepared = (prepared / np.float32(65535)).astype(np.float32)
        # Pillow's arrays and the cache's cannot be written to, and torch asks for those that can.
        image = torch.from_numpy(np.require(prepared, requirements="W")).permute(2, 0, 1)
        changed = self.augment(image, seed)
        return np.asarray(changed.permute(1, 2, 0).contiguous().numpy())


class Unnormalised(Dataset[tuple[npt.NDArray[Any], Tensor]]):
    """The images before they are normalised, for a loader that collates with `collate`.

    Args:
        data: The images.
    """

    def __init__(self, data: ImageDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, place: int | tuple[int, ...]) -> tuple[npt.NDArray[Any], Tensor]:
        """Give an image and its label, see `ImageDataset.prepared`."""
        return self.data.prepared(place)

    def collate(self, items: Sequence[tuple[npt.NDArray[Any], Tensor]]) -> tuple[Tensor, Tensor]:
        """Normalise images straight into their places in a batch.

        New memory costs more than arithmetic here, so that a batch is written once, and in a
        worker into the memory that it shares with the training process.

        Args:
            items: Images and labels.

        Returns:
            Images (B, C, H, W) in float32, and the labels.
        """
        height, width, channels = items[0][0].shape
        shape = (len(items), channels, height, width)
        if get_worker_info() is None:
            # numpy asks the system for huge pages, which torch does not: a quarter of the time.
            batch = torch.from_numpy(np.empty(shape, np.float32))
        else:  # as torch's own default_collate does
            size = 4 * len(items) * channels * height * width
            shared = torch.UntypedStorage._new_shared
            storage = shared(size, device="cpu")  # type: ignore[no-untyped-call]
            batch = torch.empty(0).set_(storage).resize_(shape)
        for place, (prepared, _) in enumerate(items):
            self.data.preprocessing.normalise(prepared, out=batch[place].numpy())
        return batch, torch.stack([label for _, label in items])


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[int], _Result], count: int, *, ahead: int
) -> Iterator[_Result]:
    """Give `work(0)`, `work(1)` and so on, no more than `ahead` at once in memory."""
    waiting: deque[Future[_Result]] = deque()
    for index in range(count):
        if len(waiting) == ahead:
            yield waiting.popleft().result()
        waiting.append(pool.submit(work, index))
    while waiting:
        yield waiting.popleft().result()


class EpochSampler(Sampler[tuple[int, ...]]):
    """Indices in a random order that depends on seed, epoch and labels alone.

    Each item is (epoch, index), so that worker processes know the epoch as well, or
    (epoch, index, turn) for an image that came `turn` times before in the same epoch.

    Args:
        size: Number of images.
        seed: The run's seed.
        labels: Labels of the images, for rules that look at classes.
        rule: How classes are sampled, see `softcam.training.sampling.epoch_order`.
        epochs: Number of epochs of the run, for a rule that changes over them.
    """

    def __init__(
        self,
        size: int,
        seed: int,
        *,
        labels: Tensor | None = None,
        rule: Sampling = "natural",
        epochs: int = 1,
    ) -> None:
        self.size = size
        self.seed = seed
        self.labels = np.zeros(size, np.int64) if labels is None else labels.numpy()
        self.rule = rule
        self.epochs = epochs
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the training loop calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Give the places of the current epoch."""
        order = epoch_order(self.rule, self.seed, self.epoch, self.labels, epochs=self.epochs)
        for index, turn in zip(order.tolist(), turns(order).tolist(), strict=True):
            yield (self.epoch, index, turn) if turn else (self.epoch, index)
