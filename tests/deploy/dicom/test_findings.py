from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from softcam.deploy.dicom.findings import find, one_polygon
from softcam.evidence.info import Task
from softcam.explanation.outline import trace


def _crossings_and_turns(corners: np.ndarray, x: float, y: float) -> tuple[bool, int]:
    """Whether a point is inside by the even-odd rule, and how often the polygon turns around it."""
    crossed, turns = False, 0
    for (x0, y0), (x1, y1) in pairwise(corners.tolist()):
        if (y0 > y) == (y1 > y) or x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            continue
        crossed = not crossed
        turns += 1 if y1 > y0 else -1
    return crossed, turns


@pytest.mark.parametrize("seed", range(8))
def test_one_polygon_holds_the_cells_of_its_loops_and_no_others(seed):
    mask = np.random.default_rng(seed).random((7, 9)) < (0.35, 0.5, 0.65, 0.8)[seed % 4]
    loops = [tuple(map(tuple, loop.tolist())) for loop in trace(mask)]
    assert len(loops) > 1
    corners = one_polygon(loops)
    np.testing.assert_array_equal(corners[0], corners[-1])
    for row in range(7):
        for column in range(9):
            # Off the middle, where no line that joins two corners runs.
            found = _crossings_and_turns(corners, column + 0.49317, row + 0.51273)
            assert found == (mask[row, column], int(mask[row, column]))


def test_a_single_loop_is_only_closed():
    square = ((1.0, 2.0), (4.0, 2.0), (4.0, 6.0), (1.0, 6.0))
    np.testing.assert_array_equal(one_polygon([square]), [*square, square[0]])


def test_each_class_has_its_answer_its_regions_and_their_pixels(explained):
    _, explanation = explained("radiograph")
    found = find(explanation)
    assert [finding.name for finding in found] == ["healthy", "Ödem"]
    assert sum(finding.probability for finding in found) == pytest.approx(1)
    assert [finding.called for finding in found] == [
        finding.name in explanation.predicted for finding in found
    ]
    for index, finding in enumerate(found):
        assert finding.logit == pytest.approx(float(explanation.logits[index]), abs=1e-5)
        assert finding.region_threshold == pytest.approx(explanation.evidence[index].max() / 2)
        assert finding.mask.shape == explanation.image.shape[:2]
        assert finding.mask.any() == bool(finding.regions)


def test_contrast_takes_the_class_against_the_other(scattered):
    _, explanation = scattered("radiograph")
    found = find(explanation, contrast=True)
    own = explanation.evidence[0] - explanation.evidence[1]
    assert found[0].logit == pytest.approx(own.mean(), abs=1e-5)


def test_only_the_class_that_a_threshold_decides_has_one(scattered):
    _, explanation = scattered("radiograph")
    explanation.info.thresholds = {"Ödem": 0.3}
    assert [finding.call_threshold for finding in find(explanation)] == [None, 0.3]
    explanation.info.task = Task.MULTILABEL
    assert [finding.call_threshold for finding in find(explanation)] == [0.5, 0.3]
    explanation.info.task = Task.MULTICLASS
    assert [finding.call_threshold for finding in find(explanation)] == [None, None]


def test_regions_in_padding_only_are_left_out(scattered):
    # A wide image in a taller input: the first and last rows of cells are padding.
    _, explanation = scattered("slice", resize="pad")
    explanation.evidence[0] = -1.0
    explanation.evidence[0, 4, 0] = 5.0
    explanation.evidence[0, 4, 6] = 5.0
    explanation.logits[0] = explanation.evidence[0].mean(dtype=np.float64)
    shown = explanation.geometry.cell_boxes([(4, 0), (4, 6)], (9, 12))
    assert (shown[0, 2], shown[1, 2] > 0) == (0.0, True)
    found = find(explanation)[0]
    assert len(found.regions) == 1
    assert found.mask.any()
