import itertools
import math

import pytest
import torch

from softcam.errors import InputError
from softcam.evidence.penalty import ElasticNet, penalty_factor

FORMS = ("mean", "sum", "norm")
NAN = float("nan")


def slow_penalty(evidence, l1, l2, *, form="mean", on="own", classes="all", target=None):
    """The penalty element by element, from the definition."""
    images, count = evidence.shape[:2]
    labels = None if target is None else target.tolist()
    independent = target is not None and target.ndim == 2

    def value(i, k, p):
        own = float(evidence[i, k].flatten()[p])
        if on == "own" or count == 1 or independent:
            return own
        others = [float(evidence[i, j].flatten()[p]) for j in range(count) if j != k]
        return own - sum(others) / len(others)

    def has(i, k):
        if independent:
            return labels[i][k]
        return labels[i] if count == 1 else float(labels[i] == k)

    def chosen(i, k):
        if classes == "all":
            return True
        if classes == "target":
            return has(i, k) == 1
        return has(i, k) == 0 if classes == "not_target" else k in classes

    rows = []
    for i in range(images):
        cells = range(evidence[i, 0].numel())
        rows.append([value(i, k, p) for k in range(count) if chosen(i, k) for p in cells])
    if form == "mean":
        every = [v for row in rows for v in row]
        total = l1 * sum(map(abs, every)) + l2 * sum(v * v for v in every)
        return total / len(every) if every else 0.0
    power = 1 if form == "sum" else 0.5
    each = [l1 * sum(map(abs, row)) + l2 * sum(v * v for v in row) ** power for row in rows]
    return sum(each) / images


def labels_for(count, kind):
    if kind == "none":
        return None
    if kind == "unknown":
        return torch.tensor([[1.0, NAN, 0.0], [0.0, 0.0, NAN], [1.0, 1.0, 0.0], [NAN] * 3])[
            :, :count
        ]
    return torch.tensor([0, 1, 1, 0]) if count == 1 else torch.tensor([0, 2, 1, 2]) % count


CASES = [
    (form, on, classes, count, kind)
    for form, on, classes, count, kind in itertools.product(
        FORMS,
        ("own", "contrast"),
        ("all", "target", "not_target", (0, 2)),
        (1, 2, 3),
        ("none", "known", "unknown"),
    )
    if not (kind == "none" and classes in ("target", "not_target"))
    and not (isinstance(classes, tuple) and max(classes) >= count)
]


@pytest.mark.parametrize(("form", "on", "classes", "count", "kind"), CASES)
def test_every_choice_agrees_with_the_definition(form, on, classes, count, kind):
    evidence = torch.randn(4, count, 3, 2, dtype=torch.float64)
    target = labels_for(count, kind)
    found = ElasticNet(0.3, 0.7, form, on, classes)(evidence, target)
    expected = slow_penalty(evidence, 0.3, 0.7, form=form, on=on, classes=classes, target=target)
    assert math.isclose(float(found), expected, rel_tol=1e-12, abs_tol=1e-15)
    assert expected > 0


@pytest.mark.parametrize(
    ("form", "on", "classes"),
    itertools.product(FORMS, ("own", "contrast"), ("all", "target", "not_target", (1,))),
)
def test_gradients_agree_with_finite_differences(form, on, classes):
    target = torch.tensor([0, 2, 1])
    penalty = ElasticNet(0.3, 0.7, form, on, classes)
    # Away from 0, where |A| has a corner.
    evidence = torch.randn(3, 3, 2, 2, dtype=torch.float64)
    evidence = (evidence + 3 * torch.arange(3).reshape(1, 3, 1, 1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda maps: penalty(maps, target), evidence)


def test_the_penalty_is_the_mean_over_batch_classes_and_positions():
    evidence = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = slow_penalty(evidence, 0.3, 0.7)
    assert math.isclose(float(ElasticNet(0.3, 0.7)(evidence)), expected, rel_tol=1e-12)


@pytest.mark.parametrize("on", ["own", "contrast"])
@pytest.mark.parametrize("classes", ["all", "target", "not_target"])
def test_a_weight_means_the_same_at_any_map_size(on, classes):
    evidence, target = torch.randn(2, 3, 4, 4), torch.tensor([2, 0])
    larger = evidence.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    penalty = ElasticNet(0.5, 0.5, "mean", on, classes)
    torch.testing.assert_close(penalty(evidence, target), penalty(larger, target))
    summed = ElasticNet(0.5, 0.5, "sum", on, classes)
    torch.testing.assert_close(9 * summed(evidence, target), summed(larger, target))


def test_a_weight_means_the_same_for_any_number_of_classes_and_images():
    evidence = torch.randn(2, 3, 4, 4)
    penalty = ElasticNet(0.5, 0.5)
    torch.testing.assert_close(penalty(evidence), penalty(evidence.repeat(1, 4, 1, 1)))
    torch.testing.assert_close(penalty(evidence), penalty(evidence.repeat(5, 1, 1, 1)))
    chosen = ElasticNet(0.5, 0.5, classes=(0, 2))
    both = torch.cat([evidence, evidence], dim=1)
    more = ElasticNet(0.5, 0.5, classes=(0, 2, 3, 5))
    torch.testing.assert_close(chosen(evidence), more(both))


@pytest.mark.parametrize(("classes", "maps"), [("all", 3), ("target", 1), ("not_target", 2)])
def test_the_factor_turns_weights_of_the_sum_into_weights_of_the_mean(classes, maps):
    evidence, target = torch.randn(4, 3, 5, 7, dtype=torch.float64), torch.tensor([0, 1, 2, 1])
    factor = penalty_factor(maps, (5, 7))
    assert factor == maps * 35
    summed = ElasticNet(1e-4, 3e-5, "sum", classes=classes)
    mean = ElasticNet(1e-4 * factor, 3e-5 * factor, classes=classes)
    torch.testing.assert_close(summed(evidence, target), mean(evidence, target))


def test_the_contrast_of_two_maps_is_their_difference_and_ignores_what_they_share():
    evidence, shared = torch.randn(2, 2, 3, 3), torch.randn(2, 1, 3, 3)
    penalty = ElasticNet(1.0, on="contrast")
    torch.testing.assert_close(penalty(evidence), (evidence[:, 0] - evidence[:, 1]).abs().mean())
    torch.testing.assert_close(penalty(evidence), penalty(evidence + shared))


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_penalised_maps_costs_nothing_and_has_finite_gradients(form):
    evidence = torch.randn(2, 2, 3, 3, requires_grad=True)
    value = ElasticNet(0.5, 0.5, form, classes="target")(evidence, torch.zeros(2, 2))
    value.backward()
    assert value == 0
    assert torch.equal(evidence.grad, torch.zeros_like(evidence))


@pytest.mark.parametrize("form", FORMS)
def test_maps_of_zeros_have_finite_gradients(form):
    evidence = torch.zeros(2, 2, 3, 3, requires_grad=True)
    ElasticNet(0.5, 0.5, form)(evidence).backward()
    assert evidence.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 4, 5)])
def test_maps_may_have_any_number_of_axes(shape):
    evidence = torch.randn(shape, dtype=torch.float64)
    found = ElasticNet(0.3, 0.7, "sum")(evidence)
    assert math.isclose(float(found), slow_penalty(evidence, 0.3, 0.7, form="sum"))


def test_no_weights_give_no_penalty():
    assert ElasticNet()(torch.randn(1, 2, 3, 3)) == 0


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_impossible_weights_are_refused(value):
    with pytest.raises(InputError, match="finite number of at least 0"):
        ElasticNet(l1=value)
    with pytest.raises(InputError, match="finite number of at least 0"):
        ElasticNet(l2=value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"form": "total"}, "form must be one of mean, sum, norm, not 'total'"),
        ({"on": "other"}, "on must be one of own, contrast, not 'other'"),
        ({"classes": "some"}, "classes must be one of all, target, not_target or"),
        ({"classes": (0, 0)}, "different numbers"),
        ({"classes": (-1,)}, "different numbers"),
        ({"classes": ()}, "different numbers"),
    ],
)
def test_impossible_choices_are_refused(choice, message):
    with pytest.raises(InputError, match=message):
        ElasticNet(0.1, **choice)


def test_labels_that_are_missing_or_do_not_fit_are_refused():
    evidence = torch.randn(2, 3, 4, 4)
    with pytest.raises(ValueError, match="needs the labels"):
        ElasticNet(0.1, classes="target")(evidence)
    with pytest.raises(ValueError, match="do not fit"):
        ElasticNet(0.1, classes="target")(evidence, torch.zeros(3))
    with pytest.raises(ValueError, match="no class 3"):
        ElasticNet(0.1, classes=(3,))(evidence)


@pytest.mark.parametrize(("maps", "size"), [(0, (2, 2)), (1, (0, 2))])
def test_a_factor_of_no_elements_is_refused(maps, size):
    with pytest.raises(InputError, match="at least 1"):
        penalty_factor(maps, size)


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_gradients_of_the_penalty_are_those_of_finite_differences(l1, l2):
    evidence = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    evidence = evidence + 0.1 * evidence.sign()  # away from the kink of |A|
    assert torch.autograd.gradcheck(ElasticNet(l1, l2), evidence.requires_grad_())
