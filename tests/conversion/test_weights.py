import pytest
import safetensors.torch
import timm
import torch

from softcam.conversion.create import create_model
from softcam.conversion.weights import load_weights
from softcam.errors import InputError


@pytest.fixture
def trunk(tmp_path):
    """Half-precision weights of a backbone without classifier."""
    path = tmp_path / "trunk.safetensors"
    state = timm.create_model("resnet18", num_classes=0).half().state_dict()
    safetensors.torch.save_file(state, path)
    return path, state


def test_a_partial_load_is_reported_by_name(trunk):
    path, state = trunk
    model = timm.create_model("resnet18", num_classes=2)
    report = load_weights(model, path)
    assert set(report.missing) == {"fc.weight", "fc.bias"}
    assert report.mismatched == ()
    assert report.unused == ()
    assert "2 not in the file (fc.weight, fc.bias)" in str(report)
    assert model.conv1.weight.dtype == torch.float32
    assert torch.equal(model.conv1.weight, state["conv1.weight"].float())


def test_another_number_of_classes_is_reported_and_stays_random(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(timm.create_model("resnet18", num_classes=7).state_dict(), path)
    report = load_weights(timm.create_model("resnet18", num_classes=2), path)
    assert set(report.mismatched) == {"fc.weight", "fc.bias"}


def test_a_prefix_of_all_names_is_seen_through(trunk, tmp_path):
    _, state = trunk
    wrapped = tmp_path / "wrapped.safetensors"
    safetensors.torch.save_file({"module." + name: value for name, value in state.items()}, wrapped)
    model = timm.create_model("resnet18", num_classes=2)
    assert set(load_weights(model, wrapped).missing) == {"fc.weight", "fc.bias"}


def test_weights_of_a_softcam_run_start_another(tmp_path):
    first = create_model("resnet18", num_classes=2)
    path = first.save(tmp_path / "m.safetensors")
    second = create_model("resnet18", num_classes=5, weights=path)
    assert torch.equal(second.backbone.model.conv1.weight, first.backbone.model.conv1.weight)


def test_the_evidence_comes_from_loaded_stages(trunk):
    path, state = trunk
    model = create_model("resnet18", num_classes=2, stages=3, weights=path)
    assert torch.equal(
        model.backbone.model.layer3[0].conv1.weight, state["layer3.0.conv1.weight"].float()
    )
    assert model.info.training["weights"]["missing"] == ["fc.weight", "fc.bias"]


def test_weights_of_another_backbone_are_refused(trunk):
    with pytest.raises(InputError, match=r"none of its .* tensors fits"):
        load_weights(timm.create_model("vgg11"), trunk[0])


def test_a_missing_or_pickled_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such weights file"):
        load_weights(timm.create_model("resnet18"), tmp_path / "gone")
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="never loaded"):
        load_weights(timm.create_model("resnet18"), tmp_path / "w.pth")
