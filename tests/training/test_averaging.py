"""The moving average, against the recurrence written out in float64."""

from __future__ import annotations

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from softcam.training.averaging import TRAINING_WEIGHTS, WeightAverage


class Small(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def training_step(self, batch, batch_idx):
        return self.model(batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.2, momentum=0.9)


class Watch(Callback):
    """Keeps the weights after each step, and those that validation saw."""

    def __init__(self, stop_in_epoch=None):
        self.start, self.steps, self.validated = None, [], []
        self.stop_in_epoch = stop_in_epoch

    def on_train_start(self, trainer, pl_module):
        self.start = copy(pl_module)

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.stop_in_epoch:
            raise RuntimeError("stopped")

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.steps.append(copy(pl_module))

    def on_validation_batch_start(self, trainer, pl_module, *_):
        self.validated.append(copy(pl_module))


def copy(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def train(folder, average=None, *, epochs=3, resume=None, stop_in_epoch=None, accumulate=1):
    data = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(TensorDataset(data), batch_size=4)
    watch = Watch(stop_in_epoch)
    saved = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True)
    module = Small()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=[watch, saved, *([average] if average else [])],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accumulate_grad_batches=accumulate,
    )
    try:
        trainer.fit(module, loader, loader, ckpt_path=resume, weights_only=True)
    except RuntimeError as error:
        assert str(error) == "stopped"
    return watch, module


def slow_average(start, steps, decay):
    average = {name: value.double() for name, value in start.items()}
    for n, weights in enumerate(steps):
        d = min(decay, (1 + n) / (10 + n))
        for name, value in weights.items():
            if value.is_floating_point():
                average[name] = d * average[name] + (1 - d) * value.double()
            else:
                average[name] = value.double()
    return average


@pytest.mark.parametrize("decay", [0.2, 0.999])
def test_validation_and_checkpoint_hold_the_average_of_the_weights(decay, tmp_path):
    watch, _ = train(tmp_path, WeightAverage(decay))
    assert len(watch.steps) == 9
    expected = slow_average(watch.start, watch.steps, decay)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    for found in (watch.validated[-1], state["state_dict"]):
        for name, value in expected.items():
            torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)
    assert "model.1.running_var" in expected
    for name, value in watch.steps[-1].items():
        assert torch.equal(state[TRAINING_WEIGHTS][name], value)
    assert not torch.equal(state["state_dict"]["model.0.weight"], value)


def test_averaging_changes_nothing_of_the_training_itself(tmp_path):
    plain, _ = train(tmp_path / "a")
    averaged, _ = train(tmp_path / "b", WeightAverage(0.9))
    for one, other in zip(plain.steps, averaged.steps, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_resumed_average_is_the_same_to_the_last_bit(tmp_path):
    whole, _ = train(tmp_path / "whole", WeightAverage(0.9))
    train(tmp_path / "half", WeightAverage(0.9), stop_in_epoch=2)
    last = tmp_path / "half" / "last.ckpt"
    resumed, _ = train(tmp_path / "half", WeightAverage(0.9), resume=last)
    assert len(resumed.steps) == 3
    for pair in (
        (whole.steps[-1], resumed.steps[-1]),
        (whole.validated[-1], resumed.validated[-1]),
    ):
        assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])


def test_steps_are_averaged_and_not_batches(tmp_path):
    average = WeightAverage(0.9)
    watch, _ = train(tmp_path, average, epochs=2, accumulate=3)
    assert len(watch.steps) == 6
    assert average.updates == 2
