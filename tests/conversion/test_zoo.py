"""One representative of every timm module, and of every torchvision one, converts or is refused.

`benchmarks/zoo.py` does the same with every name.
"""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from timm.models import _registry
from torch import nn

from softcam.conversion.convert import convert
from softcam.conversion.errors import ConversionError, Reason
from tests.conftest import randomise_norms

REPRESENTATIVES = {
    "beit": "beit_base_patch16_224",
    "byoanet": "halonet_h1",
    "byobnet": "test_byobnet",
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "test_convnext",
    "cpubone": "cpubone_nano",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny",
    "davit": "davit_tiny",
    "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_patch16_224",
    "densenet": "densenet121",
    "dla": "dla46x_c",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet",
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "vit_tiny_patch16_dinov3_qkvb",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m_enc",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t",
    "inception_next": "inception_next_atto",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s",
    "lowformer": "lowformer_b0",
    "mambaout": "test_mambaout",
    "maxxvit": "test_coatnet",
    "metaformer": "poolformerv2_s12",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "lcnet_035",
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_parfac_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "test_nfnet",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2next50",
    "resnest": "resnest14d",
    "resnet": "test_resnet",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_svt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw",
    "xception": "legacy_xception",
    "xception_aligned": "xception41p",
    "xcit": "xcit_nano_12_p8_224",
}

SMALLER = {
    "beit_base_patch16_224": {"depth": 2, "embed_dim": 96, "num_heads": 2},
    "deepseek_vit_412m": {"depth": 2, "embed_dim": 96, "num_heads": 2},
    "gemma4_vit_167m_enc": {"depth": 2, "embed_dim": 96, "num_heads": 2},
    "naflexvit_base_patch16_parfac_gap": {"depth": 2, "embed_dim": 96, "num_heads": 2},
    "nasnetalarge": {"stem_size": 32, "num_features": 1056},
    "qwen3_vit_88m": {"depth": 2, "embed_dim": 96, "num_heads": 2},
    "samvit_base_patch16_224": {"depth": 2, "embed_dim": 96, "num_heads": 2},
    "vgg11": {"mlp_ratio": 0.03},
}
"""Arguments that make a large representative small; the code is the same."""

TORCHVISION = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_16",
)

LISTED = Path(__file__).parents[2] / "benchmarks" / "expected_refusals.csv"


def expected_refusals() -> dict[str, str]:
    with LISTED.open(newline="") as stream:
        return {f"{row['source']}/{row['name']}": row["reason"] for row in csv.DictReader(stream)}


def awake(model: nn.Module) -> nn.Module:
    """Give values to what starts at zero, so that nothing is right by being nothing."""
    randomise_norms(model)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.uniform_(parameter, -0.05, 0.05)
    return model.eval()


def check(model: nn.Module) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = convert(model)
    size = found.info.input_size
    images = torch.randn(1, found.info.in_chans, *size)
    with torch.no_grad():
        expected, output = model(images), found(images)
    scale = expected.abs().max()
    assert (output.logits - expected).abs().max() <= 1e-4 * scale
    mean = output.evidence.double().mean((2, 3))
    assert (output.logits - mean).abs().max() <= 1e-5 * output.evidence.abs().max()
    assert output.evidence.shape[2:] == found.map_size(size)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_there_is_one_representative_of_each_timm_module():
    installed = {_registry._model_to_module[name] for name in timm.list_models()}
    if timm.__version__ != "1.0.31":
        pytest.skip("the list is that of timm 1.0.31")
    assert set(REPRESENTATIVES) == installed


@pytest.mark.parametrize("module", REPRESENTATIVES)
def test_the_representative_converts_exactly_or_is_refused_as_listed(module):
    name = REPRESENTATIVES[module]
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    arguments = SMALLER.get(name, {})
    model = awake(timm.create_model(name, num_classes=5, **arguments))
    expect(f"timm/{name}", model)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_torchvision_classifier_converts_exactly_or_is_refused_as_listed(name):
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, num_classes=5, **arguments)
    expect(f"torchvision/{name}", awake(model))


def expect(title: str, model: nn.Module) -> None:
    reason = expected_refusals().get(title)
    if reason is None:
        check(model)
        return
    with pytest.raises(ConversionError) as caught:
        convert(model)
    assert caught.value.reason == reason
    assert caught.value.remedy in str(caught.value)


@pytest.mark.slow
def test_every_small_model_of_both_libraries_is_as_listed(tmp_path):
    script = LISTED.with_name("zoo.py")
    arguments = ["--limit", "12000000", "--results", str(tmp_path / "zoo.jsonl")]
    command = [sys.executable, str(script), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_every_listed_refusal_has_a_reason_from_the_closed_list():
    assert set(expected_refusals().values()) <= {str(reason) for reason in Reason}
