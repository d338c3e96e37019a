import doctest

import numpy as np
import pytest
import torch

from softcam.errors import InputError
from softcam.training import sampling
from softcam.training.dataset import EpochSampler
from softcam.training.sampling import epoch_order, turns
from softcam.training.seeds import ORDER, derive

LABELS = np.repeat([0, 1, 2], [70, 25, 5])


def shares(rule, epoch, epochs=1, labels=LABELS):
    drawn = labels[epoch_order(rule, 3, epoch, labels, epochs=epochs)]
    return np.bincount(drawn, minlength=labels.max() + 1)


def test_the_natural_order_is_the_permutation_it_always_was():
    expected = np.random.default_rng(derive(3, ORDER, 7)).permutation(100)
    assert np.array_equal(epoch_order("natural", 3, 7, LABELS), expected)


def test_a_balanced_epoch_shows_every_class_equally_often():
    assert sorted(shares("balanced", 0)) == [33, 33, 34]
    # Which class gets the odd image differs from epoch to epoch.
    assert len({tuple(shares("balanced", epoch)) for epoch in range(20)}) == 3


@pytest.mark.parametrize("epoch", range(5))
def test_no_image_of_a_class_comes_again_before_the_others_have_come(epoch):
    order = epoch_order("balanced", 0, epoch, LABELS)
    assert len(order) == 100
    for label in range(3):
        images = np.flatnonzero(np.equal(LABELS, label))
        counts = np.bincount(order, minlength=100)[images]
        assert counts.max() - counts.min() <= 1


def test_progressive_balancing_follows_the_line_from_natural_to_balanced():
    counts = np.array([70, 25, 5])
    for epoch in range(5):
        share = epoch / 4
        expected = (1 - share) * counts + share * 100 / 3
        assert np.abs(shares("progressive", epoch, epochs=5) - expected).max() < 1
    first = epoch_order("progressive", 0, 0, LABELS, epochs=5)
    assert sorted(first) == list(range(100))
    assert tuple(shares("progressive", 4, epochs=5)) == tuple(shares("balanced", 4))


def test_common_classes_are_covered_over_the_epochs():
    seen = {int(i) for epoch in range(20) for i in epoch_order("balanced", 0, epoch, LABELS)}
    assert seen == set(range(100))


def test_classes_without_images_are_left_out():
    labels = np.array([0, 0, 0, 4])
    assert shares("balanced", 0, labels=labels).tolist() == [2, 0, 0, 0, 2]


@pytest.mark.parametrize("rule", ["natural", "balanced", "progressive"])
def test_an_order_depends_on_seed_and_epoch_alone(rule):
    def order(seed, epoch):
        return epoch_order(rule, seed, epoch, LABELS, epochs=9).tolist()

    assert order(0, 4) == order(0, 4)
    assert order(0, 4) != order(0, 5)
    assert order(0, 4) != order(1, 4)


def test_repetitions_are_numbered_as_a_loop_numbers_them():
    order = np.random.default_rng(0).integers(0, 20, 100)
    seen: dict[int, int] = {}
    expected = []
    for index in order.tolist():
        expected.append(seen.get(index, 0))
        seen[index] = expected[-1] + 1
    assert turns(order).tolist() == expected


def test_the_sampler_tells_repetitions_apart_so_that_they_are_augmented_differently():
    sampler = EpochSampler(100, 0, labels=torch.as_tensor(LABELS), rule="balanced", epochs=3)
    sampler.set_epoch(1)
    places = list(sampler)
    assert len(places) == len(sampler) == 100
    assert len(set(places)) == 100
    assert {place[0] for place in places} == {1}
    assert max(len(place) for place in places) == 3
    assert places == list(sampler)


def test_multilabel_tables_are_not_balanced():
    with pytest.raises(InputError, match="multi-label table belongs to several"):
        epoch_order("balanced", 0, 0, np.zeros((4, 2)))
    assert len(epoch_order("natural", 0, 0, np.zeros((4, 2)))) == 4


def test_the_examples_give_what_they_say():
    assert doctest.testmod(sampling).failed == 0
    assert doctest.testmod(sampling).attempted >= 3
