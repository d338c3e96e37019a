import numpy as np
import pytest

from softcam.deploy.export.verify import TOLERANCES, compared, relative_error
from softcam.errors import WorkError
from tests.deploy.export.sample import batch, by_hand


def pair(scale=1.0):
    logits, evidence = (values.astype(np.float32) for values in by_hand(batch()))
    return logits * np.float32(scale), evidence * np.float32(scale)


def test_errors_are_shares_of_the_largest_value():
    logits, evidence = pair()
    other = evidence.copy()
    other[0, 0, 0, 0] += 1e-5 * np.abs(evidence).max()
    found = compared((logits, evidence), (logits, other), precision="fp32", images="two images")
    assert found.evidence == pytest.approx(1e-5, rel=0.1)
    assert found.logits == 0
    assert found.count == 2
    assert found.tolerances == TOLERANCES["fp32"]
    assert relative_error(np.float32([2, -4]), np.float32([2, -3])) == 0.25


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_another_model_is_found_out(precision):
    with pytest.raises(WorkError, match=rf"logits differ by .* allowed for {precision}; nothing"):
        compared(pair(), pair(1.1), precision=precision, images="")


def test_eight_bits_are_measured_elsewhere_and_must_be_complete():
    compared(pair(), pair(1.1), precision="int8", images="")
    logits, evidence = pair()
    with pytest.raises(WorkError, match="completeness differ"):
        compared((logits, evidence), (logits * 1.01, evidence), precision="int8", images="")


def test_values_that_are_no_numbers_and_other_shapes_are_found_out():
    logits, evidence = pair()
    with pytest.raises(WorkError, match="differ by nan"):
        compared((logits, evidence), (logits * np.nan, evidence), precision="fp32", images="")
    with pytest.raises(WorkError, match="evidence of shape"):
        compared((logits, evidence), (logits, evidence[:, :, 1:]), precision="fp32", images="")
