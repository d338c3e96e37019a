import torch
from torch import nn

from softcam.evidence.probe import evaluating, probe_input, same_output, smallest_probe


def test_the_probe_is_the_same_for_ever():
    probe = probe_input(3, (4, 5))
    assert probe.shape == (2, 3, 4, 5)
    expected = torch.tensor([0.0, 0.37, 0.74, 1.11, 1.48], dtype=torch.float64) * 2
    position = expected[2]  # row 0, column 2
    first = torch.sin(position * 0.31) + torch.cos(position.square() * 0.011)
    torch.testing.assert_close(probe[0, 0, 0, 2], first.float())


def test_channels_and_images_of_the_probe_differ():
    probe = probe_input(3, (16, 16)).flatten(2)
    assert len({tuple(item.tolist()) for image in probe for item in image}) == 6


def test_evaluating_puts_every_training_flag_back():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout())
    model.train()
    model[0].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert [module.training for module in model] == [False, True]
    assert torch.is_grad_enabled()


def test_the_smallest_size_that_a_model_takes_is_found():
    class Picky(nn.Conv2d):
        def forward(self, x):
            if x.shape[-1] < 200:
                raise RuntimeError("too small")
            return super().forward(x)

    assert smallest_probe(nn.Conv2d(3, 1, 3), 3) == (64, 64)
    assert smallest_probe(Picky(3, 1, 3), 3) == (224, 224)
    assert smallest_probe(nn.Linear(7, 1), 3) is None


def test_outputs_are_the_same_within_the_tolerance_only():
    stored = torch.tensor([[1.0, -10.0]])
    assert same_output(stored, stored + 0.009)
    assert not same_output(stored, stored + 0.011)
    assert not same_output(stored, stored[:, :1])
    assert not same_output(stored, torch.full_like(stored, float("nan")))
