"""DeLong's test against its definition over all pairs, Obuchowski's over all pairs of patients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from softcam.errors import InputError
from softcam.evaluation.comparison.delong import delong


def kernel(scores, truth):
    """psi over all pairs, (models, examples, others): 1 above, 1/2 equal, 0 below."""
    examples, others = scores[:, truth], scores[:, ~truth]
    above = examples[:, :, None] > others[:, None, :]
    equal = examples[:, :, None] == others[:, None, :]
    return above + equal / 2


def slow_covariance(scores, truth, patients):
    """Covariance of the AUCs, written out as in Obuchowski (1997); DeLong's for single images."""
    psi = kernel(scores, truth)
    theta = psi.mean(axis=(1, 2))
    v10, v01 = psi.mean(axis=2), psi.mean(axis=1)
    m, n = truth.sum(), (~truth).sum()
    names = sorted(set(patients))
    of_example, of_other = np.array(patients)[truth], np.array(patients)[~truth]
    a = np.array([v10[:, of_example == p].sum(1) - (of_example == p).sum() * theta for p in names])
    b = np.array([v01[:, of_other == p].sum(1) - (of_other == p).sum() * theta for p in names])
    i10, i01, i = len(set(of_example)), len(set(of_other)), len(names)
    s10 = i10 / ((i10 - 1) * m) * a.T @ a
    s01 = i01 / ((i01 - 1) * n) * b.T @ b
    s11 = i / (i - 1) * a.T @ b
    return s10 / m + s01 / n + (s11 + s11.T) / (m * n)


def drawn(seed, images=40, models=3, levels=None, patients=None):
    random = np.random.default_rng(seed)
    truth = random.random(images) < 0.4
    scores = random.normal(size=(models, images)) + truth * random.random((models, 1)) * 2
    if levels is not None:
        scores = np.round(scores * levels) / levels
    names = [str(i) for i in range(images)]
    if patients is not None:
        names = [f"p{number}" for number in random.integers(0, patients, images)]
    return scores, truth, names


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("patients", [None, 15])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_aucs_errors_and_p_are_those_of_the_definition(seed, levels, patients):
    scores, truth, names = drawn(seed, levels=levels, patients=patients)
    found = delong(scores, truth, patients=names, reference=1)
    covariance = slow_covariance(scores, truth, names)
    expected = [roc_auc_score(truth, one) for one in scores]
    np.testing.assert_allclose(found.aucs, expected, atol=1e-12)
    np.testing.assert_allclose(found.errors, np.sqrt(np.diag(covariance)), atol=1e-12)
    assert found.method == ("DeLong 1988" if patients is None else "Obuchowski 1997")
    for model in (0, 2):
        gap = expected[model] - expected[1]
        error = np.sqrt(covariance[model, model] + covariance[1, 1] - 2 * covariance[model, 1])
        assert found.differences[model] == pytest.approx(gap, abs=1e-12)
        assert found.difference_errors[model] == pytest.approx(error, abs=1e-12)
        assert found.p[model] == pytest.approx(2 * norm.sf(abs(gap) / error), abs=1e-9)
        reach = norm.ppf(0.975) * error
        assert found.interval(model) == pytest.approx((gap - reach, gap + reach), abs=1e-9)


def test_single_images_have_the_covariance_of_numpy():
    scores, truth, _ = drawn(4)
    psi = kernel(scores, truth)
    covariance = np.cov(psi.mean(axis=2)) / truth.sum() + np.cov(psi.mean(axis=1)) / (~truth).sum()
    np.testing.assert_allclose(delong(scores, truth).errors ** 2, np.diag(covariance), atol=1e-12)


def test_the_auc_is_the_mann_whitney_statistic():
    scores, truth, _ = drawn(5, levels=2)
    for model, auc in enumerate(delong(scores, truth).aucs):
        u = mannwhitneyu(scores[model, truth], scores[model, ~truth]).statistic
        assert auc == pytest.approx(u / (truth.sum() * (~truth).sum()), abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_models_that_rank_alike_do_not_differ_at_all(seed, clustered):
    scores, truth, names = drawn(seed % 2**16, levels=3, patients=8 if clustered else None)
    both = np.stack([scores[0], 3 * scores[0] + 1, scores[0]])
    found = delong(both, truth, patients=names)
    if np.isnan(found.aucs).any() or np.isnan(found.difference_errors).any():
        return
    assert found.differences.tolist() == [0.0, 0.0, 0.0]
    assert found.p.tolist() == [1.0, 1.0, 1.0]


def test_groups_have_the_mean_auc_and_its_error():
    scores, truth, names = drawn(6, models=4, patients=12)
    found = delong(scores, truth, patients=names, groups=[[0, 1], [2, 3]])
    covariance = slow_covariance(scores, truth, names)
    weights = np.array([-0.5, -0.5, 0.5, 0.5])
    assert found.differences[1] == pytest.approx(delong(scores, truth).aucs @ weights, abs=1e-12)
    assert found.difference_errors[1] ** 2 == pytest.approx(
        weights @ covariance @ weights, abs=1e-12
    )


def test_unknown_images_count_nowhere():
    scores, truth, names = drawn(7, patients=20)
    known = np.random.default_rng(0).random(40) < 0.7
    whole = delong(scores, truth, known=known, patients=names)
    part = delong(scores[:, known], truth[known], patients=np.array(names)[known].tolist())
    np.testing.assert_allclose(whole.aucs, part.aucs, atol=1e-12)
    # Patients without a known image only change the small-sample factor of the mixed term.
    np.testing.assert_allclose(whole.errors, part.errors, rtol=0.02)


def test_the_mean_over_classes_has_the_spread_of_repeated_draws():
    """A simulation: the error of a macro AUC over patients is its spread over fresh data."""
    aucs, errors = [], []
    for seed in range(400):
        random = np.random.default_rng(seed)
        patients = np.repeat(np.arange(30), 3)
        label = random.integers(0, 3, 30)[patients]
        effect = random.normal(size=(30, 3))[patients] * 0.7
        scores = effect + random.normal(size=(90, 3)) + 1.2 * np.eye(3)[label]
        found = delong(
            scores[None], label[:, None] == np.arange(3), patients=patients.astype(str).tolist()
        )
        aucs.append(found.aucs[0])
        errors.append(found.errors[0])
    assert np.mean(errors) == pytest.approx(np.std(aucs), rel=0.1)


def test_two_classes_that_are_complements_give_the_binary_error():
    scores, truth, names = drawn(8, patients=20)
    both = np.stack([scores, -scores], axis=-1)
    macro = delong(both, np.stack([truth, ~truth], axis=-1), patients=names)
    plain = delong(scores, truth, patients=names)
    np.testing.assert_allclose(macro.aucs, plain.aucs, atol=1e-12)
    np.testing.assert_allclose(macro.errors, plain.errors, rtol=0.05)


def test_p_is_uniform_where_nothing_differs():
    found = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        truth = np.arange(80) < 35
        shared = random.normal(size=80) + truth
        scores = shared + 0.5 * random.normal(size=(2, 80))
        found.append(delong(scores, truth).p[1])
    assert kstest(found, "uniform").pvalue > 0.01


def test_images_of_one_patient_widen_the_error():
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(20) < 10, 5)
    scores = (np.repeat(random.normal(size=20), 5) + truth)[None]
    names = np.repeat(np.arange(20), 5).astype(str).tolist()
    alone = delong(scores, truth).errors[0]
    assert delong(scores, truth, patients=names).errors[0] > 1.8 * alone


@pytest.mark.parametrize("truth", [[True] * 4, [False] * 4, [True, False, False, False]])
def test_too_few_examples_or_others_leave_no_error(truth):
    found = delong(np.array([[0.1, 0.2, 0.3, 0.4]] * 2), np.array(truth))
    assert np.isnan(found.errors).all()
    assert np.isnan(found.p).all()


def test_a_sure_difference_without_variance_is_undefined_not_certain():
    truth = np.array([True, True, False, False])
    found = delong(np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]), truth)
    assert found.differences[1] == -1.0
    assert np.isnan(found.p[1])


def test_it_is_fast_where_the_definition_needs_all_pairs():
    random = np.random.default_rng(0)
    truth = random.random(200_000) < 0.5  # 10^10 pairs
    found = delong(random.normal(size=(2, 200_000)) + truth, truth)
    assert found.aucs == pytest.approx([norm.cdf(1 / np.sqrt(2))] * 2, abs=0.005)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="Scores of shape"):
        delong(np.zeros((2, 3)), np.array([True, False]))
    with pytest.raises(InputError, match="one per image"):
        delong(np.zeros((1, 2)), np.array([True, False]), patients=["a"])
