"""What happens beside training: the history, and a progress bar with the remaining time."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from softcam.files import write_atomically

_COLUMNS = ("train_loss", "train_penalty", "val_loss", "val_auc")


class History(Callback):
    """One row per epoch, kept in the checkpoint and written to `logs/metrics.csv`.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float | int | None]] = []
        self._started = time.monotonic()

    def on_fit_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Take out of the file what came after the checkpoint, since it will come again."""
        if self.rows or self.path.exists():
            self._write(trainer)

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Start the epoch's clock."""
        self._started = time.monotonic()

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch's row, before its checkpoint is written."""
        if trainer.sanity_checking:
            return
        row: dict[str, float | int | None] = {"epoch": trainer.current_epoch + 1}
        logged = {**trainer.logged_metrics, **trainer.callback_metrics}
        for name in _COLUMNS:
            if name in logged:
                value = float(logged[name])
                row[name] = value if value == value else None
        row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row["seconds"] = round(time.monotonic() - self._started, 2)
        self.rows.append(row)
        self._write(trainer)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Complete the row with what is known only now: the epoch's training loss."""
        if not self.rows:
            return
        for name in ("train_loss", "train_penalty"):
            if name in trainer.callback_metrics:
                self.rows[-1][name] = float(trainer.callback_metrics[name])
        self._write(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Give the rows to the checkpoint, as primitives."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows from the checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]

    def _write(self, trainer: lightning.Trainer) -> None:
        if not trainer.is_global_zero:
            return
        stream = io.StringIO()
        names = ["epoch", *_COLUMNS, "lr", "seconds"]
        writer = csv.DictWriter(stream, names, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, stream.getvalue())


class TrainingProgress(Callback):
    """One bar over all epochs, with the remaining time; a line per epoch where there is no screen.

    Args:
        name: What is being trained.
        shown: False for none.
    """

    def __init__(self, name: str, *, shown: bool = True) -> None:
        self.name = name
        self.shown = shown
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Open the bar at the step where the run is."""
        if not self.shown:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            disable=None if not self.shown else False,
        )
        total = int(trainer.num_training_batches) * int(trainer.max_epochs or 0)
        self._task = self._bar.add_task(self.name, total=total, completed=trainer.global_step)
        if self._bar.console.is_terminal:
            self._bar.start()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Show the epoch's figures."""
        if self._bar is None or self._task is None:
            return
        auc = float(trainer.callback_metrics.get("val_auc", float("nan")))
        loss = float(trainer.callback_metrics.get("train_loss", float("nan")))
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        text = f"{self.name}: {epoch}, loss {loss:.3f}, val AUC {auc:.3f}"
        self._bar.update(self._task, description=text)
        if not self._bar.console.is_terminal:
            seconds = self._bar.tasks[0].time_remaining
            left = "" if seconds is None else f", about {seconds:.0f} s left"
            self._bar.console.print(text + left)

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """Close the bar, also after an interruption."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
