"""A planted shortcut is found by asking again, and no other."""

import numpy as np
import pytest

from softcam.data.annotations import Box
from softcam.evaluation.faithfulness.baselines import Constant
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.benchmark.shortcuts import shortcuts_of
from tests.workflows.benchmark.sample import (
    CORNER,
    MIDDLE,
    SIDE,
    batch_of,
    chosen_of,
    marked_images,
    reader_of,
)


def asked(reader, sizes=(5, 5, 6), images=None):
    """Ask about all distractors, with maps that lie on the marked corner alone."""
    pixels, ill, boxes = marked_images() if images is None else images
    chosen = chosen_of(pixels, ill, boxes)
    parts = np.split(np.arange(len(pixels)), np.cumsum(sizes)[:-1])

    def explain(batch):
        maps = np.zeros((len(batch.rows), SIDE, SIDE), dtype=np.float32)
        maps[:, 0:4, 0:4] = 3
        maps[:, 8, 8] = 16  # a quarter of the whole, on the lesion
        return maps

    found = shortcuts_of(
        reader_of(reader),
        chosen,
        lambda: (batch_of(chosen, pixels, ill, rows) for rows in parts),
        explain,
        Constant((0.1,)),
        BenchmarkSettings(resamples=50),
        method="Evidence, own",
    )
    return {one.finding: one for one in found}


@pytest.mark.parametrize("sizes", [(16,), (5, 5, 6), (1, 14, 1)])
def test_a_model_that_reads_the_mark_is_exposed(sizes):
    found = asked(CORNER, sizes)
    assert list(found) == ["mark", "label"]
    mark = found["mark"]
    assert mark.found
    assert mark.inserted.value == mark.removed.value == 1
    assert (mark.inserted.n, mark.removed.n) == (8, 6)  # the marked ill ones are called so
    assert mark.rise.value > 0.9
    assert mark.fall.value < -0.9
    assert mark.area == 16 / SIDE**2
    assert "uses 'mark' as a shortcut" in mark.sentence()


def test_each_distractor_has_the_energy_on_itself_alone():
    found = asked(CORNER)
    assert found["mark"].energy.value == pytest.approx(0.75)
    assert found["label"].energy.value == 0


def test_a_finding_that_is_marked_but_not_read_is_none():
    label = asked(CORNER)["label"]
    assert not label.found
    assert label.inserted.value == label.removed.value == 0


def test_a_model_that_reads_the_lesion_has_no_shortcut():
    for one in asked(MIDDLE).values():
        assert not one.found
        assert one.inserted.value == 0
        assert one.removed.value == 0
        assert "not seen to hang on" in one.sentence()


def test_what_any_copy_does_is_told_beside():
    """A model that calls ill what has a bright corner, in healthy tissue too."""
    pixels, ill, boxes = marked_images()
    pixels[[0, 2, 4], :, 0:4, 0:4] = 0.9  # healthy, unmarked, and as bright
    mark = asked(CORNER, images=(pixels, ill, boxes))["mark"]
    assert mark.inserted.value == 1
    assert mark.inserted.n == 5  # the bright ones are called ill already
    assert mark.others.value == 3 / 8
    assert 0 < mark.copied.value < 1
    assert mark.beyond.value == pytest.approx(mark.inserted.value - mark.copied.value)


def test_a_lesion_is_not_copied_with_the_mark_that_lies_on_it():
    pixels, ill, boxes = marked_images()

    def label_at(place):
        moved = {
            name: tuple((what, place if what == "label" else box) for what, box in found)
            for name, found in boxes.items()
        }
        return asked(MIDDLE, images=(pixels, ill, moved))

    covered = label_at(Box(6, 6, 4, 4))["label"]  # by the lesion, all of it
    assert covered.inserted.n == covered.copied.n == covered.beyond.n == 0
    assert (covered.others.n, covered.removed.n) == (8, 8)
    assert covered.removed.value == 1  # the lesion goes with it
    assert covered.energy.value == pytest.approx(0.25)
    assert "copied into" not in covered.sentence()
    assert label_at(Box(5, 6, 3, 4))["label"].inserted.value == 0


def test_healthy_images_that_have_the_mark_by_nature_are_counted_apart():
    pixels, ill, boxes = marked_images()
    for row in (0, 2):
        pixels[row, :, 0:4, 0:4] = 1
        boxes = {**boxes, f"{row}.png": (("mark", Box(0, 0, 4, 4)),)}
    mark = asked(CORNER, images=(pixels, ill, boxes))["mark"]
    assert (mark.carriers.value, mark.carriers.n) == (1, 2)
    assert (mark.others.value, mark.others.n) == (0, 6)
    assert mark.inserted.n == 6


def test_without_annotations_or_a_marked_ill_image_nothing_is_asked():
    pixels, ill, _ = marked_images()
    for boxes in ({}, {"0.png": marked_images()[2]["1.png"]}):
        chosen = chosen_of(pixels, ill, boxes)
        found = shortcuts_of(
            reader_of(CORNER),
            chosen,
            lambda chosen=chosen: iter([batch_of(chosen, pixels, ill)]),
            lambda batch: pytest.fail("nothing is marked in an ill image"),
            Constant((0.1,)),
            BenchmarkSettings(resamples=50),
            method="Evidence, own",
        )
        assert found == []
