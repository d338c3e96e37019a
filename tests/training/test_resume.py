import random

import lightning
import numpy as np
import pytest
import torch

from softcam.training.resume import Patience, random_state, set_random_state
from tests.training.children import draw, train


def drawn():
    return random.random(), np.random.rand(), float(torch.rand(()))


def test_the_random_generators_are_put_back_through_a_file(tmp_path):
    random.gauss(0, 1)  # leaves a second number behind
    torch.save(random_state(), tmp_path / "state")
    expected = drawn()
    drawn()
    set_random_state(torch.load(tmp_path / "state", weights_only=True))
    assert drawn() == expected
    assert drawn() != expected


class _Stop(lightning.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *rest):
        if trainer.global_step == self.step:
            raise KeyError("stop")


@pytest.mark.parametrize("step", [6, 8, 11])
def test_workers_load_what_comes_next_and_not_what_an_epoch_begins_with(step, tmp_path):
    draw(tmp_path / "data")
    settings = {"workers": 1, "checkpoint_steps": 1, "augment": "fundus", "epochs": 2}
    whole = train(tmp_path / "data", tmp_path / "whole", **settings)
    with pytest.raises(KeyError, match="stop"):
        train(tmp_path / "data", tmp_path / "broken", _Stop(step), **settings)
    resumed = train(tmp_path / "data", tmp_path / "broken", **settings)
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_run_that_was_killed_when_it_should_have_stopped_stops(tmp_path):
    draw(tmp_path / "data")

    class KilledAtTheEnd(lightning.Callback):
        def on_train_end(self, trainer, module):
            raise KeyError("killed")

    settings = {"patience": 2, "epochs": 30, "lr": 1e-9, "weight_decay": 0.0}
    with pytest.raises(KeyError, match="killed"):
        train(tmp_path / "data", tmp_path / "run", KilledAtTheEnd(), **settings)
    resumed = train(tmp_path / "data", tmp_path / "run", **settings)
    assert len(resumed.history) < 10
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] + 1 == len(resumed.history)
    assert any(name.startswith(Patience.__name__) for name in state["callbacks"])
