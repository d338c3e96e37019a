"""Converted models run where users run models: exported, compiled, mixed precision, in parallel."""

import copy
import os

import pytest
import timm
import torch
import torch.distributed
import torchvision
from torch import nn

from softcam.conversion.convert import convert
from tests.conftest import randomise_norms

KINDS = {
    "affine": ("timm", "test_resnet", {}),
    "normalised": ("timm", "test_convnext", {}),
    "gated": ("timm", "mobilenetv3_small_050", {}),
    "gated and normalised": ("timm", "test_mambaout", {}),
    "tokens": ("timm", "test_vit2", {}),
    "windows": ("timm", "vgg11", {"mlp_ratio": 0.02}),
    "before the pool": ("torchvision", "squeezenet1_1", {}),
    "traced": ("torchvision", "regnet_y_400mf", {}),
}


def black_box(kind: str) -> nn.Module:
    source, name, arguments = KINDS[kind]
    if source == "timm":
        model = timm.create_model(name, num_classes=3, **arguments)
    else:
        model = torchvision.models.get_model(name, weights=None, num_classes=3)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.uniform_(parameter, -0.05, 0.05)
    return randomise_norms(model).eval()


@pytest.fixture(params=KINDS)
def pair(request):
    model = black_box(request.param)
    return model, convert(model)


def images_for(found, batch=2):
    return torch.randn(batch, 3, *found.info.input_size)


def close(found, expected, tolerance=1e-5):
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_it_can_be_exported_with_any_batch_size(pair):
    _, found = pair
    images = images_for(found)
    batch = torch.export.Dim("batch", min=1, max=32)
    program = torch.export.export(found, (images,), dynamic_shapes={"x": {0: batch}})
    more = images_for(found, 3)
    with torch.no_grad():
        expected, output = found(more), program.module()(more)
    close(output.logits, expected.logits)
    close(output.evidence, expected.evidence)


@pytest.mark.parametrize("kind", ["affine", "normalised", "gated", "windows", "traced"])
def test_it_compiles_without_a_graph_break(kind):
    found = convert(black_box(kind))
    images = images_for(found)
    compiled = torch.compile(found, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        close(compiled(images).evidence, found(images).evidence)


def test_under_autocast_the_mean_of_the_evidence_stays_the_logit(pair):
    model, found = pair
    images = images_for(found)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = found(images)
    assert output.evidence.dtype == torch.float32
    error = output.logits - output.evidence.double().mean((2, 3))
    assert error.abs().max() <= 1e-5 * output.evidence.abs().max()
    with torch.no_grad():
        close(output.logits, model(images), 0.2)


def test_it_runs_channels_last(pair):
    _, found = pair
    images = images_for(found)
    with torch.no_grad():
        expected = found(images)
        found.to(memory_format=torch.channels_last)
        output = found(images.to(memory_format=torch.channels_last))
    close(output.evidence, expected.evidence, 1e-4)


def test_gradients_reach_every_parameter_and_equal_the_black_boxs(pair):
    model, found = pair
    model, found = model.double(), found.double()
    images = images_for(found).double()
    weights = torch.randn(2, 3).double()
    (found(images).logits * weights).sum().backward()
    assert [name for name, value in found.named_parameters() if value.grad is None] == []
    (model(images) * weights).sum().backward()
    first = next(iter(model.parameters())).grad
    assert any(
        value.grad.shape == first.shape and torch.allclose(value.grad, first, rtol=1e-6, atol=1e-9)
        for value in found.parameters()
    )


def test_a_training_step_lowers_the_loss(pair):
    _, found = pair
    images, labels = images_for(found, 4), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.SGD(found.parameters(), lr=1e-4)
    losses = []
    for _ in range(2):
        loss = nn.functional.cross_entropy(found(images).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[1] < losses[0]


def test_it_has_no_hooks_and_can_be_copied(pair):
    _, found = pair
    for module in found.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert not module._backward_hooks and not module._backward_pre_hooks
    images = images_for(found)
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(found)(images).evidence, found(images).evidence)


@pytest.fixture
def process_group(tmp_path):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", ["affine", "gated", "tokens", "traced"])
def test_it_trains_under_ddp_with_no_unused_parameter(kind, process_group):
    found = convert(black_box(kind)).train()
    parallel = nn.parallel.DistributedDataParallel(found)
    images = images_for(found)
    for _ in range(2):  # the second step would complain about parameters that the first left out
        parallel(images).logits.square().sum().backward()
    assert all(value.grad is not None for value in found.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_runs_on_cuda(pair):
    _, found = pair
    images = images_for(found)
    with torch.no_grad():
        expected = found(images)
        output = found.cuda()(images.cuda())
    close(output.evidence.cpu(), expected.evidence, 1e-3)
