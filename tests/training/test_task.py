import pytest
import torch
from torch import nn
from torch.nn import functional as F

from softcam.errors import InputError
from softcam.evidence.info import ModelInfo, Task
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from softcam.evidence.penalty import ElasticNet
from softcam.evidence.shaping import flip_disagreement, total_variation
from softcam.training.config import make_config
from softcam.training.recipes import RECIPES
from softcam.training.task import ClassificationTask

BASE = {"table": "t.csv", "out": "run"}
WEIGHTS = torch.tensor([0.5, 2.0, 1.0])


def make_task(weights=None, outputs=3, kind=Task.MULTICLASS, **settings):
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Softplus(),  # smooth, for finite differences
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
    )
    model = SoftCAM(backbone, EvidenceLayer(4, outputs), info=ModelInfo(classes=("a", "b", "c")))
    return ClassificationTask(model, make_config({**BASE, **settings}), kind, weights, 10)


@pytest.fixture
def batch():
    return torch.randn(6, 3, 24, 24), torch.tensor([0, 2, 1, 1, 0, 2])


def test_a_plain_step_is_the_classification_loss_to_the_last_bit(batch):
    task = make_task(WEIGHTS)
    expected = F.cross_entropy(task.model(batch[0]).logits, batch[1], weight=WEIGHTS)
    assert torch.equal(task.training_step(batch, 0), expected)


def test_the_penalty_is_added_to_the_last_bit(batch):
    task = make_task(l1=0.1, l2=0.2)
    output = task.model(batch[0])
    expected = F.cross_entropy(output.logits, batch[1]) + (
        0.1 * output.evidence.abs().mean() + 0.2 * output.evidence.square().mean()
    )
    assert torch.equal(task.training_step(batch, 0), expected)


@pytest.mark.parametrize("n", [2, 4])  # maps of 6 x 6: borders of 4 x 4 tiles cut cells
def test_a_mosaic_step_is_the_loss_of_each_tile(batch, n):
    images, labels = batch
    task = make_task(WEIGHTS, mosaic=n, mosaic_share=1.0, l1=0.3)
    mosaic = task.shaping.mosaic(6, 0, 0)
    evidence = task.model(mosaic.images(images)).evidence
    # Each cell cut into quarters, so that the 24 pixels' borders are grid lines.
    fine = evidence.repeat_interleave(4, 2).repeat_interleave(4, 3)
    side = 24 // n
    logits = [
        fine[m, :, i * side : (i + 1) * side, j * side : (j + 1) * side].mean((1, 2))
        for m in range(mosaic.count)
        for i in range(n)
        for j in range(n)
    ]
    expected = (
        F.cross_entropy(torch.stack(logits), labels[list(mosaic.order)], weight=WEIGHTS)
        + 0.3 * evidence.abs().mean()
    )
    torch.testing.assert_close(task.training_step(batch, 0), expected)


def test_mosaic_steps_take_multilabel_targets_and_one_logit(batch):
    images = batch[0]
    many = torch.randint(0, 2, (6, 3)).float()
    many[0, 1] = float("nan")
    shaped = {"mosaic": 2, "mosaic_share": 1.0, "l1": 0.1, "penalty_classes": "target"}
    for target, outputs, kind in (
        (many, 3, Task.MULTILABEL),
        (torch.tensor([0, 1, 1, 0, 0, 1]), 1, Task.BINARY),
    ):
        task = make_task(outputs=outputs, kind=kind, **shaped)
        assert task.training_step((images, target), 0).isfinite()


def test_steps_differ_by_their_place_alone(batch):
    task = make_task(mosaic=[2, 4], l1=0.1)
    values = [task.training_step(batch, step).item() for step in range(12)]
    torch.rand(3)
    assert [task.training_step(batch, step).item() for step in range(12)] == values
    scales = [task.shaping.mosaic(6, 0, step) for step in range(12)]
    assert {None if item is None else item.scale for item in scales} == {None, 2, 4}
    plain = {value for value, item in zip(values, scales, strict=True) if item is None}
    assert len(plain) == 1


def test_total_variation_and_consistency_are_added_to_plain_batches(batch):
    images, labels = batch
    task = make_task(total_variation=0.3, consistency=0.7, consistency_share=1.0)
    output = task.model(images)
    axes = task.shaping.mirrored(0, 0)
    mirrored = task.model(images.flip(axes)).evidence
    expected = (
        F.cross_entropy(output.logits, labels)
        + 0.3 * total_variation(output.evidence)
        + 0.7 * flip_disagreement(output.evidence, mirrored, axes)
    )
    torch.testing.assert_close(task.training_step(batch, 0), expected)


def test_the_penalty_of_the_first_step_of_a_warm_up_is_zero(batch):
    task = make_task(l1=0.5, penalty_warmup=0.5)
    expected = F.cross_entropy(task.model(batch[0]).logits, batch[1])
    assert torch.equal(task.training_step(batch, 0), expected)


def test_the_penalty_sees_the_labels(batch):
    task = make_task(l1=0.5, penalty_classes="target", penalty_on="contrast")
    output = task.model(batch[0])
    penalty = ElasticNet(0.5, on="contrast", classes="target")(output.evidence, batch[1])
    expected = F.cross_entropy(output.logits, batch[1]) + penalty
    torch.testing.assert_close(task.training_step(batch, 0), expected)


def test_a_black_box_has_nothing_to_shape(batch):
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 3))
    config = make_config({**BASE, "black_box": True})
    task = ClassificationTask(plain, config, Task.MULTICLASS, None, 10)
    expected = F.cross_entropy(plain(batch[0]), batch[1])
    assert torch.equal(task.training_step(batch, 0), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"l1": 0.3, "l2": 0.2},
        {"l1": 0.3, "l2": 0.2, "penalty_form": "norm", "penalty_on": "contrast"},
        {"l1": 0.3, "penalty_form": "sum", "penalty_classes": "not_target"},
        {"l1": 0.3, "l2": 0.2, "mosaic": 4, "mosaic_share": 1.0, "penalty_classes": "target"},
        {"total_variation": 0.3, "consistency": 0.7, "consistency_share": 1.0},
    ],
    ids=str,
)
def test_gradients_of_the_whole_loss_agree_with_finite_differences(batch, settings):
    task = make_task(**settings).double()
    batch = batch[0].double(), batch[1]
    task.training_step(batch, 0).backward()
    generator = torch.Generator().manual_seed(0)
    checked = 0
    for parameter in task.parameters():
        flat = parameter.data.view(-1)
        for place in torch.randperm(len(flat), generator=generator)[:4].tolist():
            before, step = float(flat[place]), 1e-6
            with torch.no_grad():
                flat[place] = before + step
                above = task.training_step(batch, 0)
                flat[place] = before - step
                below = task.training_step(batch, 0)
                flat[place] = before
            slope = (above - below) / (2 * step)
            torch.testing.assert_close(parameter.grad.view(-1)[place], slope, rtol=1e-5, atol=1e-8)
            checked += 1
    assert checked == 23


def focused(**settings):
    task = make_task(concentration=1.5, **settings)
    task.model.head.concentration = 1.5
    return task


def plain_of(task, images):
    return task.model.head.conv(task.model.backbone(images))


def test_a_concentrated_step_adds_the_loss_of_the_plain_means(batch):
    task = focused(plain_loss=0.5, l1=0.2)
    images, labels = batch
    plain = plain_of(task, images)
    evidence = 36 * plain.flatten(2).mul(1.5).softmax(2).view_as(plain) * plain
    expected = (
        F.cross_entropy(evidence.mean((2, 3)), labels)
        + 0.5 * F.cross_entropy(plain.mean((2, 3)), labels)
        + 0.2 * evidence.abs().mean()
    )
    torch.testing.assert_close(task.training_step(batch, 0), expected)


def test_concentration_rises_during_its_warm_up_and_validation_sees_it_whole(batch, monkeypatch):
    task = focused(concentration_warmup=0.5)  # of 10 steps
    images, labels = batch
    plain = plain_of(task, images)
    for step, risen in ((0, 0.0), (2, 0.4), (5, 1.0), (9, 1.0)):
        monkeypatch.setattr(type(task), "global_step", step)
        weights = plain.flatten(2).mul(1.5 * risen).softmax(2).view_as(plain)
        expected = F.cross_entropy((weights * plain).sum((2, 3)), labels)
        torch.testing.assert_close(task.training_step(batch, 0), expected)
        torch.testing.assert_close(task(images)[0], task.model(images).logits)


def test_what_concentration_needs_is_refused_without_it():
    with pytest.raises(InputError, match="plain_loss is of no use without concentration"):
        make_config({**BASE, "plain_loss": 0.5})
    with pytest.raises(InputError, match="concentration_warmup is of no use"):
        make_config({**BASE, "concentration_warmup": 0.5})


def test_a_recipe_fills_in_its_settings_and_what_is_given_wins():
    chosen = make_config({**BASE, "recipe": "focused", "concentration": 2, "stages": [2, 3]})
    assert (chosen.neck, chosen.concentration, chosen.stages) == ("hypercolumn", 2.0, (2, 3))
    assert chosen.plain_loss == RECIPES["focused"]["plain_loss"]
    again = make_config({**chosen.model_dump(mode="json")})
    assert again == chosen
    twin = chosen.for_twin()
    plain = make_config({**BASE, "black_box": True, "out": "run/twin"})
    assert twin == plain


def test_an_epoch_within_the_warm_up_is_never_the_best(batch, monkeypatch):
    task = focused(concentration_warmup=0.5)  # of 10 steps
    logged = {}
    monkeypatch.setattr(
        task, "log", lambda name, value, **_: logged.__setitem__(name, float(value))
    )
    scores = []
    for step in (2, 4, 5, 10):
        monkeypatch.setattr(type(task), "global_step", step)
        with torch.no_grad():
            task.on_validation_epoch_start()
            task.validation_step(batch, 0)
            task.on_validation_epoch_end()
        scores.append(logged["val_score"])
    assert scores[2] == scores[3] == pytest.approx(logged["val_auc"])
    assert scores[1] < scores[2] - 100
    assert scores[0] < scores[1], "each epoch of the warm-up must look better to early stopping"
