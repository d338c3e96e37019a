import numpy as np
import pytest
import torch

from softcam.evidence.decision import contrast
from softcam.evidence.shaping import contrast_maps, flip_disagreement, total_variation


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_contrast_is_that_of_explanations(count):
    evidence = torch.randn(2, count, 3, 5, dtype=torch.float64)
    np.testing.assert_allclose(
        contrast_maps(evidence).numpy(), contrast(evidence.numpy()), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 2, 4)])
def test_total_variation_is_the_mean_step_between_neighbours(shape):
    evidence = torch.randn(shape, dtype=torch.float64)
    steps = []
    for index in np.ndindex(*shape):
        for axis in range(2, len(shape)):
            after = list(index)
            after[axis] += 1
            if after[axis] < shape[axis]:
                steps.append(abs(float(evidence[tuple(after)] - evidence[index])))
    torch.testing.assert_close(
        total_variation(evidence), torch.tensor(sum(steps) / len(steps), dtype=torch.float64)
    )


def test_total_variation_of_constant_and_of_single_cell_maps_is_zero():
    assert total_variation(torch.full((2, 2, 3, 3), 4.0)) == 0
    assert total_variation(torch.randn(2, 2, 1, 1)) == 0


@pytest.mark.parametrize("axes", [(-1,), (-2,), (-2, -1)])
def test_mirrored_maps_agree_and_others_differ_by_their_mean_square(axes):
    evidence = torch.randn(2, 3, 4, 5)
    assert flip_disagreement(evidence, torch.flip(evidence, axes), axes) == 0
    other = torch.randn(2, 3, 4, 5)
    expected = np.mean((other.numpy() - np.flip(evidence.numpy(), axes)) ** 2)
    assert float(flip_disagreement(evidence, other, axes)) == pytest.approx(expected, rel=1e-5)


def test_gradients_agree_with_finite_differences():
    evidence = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    other = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(contrast_maps, evidence)
    assert torch.autograd.gradcheck(total_variation, evidence)
    assert torch.autograd.gradcheck(lambda a, b: flip_disagreement(a, b, (-1,)), (evidence, other))
