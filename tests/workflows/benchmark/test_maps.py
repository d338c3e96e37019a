"""Maps are computed once and found again by content."""

import gc
import math

import numpy as np
import pytest
import torch

from softcam.conversion.create import create_model
from softcam.explanation.attributions.native import EVIDENCE
from softcam.explanation.attributions.subject import subject_of
from softcam.workflows.benchmark.maps import MapStore, subject_digest
from softcam.workflows.benchmark.memory import PeakMemory


@pytest.fixture
def subject():
    torch.manual_seed(0)
    return subject_of(create_model("test_resnet", num_classes=2))


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)


CLASSES = np.array([1, 0, 1])


def direct(subject, images, contrast=False):
    with torch.no_grad():
        evidence = subject.softcam(torch.from_numpy(images)).evidence.numpy()
    if contrast:
        evidence = evidence - evidence[:, ::-1]
    return evidence[np.arange(3), CLASSES]


def test_a_rerun_reads_the_same_maps_and_computes_none(subject, images, tmp_path):
    store = MapStore(tmp_path)
    first = store.maps(EVIDENCE, subject, images, CLASSES, contrast=False, timed=True)
    np.testing.assert_allclose(first, direct(subject, images), rtol=1e-6)
    again = MapStore(tmp_path)
    second = again.maps(EVIDENCE, subject, images, CLASSES, contrast=False, timed=True)
    assert np.array_equal(first, second)
    assert (store.computed, again.computed) == (3, 0)
    assert math.isfinite(store.costs["SoftCAM", "evidence", False].median)
    assert again.costs == store.costs  # what they cost when they were computed


def test_maps_that_are_not_timed_leave_the_cost_alone(subject, images):
    store = MapStore(None)
    store.maps(EVIDENCE, subject, images, CLASSES, contrast=False)
    assert not store.costs


def test_only_what_is_missing_is_computed(subject, images, tmp_path):
    MapStore(tmp_path).maps(EVIDENCE, subject, images[:2], CLASSES[:2], contrast=False)
    assert len(list(tmp_path.rglob("*.npy"))) == 2  # and no cost, which was not asked for
    found = MapStore(tmp_path).maps(EVIDENCE, subject, images, CLASSES, contrast=False)
    np.testing.assert_allclose(found, direct(subject, images), rtol=1e-5, atol=1e-6)
    assert len(list(tmp_path.rglob("*.npy"))) == 3


def test_another_class_score_or_weight_is_another_map(subject, images, tmp_path):
    store = MapStore(tmp_path)
    store.maps(EVIDENCE, subject, images, CLASSES, contrast=False)
    against = store.maps(EVIDENCE, subject, images, CLASSES, contrast=True)
    np.testing.assert_allclose(against, direct(subject, images, contrast=True), rtol=1e-5)
    before = subject_digest(subject)
    with torch.no_grad():
        subject.softcam.head.conv.weight += 1
    assert subject_digest(subject) != before
    changed = MapStore(tmp_path).maps(EVIDENCE, subject, images, CLASSES, contrast=False)
    np.testing.assert_allclose(changed, direct(subject, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stages", [(1, 2), 1])
def test_what_changes_after_training_without_a_weight_is_another_classifier(stages):
    neck = {"neck": "hypercolumn"} if stages != 1 else {}
    model = create_model(
        "test_resnet", num_classes=2, mode="fresh", stages=stages, concentration=1.0, **neck
    )
    found = {subject_digest(subject_of(model))}
    model.head.concentration = 8.0
    found.add(subject_digest(subject_of(model)))
    if neck:
        model.backbone.placed = [
            [axis._replace(offset=axis.offset + 0.1) for axis in stage]
            for stage in model.backbone.placed
        ]
        found.add(subject_digest(subject_of(model)))
    assert len(found) == 2 + bool(neck)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00 not a map", None])
def test_a_damaged_map_is_computed_again(subject, images, tmp_path, damage):
    MapStore(tmp_path).maps(EVIDENCE, subject, images, CLASSES, contrast=False)
    for path in tmp_path.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    again = MapStore(tmp_path).maps(EVIDENCE, subject, images, CLASSES, contrast=False)
    np.testing.assert_allclose(again, direct(subject, images), rtol=1e-6)


def test_without_a_folder_nothing_is_kept(subject, images):
    store = MapStore(None)
    maps = store.maps(EVIDENCE, subject, images, CLASSES, contrast=False)
    np.testing.assert_allclose(maps, direct(subject, images), rtol=1e-6)


def test_memory_growth_sees_a_large_array():
    grown = [growth_of_a_large_array() for _ in range(3)]
    # The kernel may take cold pages away meanwhile, which hides growth: not three times.
    assert math.isnan(grown[0]) or 50 < max(grown) < 400


def growth_of_a_large_array():
    with PeakMemory(torch.device("cpu")) as memory:
        np.ones((64, 2**20), dtype=np.uint8)
    return memory.grown_mib


def test_garbage_of_earlier_work_does_not_hide_growth():
    class Left:
        def __init__(self) -> None:
            self.itself = self
            self.array = np.ones((200, 2**20), dtype=np.uint8)

    grown = []
    for _ in range(3):
        Left()  # unreachable, but in a cycle: only the collector frees it
        with PeakMemory(torch.device("cpu")) as memory:
            gc.collect()
            np.ones((64, 2**20), dtype=np.uint8)
        grown.append(memory.grown_mib)
    assert math.isnan(grown[0]) or 50 < max(grown) < 400
