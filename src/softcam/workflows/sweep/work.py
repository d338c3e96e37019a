"""One piece of a sweep's work: train a run to its end and judge it; also as a process of its own.

`python -m softcam.workflows.sweep.work FILE` does the piece that FILE describes and exits 0, 1
(the work failed), 2 (bad input) or 130 (interrupted); the last line it prints says why.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from softcam.errors import InputError, MissingExtraError, SoftcamError, WorkError
from softcam.training.config import TrainConfig, make_config
from softcam.training.run import Run
from softcam.workflows.settings import changes_no_number, same_setting
from softcam.workflows.sweep.judge import Judging, Split, judge_once

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class Work:
    """What is to be done for one run.

    Attributes:
        name: The recipe.
        config: The run's settings.
        split: Which split to judge it on, once it is trained.
        how: How to judge.
        judged: Where the judgement is kept.
    """

    name: str
    config: TrainConfig
    split: Split
    how: Judging
    judged: Path

    def __str__(self) -> str:
        return f"{self.name}, seed {self.config.seed}"

    def write(self) -> str:
        """Write it down for another process."""
        return json.dumps(
            {
                "name": self.name,
                "config": self.config.model_dump(mode="json"),
                "split": self.split,
                "how": asdict(self.how),
                "judged": str(self.judged),
            }
        )

    @classmethod
    def read(cls, text: str) -> Work:
        """Read what `write` gave."""
        values: dict[str, Any] = json.loads(text)
        return cls(
            values["name"],
            make_config(values["config"]),
            values["split"],
            Judging(**values["how"]),
            Path(values["judged"]),
        )


@dataclass(frozen=True)
class Failure:
    """Why a piece of work was not done.

    Attributes:
        work: Which.
        reason: One sentence.
        input: Whether the input is to blame, so that others will fail of it too.
    """

    work: Work
    reason: str
    input: bool = False


def do(work: Work) -> None:
    """Train a run, or go on with it, unless it is finished; then judge it.

    Raises:
        InputError: If the input cannot be used, or the folder holds another run.
        WorkError: If training fails.
        KeyboardInterrupt: After an interruption; doing it again goes on.
    """
    # Lightning takes seconds to import: not before it is needed.
    from softcam.workflows.train import train

    started = check_started(work)
    if not Run(work.config.out).finished:
        train(work.config, resume=started, show_progress=False)
    judge_once(work.config, work.split, work.how, work.judged)


def check_started(work: Work) -> bool:
    """Say whether a run was started; leftovers of a start that did not get far are removed.

    Raises:
        InputError: If the folder holds a run of other settings.
    """
    folder = work.config.out
    run = Run(folder)
    if not (folder / "config.yaml").is_file():
        for path in folder.glob(".*") if folder.is_dir() else ():
            if path.is_file():  # half of a file that was being written when the run was killed
                path.unlink()
        return False
    stored = run.config()
    for name in TrainConfig.model_fields:
        if changes_no_number(name) or name == "out":
            continue
        before, now = getattr(stored, name), getattr(work.config, name)
        if not same_setting(before, now):
            raise InputError(
                f"{folder}: was trained with {name} {before}, not {now}; choose another --out or "
                "remove the folder."
            )
    return True


def outcome(error: BaseException) -> tuple[int, str]:
    """Turn what was raised into an exit code and a sentence."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    said = " ".join(str(error).split())
    if isinstance(error, WorkError | MissingExtraError):
        return FAILED, said
    if isinstance(error, SoftcamError):
        return BAD_INPUT, said
    return FAILED, f"failed with {type(error).__name__}: {said[:300]}"


def main(arguments: Sequence[str]) -> int:
    """Do the work that a file describes.

    Args:
        arguments: The file's path.

    Returns:
        The exit code.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if "OMP_NUM_THREADS" in os.environ:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        do(Work.read(Path(arguments[0]).read_text("utf-8")))
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("SOFTCAM_DEBUG"):
            import traceback

            traceback.print_exc()
        code, reason = outcome(error)
        print(reason, file=sys.stderr, flush=True)
        return code
    return 0


def _end_with_parent() -> None:
    """Stop when the sweep is gone: nobody would stop two processes from training one run."""
    # A pipe that the sweep holds open and never writes to. Not through sys.stdin, whose lock a
    # thread that waits in it would still hold when the interpreter ends.
    os.read(0, 1)
    os._exit(FAILED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
