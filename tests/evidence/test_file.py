import json
import pickle
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

from softcam.errors import InputError, ModelFileError
from softcam.evidence.file import FORMAT, read_model_file
from softcam.evidence.info import ModelInfo, Task
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM


@pytest.fixture
def model():
    info = ModelInfo(
        task=Task.BINARY,
        classes=("healthy", "ill"),
        positive="ill",
        thresholds={"ill": 0.4},
        training={"epochs": 3},
    )
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return SoftCAM(backbone, EvidenceLayer(4, 2), info=info)


def test_everything_comes_back(model, tmp_path):
    file = read_model_file(model.save(tmp_path / "m.safetensors"))
    assert file.info.classes == ("healthy", "ill")
    assert file.info.task is Task.BINARY
    assert file.info.thresholds == {"ill": 0.4}
    assert file.info.training == {"epochs": 3}
    assert "torch" in file.info.versions
    for name, value in model.state_dict().items():
        assert torch.equal(file.weights[name], value)


def test_the_probe_output_is_the_evidence_of_the_probe(model, tmp_path):
    from softcam.evidence.probe import run_probe

    file = read_model_file(model.save(tmp_path / "m.safetensors"))
    assert torch.equal(file.probe_output, run_probe(model, 3, file.probe_size))


def test_saving_leaves_the_training_mode_alone(model, tmp_path):
    model.train()
    before = model.backbone[1].running_mean.clone()
    model.save(tmp_path / "m.safetensors")
    assert model.training
    assert torch.equal(before, model.backbone[1].running_mean)


def test_saving_again_replaces_the_file_and_leaves_nothing_else(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    model.save(tmp_path / "m.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_missing_folder_is_named(model, tmp_path):
    with pytest.raises(InputError, match="cannot write here"):
        model.save(tmp_path / "absent" / "m.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"gone.safetensors: no such model file"):
        read_model_file(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("keep", [1, 7, 100, 0.5, 0.99])
def test_a_truncated_file_is_one_clear_error(model, tmp_path, keep):
    path = model.save(tmp_path / "m.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: keep if keep >= 1 else int(len(data) * keep)])
    with pytest.raises(ModelFileError, match="damaged, cut short or no model file"):
        read_model_file(path)


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "m.safetensors").touch()
    with pytest.raises(ModelFileError, match="is empty"):
        read_model_file(tmp_path / "m.safetensors")


def test_a_foreign_safetensors_file_points_to_weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match=r"not one that softcam wrote.*--weights"):
        read_model_file(path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_is_refused_and_never_run(tmp_path, protocol):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(ModelFileError, match="pickled"):
        read_model_file(path)
    assert not (tmp_path / "ran").exists()


def test_a_torch_checkpoint_is_refused_as_pickled(tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"w": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match="pickled"):
        read_model_file(path)


def rewritten(path, change):
    with safetensors.safe_open(path, framework="pt") as archive:
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        document = json.loads(archive.metadata()["softcam"])
    change(document)
    safetensors.torch.save_file(tensors, path, metadata={"softcam": json.dumps(document)})


def test_a_newer_format_asks_for_an_upgrade(model, tmp_path):
    path = model.save(tmp_path / "m.safetensors")
    rewritten(path, lambda d: d.update(format=FORMAT + 1))
    with pytest.raises(ModelFileError, match=f"has format {FORMAT + 1}.*upgrade softcam"):
        read_model_file(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["info"].update(surprise=1),
        lambda d: d["info"].update(task="guess"),
        lambda d: d.pop("probe"),
        lambda d: d["probe"].update(size=[10**6, 10**6]),
        lambda d: d.pop("format"),
    ],
)
def test_a_changed_description_is_refused(model, tmp_path, change):
    path = model.save(tmp_path / "m.safetensors")
    rewritten(path, change)
    with pytest.raises(ModelFileError):
        read_model_file(path)


def test_description_and_decision_import_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import softcam.evidence.info, softcam.evidence.decision, softcam.errors, softcam.files"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
