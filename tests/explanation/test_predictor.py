from __future__ import annotations

import subprocess
import sys

import numpy as np
import torch

from softcam.explanation.predictor import Predictor, TorchPredictor, evaluating


def batch(count=2):
    return np.random.default_rng(0).normal(size=(count, 3, 32, 32)).astype(np.float32)


def test_it_is_a_predictor_and_gives_float32_arrays(softcam_model):
    predictor = TorchPredictor(softcam_model)
    assert isinstance(predictor, Predictor)
    assert predictor.info is softcam_model.info
    logits, evidence = predictor.predict(batch())
    assert (logits.shape, evidence.shape) == ((2, 3), (2, 3, 8, 8))
    assert logits.dtype == evidence.dtype == np.float32
    np.testing.assert_allclose(logits, evidence.mean(axis=(2, 3)), atol=1e-6)


def test_it_runs_in_eval_mode_and_leaves_every_part_in_its_own(softcam_model):
    softcam_model.train()
    softcam_model.backbone[1].eval()
    state = {name: value.clone() for name, value in softcam_model.state_dict().items()}
    modes = [part.training for part in softcam_model.modules()]
    predictor = TorchPredictor(softcam_model)
    first, second = predictor.predict(batch()), predictor.predict(batch())
    np.testing.assert_array_equal(first[1], second[1])  # no dropout
    assert modes == [part.training for part in softcam_model.modules()]
    assert all(torch.equal(state[name], v) for name, v in softcam_model.state_dict().items())


def test_a_failing_run_also_restores_the_mode(softcam_model):
    softcam_model.train()
    try:
        with evaluating(softcam_model):
            raise ValueError
    except ValueError:
        pass
    assert softcam_model.training


def test_a_float64_model_takes_float32_input(softcam_model):
    logits, _ = TorchPredictor(softcam_model.double()).predict(batch())
    assert logits.dtype == np.float32


def test_autocast_around_the_call_changes_nothing(softcam_model):
    predictor = TorchPredictor(softcam_model, device="cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = predictor.predict(batch())
    np.testing.assert_array_equal(inside[1], predictor.predict(batch())[1])


def test_the_layout_in_memory_changes_only_rounding(softcam_model):
    own = TorchPredictor(softcam_model).predict(batch())
    with evaluating(softcam_model), torch.inference_mode():
        plain = softcam_model.double()(torch.from_numpy(batch()).double())
    np.testing.assert_allclose(own[0], plain.logits, atol=1e-5)
    np.testing.assert_allclose(own[1], plain.evidence, atol=1e-5)
    assert own[1].flags.c_contiguous


class Flattening(torch.nn.Module):
    """Takes its input's memory for rows of pixels, as much code does."""

    def forward(self, images):
        return images.view(len(images), -1).view(images.shape)


def test_a_module_that_flattens_by_view_runs_too(softcam_model):
    expected = TorchPredictor(softcam_model).predict(batch())
    softcam_model.backbone.insert(0, Flattening())
    predictor = TorchPredictor(softcam_model)
    for _ in range(2):
        np.testing.assert_allclose(predictor.predict(batch())[1], expected[1], atol=1e-5)


def test_the_room_imports_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import softcam.explanation.explain, softcam.explanation.page\n"
        "import softcam.explanation.saving, softcam.explanation.figure"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
