"""Which of several processes this is, when `torchrun` started more than one."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from softcam.errors import InputError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# The first process measures and writes the report while the others wait for it.
_PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together.

    Attributes:
        rank: This process's number, from 0. Process 0 alone writes files.
        world: How many there are.
        local_rank: This process's number on its machine; its GPU's number too.
        local_world: How many there are on each machine.
        restarts: How often `torchrun` has started them again after one died.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    restarts: int = 0

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return self.world > 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        """How many machines they run on."""
        return self.world // self.local_world

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Processes:
        """Read what `torchrun` says; a process that it did not start is alone.

        Args:
            environment: Its variables; those of this process if None.

        Returns:
            This process's place.

        Raises:
            InputError: If the variables contradict each other, or machines have different
                numbers of processes.
        """
        values = os.environ if environment is None else environment
        if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= values.keys():
            return cls()
        try:
            rank, world = int(values["RANK"]), int(values["WORLD_SIZE"])
            local_rank = int(values.get("LOCAL_RANK", "0"))
            local_world = int(values.get("LOCAL_WORLD_SIZE", "1"))
            restarts = int(values.get("TORCHELASTIC_RESTART_COUNT", "0"))
        except ValueError as error:
            raise InputError(
                f"environment: {', '.join(_NAMES)} must be whole numbers; start softcam with "
                "torchrun, or unset them."
            ) from error
        found = cls(rank, world, local_rank, local_world, restarts)
        if not (0 <= rank < world and 0 <= local_rank < local_world <= world):
            raise InputError(
                f"environment: RANK {rank}, WORLD_SIZE {world}, LOCAL_RANK {local_rank} and "
                f"LOCAL_WORLD_SIZE {local_world} do not fit each other; start softcam with "
                "torchrun, or unset them."
            )
        if world % local_world:
            raise InputError(
                f"environment: {world} processes are no multiple of the {local_world} on this "
                "machine; give each machine the same --nproc-per-node."
            )
        return found

    @contextmanager
    def joined(self, device: str) -> Iterator[None]:
        """Connect the processes while the context lasts; alone, do nothing.

        Args:
            device: "cpu", or "cuda" where tensors on GPUs travel by NCCL.

        Yields:
            Nothing.
        """
        if not self.several or distributed.is_initialized():
            yield
            return
        if device == "cuda":
            torch.cuda.set_device(self.local_rank)
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        store, *_ = next(rendezvous("env://", self.rank, self.world))
        distributed.init_process_group(
            backend,
            store=PrefixStore(_meet(store, self.rank, self.world), store),
            rank=self.rank,
            world_size=self.world,
            timeout=_PATIENCE,
        )
        try:
            yield
        finally:
            # After an error the others may be gone; a process that ends is disconnected anyway.
            distributed.destroy_process_group()

    def wait(self) -> None:
        """Go on when every process has come here."""
        if self.several:
            distributed.all_reduce(torch.zeros(1))  # unlike barrier() it needs no GPU

    def agree(self, value: int) -> int:
        """Give every process the first one's number.

        Args:
            value: This process's; only the first one's counts.

        Returns:
            The first one's.
        """
        if not self.several:
            return value
        shared = torch.tensor([value])
        distributed.broadcast(shared, src=0)
        return int(shared)

    def sum(self, values: Tensor) -> Tensor:
        """Add a tensor over the processes.

        Args:
            values: Any shape, the same in all.

        Returns:
            Their sum, in all.
        """
        if not self.several:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total

    def gather(self, values: Tensor) -> Tensor:
        """Collect a tensor from the processes.

        Args:
            values: Any shape, the same in all.

        Returns:
            Shape (processes, ...), in order of rank, in all.
        """
        if not self.several:
            return values[None]
        values = values.contiguous()
        parts = [torch.empty_like(values) for _ in range(self.world)]
        distributed.all_gather(parts, values)
        return torch.stack(parts)

    @contextmanager
    def one_after_another(self) -> Iterator[None]:
        """Let the first process of each machine do the work, then the others find it done.

        Yields:
            Nothing.
        """
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()


def _meet(store: Store, rank: int, world: int) -> str:
    """Agree on a name that no earlier start of the same processes has used.

    After a restart torchrun gives the same store, still full of the dead processes' addresses, and
    who reads these before the living have replaced them waits for ever. So each process says a
    new word, the first one says them all, and it counts when everyone has heard his own in it.

    Args:
        store: What all can write to and read.
        rank: This process's number.
        world: The number of processes.

    Returns:
        The name.
    """
    word = uuid.uuid4().hex
    store.set(f"softcam/word/{rank}", word)

    def said(key: str) -> str:
        return str(store.get(key).decode()) if store.check([key]) else ""

    while True:
        if rank == 0:
            words = ",".join(store.get(f"softcam/word/{other}").decode() for other in range(world))
            store.set("softcam/words", words)
            if all(said(f"softcam/heard/{other}") == words for other in range(1, world)):
                store.set("softcam/agreed", words)
                break
        else:
            words = said("softcam/words")
            if word in words.split(","):
                store.set(f"softcam/heard/{rank}", words)
                if said("softcam/agreed") == words:
                    break
        time.sleep(0.02)
    return hashlib.sha256(words.encode()).hexdigest()[:16]
