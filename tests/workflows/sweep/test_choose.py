import math

import pytest

from softcam.errors import InputError
from softcam.workflows.sweep.choose import Candidate, choose, middle_seed


def candidate(name, auc, score, seeds=(0, 1, 2)):
    return Candidate(name, seeds, (auc,) * len(seeds), (score,) * len(seeds))


DENSE, SPARSE = candidate("dense", 0.90, 0.1), candidate("sparse", 0.87, 0.3)
WRONG = candidate("wrong", 0.60, 0.9)


def test_the_best_explanation_within_one_standard_error_is_chosen():
    assert choose(0.90, 0.05, [DENSE, SPARSE, WRONG]).name == "sparse"
    assert choose(0.90, 0.02, [DENSE, SPARSE, WRONG]).name == "dense"


def test_a_margin_takes_the_place_of_the_standard_error():
    assert choose(0.90, 0.05, [DENSE, SPARSE], margin=0.01).name == "dense"
    assert choose(0.90, 0.001, [DENSE, SPARSE], margin=0.03).name == "sparse"


def test_an_auc_above_the_twins_always_qualifies():
    better = candidate("better", 0.99, 0.2)
    assert choose(0.90, 0.01, [DENSE, better]).name == "better"


def test_exactly_at_the_margin_qualifies():
    found = choose(0.9, 0.0, [candidate("edge", 0.9 - 0.01, 0.5)], margin=0.01)
    assert found.qualified


def test_no_qualified_recipe_is_said_plainly_and_the_closest_is_taken():
    found = choose(0.90, 0.01, [candidate("far", 0.5, 0.9), candidate("near", 0.8, 0.1)])
    assert (found.name, found.qualified, found.within) == ("near", False, ())
    assert "No recipe reaches" in found.why and "NOT as accurate" in found.why


def test_equal_explanations_leave_the_first():
    assert choose(0.9, 0.1, [DENSE, candidate("other", 0.95, 0.1)]).name == "dense"


def test_a_recipe_whose_maps_cannot_be_judged_is_not_chosen_for_them():
    found = choose(0.9, 0.1, [candidate("blind", 0.99, math.nan), DENSE])
    assert found.name == "dense"
    alone = choose(0.9, 0.1, [candidate("blind", 0.99, math.nan)])
    assert (alone.name, alone.qualified) == ("blind", False)
    assert "could be judged" in alone.why


def test_means_over_seeds_decide():
    lucky = Candidate("lucky", (0, 1, 2), (0.9, 0.9, 0.9), (0.9, 0.0, 0.0))
    steady = Candidate("steady", (0, 1, 2), (0.9, 0.9, 0.9), (0.4, 0.4, 0.4))
    assert choose(0.9, 0.1, [lucky, steady]).name == "steady"


def test_the_seed_with_the_median_auc_stands_for_the_recipe():
    assert middle_seed(Candidate("a", (5, 6, 7), (0.9, 0.7, 0.8), (0, 0, 0))) == 7
    assert middle_seed(Candidate("a", (5, 6), (0.9, 0.7), (0, 0))) == 6
    assert middle_seed(Candidate("a", (5, 6, 7), (0.8, 0.8, 0.8), (0, 0, 0))) == 6
    assert middle_seed(Candidate("a", (4,), (0.8,), (0,))) == 4


def test_the_rule_is_stated_in_words():
    found = choose(0.9012, 0.05, [DENSE])
    assert "one standard error (0.0500" in found.rule and "0.9012" in found.rule
    assert "no annotation" in found.rule and "Test images take no part" in found.rule
    other = choose(0.9, 0.05, [DENSE], select_by="localisation", margin=0.01)
    assert "at most 0.01 below" in other.rule and "annotations of validation images" in other.rule


def test_nothing_can_be_chosen_from_nothing():
    with pytest.raises(InputError, match="no recipe"):
        choose(0.9, 0.1, [])
    with pytest.raises(InputError, match="undefined"):
        choose(math.nan, 0.1, [DENSE])
    with pytest.raises(InputError, match="undefined"):
        choose(0.9, math.nan, [DENSE])
