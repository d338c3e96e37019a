import pytest
import torch

from softcam.errors import InputError
from softcam.training.config import make_config
from softcam.training.precision import choose_device, choose_precision


def config(**values):
    return make_config({"table": "t", "out": "o", **values})


def test_every_precision_has_lightnings_name():
    assert choose_precision(config(precision="32"), "cuda") == "32-true"
    assert choose_precision(config(precision="bf16"), "cpu") == "bf16-mixed"
    assert choose_precision(config(precision="fp16"), "cuda") == "16-mixed"


def test_half_precision_is_refused_on_the_processor():
    with pytest.raises(InputError, match="fp16 needs a CUDA GPU, and this run is on the CPU"):
        choose_precision(config(precision="fp16"), "cpu")


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(config()) == "cpu"
    with pytest.raises(InputError, match="use --device cpu"):
        choose_device(config(device="cuda"))
