"""The estimate against a sum by hand, and what is done costing nothing any more."""

from __future__ import annotations

import json

import pytest

from softcam.errors import InputError
from softcam.workflows.reproduce import cost as costs
from softcam.workflows.reproduce.cost import COST, estimate, hours_text, kept_cost, refuse_above
from softcam.workflows.reproduce.plan import parts
from softcam.workflows.reproduce.settings import make_reproduction
from softcam.workflows.reproduce.timing import Timing, time_models
from softcam.workflows.sweep.plan import run_folder

COUNTS = {"opacity": {"train": 1000, "val": 100, "test": 200}}
BOX, OWN = Timing(2.0, 0.5, 0.25), Timing(3.0, 1.0, 0.25)


@pytest.fixture
def reproduction(tmp_path, monkeypatch):
    settings = make_reproduction(
        {
            "data_set": "rsna-pneumonia",
            "data": tmp_path,
            "out": tmp_path,
            "models": ["resnet50"],
            "methods": ["grad-cam"],
            "device": "cpu",
            "precision": "32",
            "workers": 0,
            "epochs": 4,
            "limit": 50,
            "followed": 10,
            "probes": 5,
        }
    )
    monkeypatch.setattr(
        costs, "time_models", lambda *_: {"resnet50 black box": BOX, "resnet50 SoftCAM": OWN}
    )
    return settings, parts(settings)


def by_hand(timing: Timing, epochs: int) -> float:
    """Reading is not beside the steps, for want of workers."""
    epoch = 1000 * (timing.step + 0.25) + 100 * (timing.forward + 0.25)
    looks = costs._LOOKS * 300 * (timing.forward + 0.25)
    judged = 2 * 50 * 2 * costs._JUDGED_POINTS * timing.forward
    return (epochs * epoch + looks + judged) / 3600


def test_training_is_steps_times_images_times_epochs(reproduction):
    settings, planned = reproduction
    found = estimate(settings, planned, COUNTS)
    assert found.parts[0].runs == 5
    assert found.parts[0].training == pytest.approx(by_hand(BOX, 4) + 4 * by_hand(OWN, 4))
    # 4 native and 1 post-hoc method, own and contrast, in forward passes:
    points = 2 * 8  # deletion and insertion: the whole image and 1, 2, 3, 5, 7, 10, 15 patches
    native = 50 * 1 + 10 * points + 5 * (costs._PROBE_PASSES + 1)
    post_hoc = 50 * 3 + 10 * points + 5 * (costs._PROBE_PASSES + 3)
    assert found.parts[0].explaining == pytest.approx(2 * (4 * native + post_hoc) * 1.0 / 3600)
    assert found.hours == pytest.approx(found.parts[0].training + found.parts[0].explaining)
    assert "a GPU takes a small part" in found.sentence()


def test_what_is_done_costs_nothing(reproduction):
    settings, (part,) = reproduction
    done = run_folder(part.sweep.out, part.names["black-box"], 0)
    done.mkdir(parents=True)
    (done / "metrics.json").write_text("{}")
    half = run_folder(part.sweep.out, part.names["dense"], 0) / "logs"
    half.mkdir(parents=True)
    (half / "metrics.csv").write_text("epoch\n1\n2\n3\n")
    found = estimate(settings, (part,), COUNTS)
    assert found.parts[0].runs == 4
    assert found.parts[0].training == pytest.approx(by_hand(OWN, 1) + 3 * by_hand(OWN, 4))


def test_timings_are_kept_for_the_same_machine_and_models(reproduction, monkeypatch):
    settings, planned = reproduction
    found = estimate(settings, planned, COUNTS)
    (settings.out / COST).write_text(json.dumps(found.to_dict()))

    def never(*_):
        raise AssertionError("timed again")

    monkeypatch.setattr(costs, "time_models", never)
    assert estimate(settings, planned, COUNTS).timings == found.timings
    larger = settings.model_copy(update={"size": 64})
    with pytest.raises(AssertionError, match="timed again"):
        estimate(larger, parts(larger), COUNTS)


def test_the_first_estimate_is_kept_beside_what_is_left(reproduction):
    settings, (part,) = reproduction
    first = kept_cost(settings.out / COST, estimate(settings, (part,), COUNTS))
    assert "left" not in first
    (settings.out / COST).write_text(json.dumps(first))
    for name in part.names.values():
        done = run_folder(part.sweep.out, name, 0)
        done.mkdir(parents=True)
        (done / "metrics.json").write_text("{}")
    later = kept_cost(settings.out / COST, estimate(settings, (part,), COUNTS))
    assert later["hours"] == first["hours"]
    assert 0 < later["left"]["hours"] < first["hours"]
    (settings.out / COST).write_text("{")
    assert "left" not in kept_cost(settings.out / COST, estimate(settings, (part,), COUNTS))


def test_a_limit_refuses_what_is_above_it(reproduction):
    found = estimate(*reproduction, COUNTS)
    refuse_above(found, found.hours * 1.01)
    refuse_above(found, None)
    with pytest.raises(InputError, match="more than --max-hours 1;"):
        refuse_above(found, 1.0)


def test_hours_have_two_digits_that_count():
    shown = [hours_text(hours) for hours in (0.001, 0.0123, 1.234, 98.7, 1234.5)]
    assert shown == ["under 0.01", "0.012", "1.2", "99", "1234"]


def test_a_real_step_takes_longer_than_a_look(tmp_path):
    given = {"data_set": "oct2017", "data": tmp_path, "out": tmp_path, "models": ["resnet50"]}
    given |= {"training": {"model": "resnet10t"}, "size": 64, "device": "cpu", "precision": "32"}
    part = parts(make_reproduction({**given, "tasks": ["drusen"]}))[0]
    configs = {role: one.run(tmp_path, 0) for role, one in part.recipes().items()}
    found = time_models("oct2017", "oct", {"a": configs["black-box"], "b": configs["elastic"]})
    for timing in found.values():
        assert timing.step > timing.forward > 0 and timing.read > 0
