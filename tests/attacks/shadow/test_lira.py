"""LiRA on arrays: against slow sums over one row at a time, and against what Gaussians are worth in theory."""

import math
import statistics
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import lira_leave_one_out, lira_scores
from skdiffence.exceptions import MembershipWarning
from skdiffence.metrics import tpr_at_fpr_score

CENTERS = {"mean": statistics.mean, "median": statistics.median}


def rows(n=12, n_models=9, n_queries=2, *, seed=0, missing=0.0):
    """Return target and shadow signals and memberships, each row with two models or more of each side."""
    rng = np.random.default_rng(seed)
    membership = rng.permuted(np.tile(np.arange(n_models) % 2 == 0, (n, 1)), axis=1)
    shadows = rng.normal(size=(n, n_models, n_queries)) * rng.uniform(0.5, 2, (n, 1, 1)) + 4 * rng.normal(
        size=(n, 1, 1)
    )
    shadows += 2 * membership[:, :, np.newaxis]
    shadows[rng.random(shadows.shape) < missing] = np.nan
    return rng.normal(scale=4, size=(n, n_queries)), shadows, membership


def slow_sides(shadows, membership, variance, center, ddof):
    """Return center and spread of each row and query, by side, one number after the other."""
    n, _, n_queries = shadows.shape
    sides = []
    for side in (membership, ~membership):
        values = {
            (i, q): [v for v, there in zip(shadows[i, :, q], side[i], strict=True) if there and not math.isnan(v)]
            for i in range(n)
            for q in range(n_queries)
        }
        centers = {key: CENTERS[center](of_key) for key, of_key in values.items()}
        if variance == "per_sample":
            spreads = {key: np.std(of_key, ddof=ddof) for key, of_key in values.items()}
        else:
            about = centers if variance == "fixed" else dict.fromkeys(centers, 0.0)
            pooled = np.std([v - about[key] for key, of_key in values.items() for v in of_key], ddof=ddof)
            spreads = dict.fromkeys(values, pooled)
        sides.append((centers, spreads))
    return sides


def slow_lira(target, shadows, membership, mode, variance, center, two_sided, ddof):
    """Score one row and query at a time."""
    (mean_in, sd_in), (mean_out, sd_out) = slow_sides(shadows, membership, variance, center, ddof)
    scores = []
    for i, queries in enumerate(target):
        parts = []
        for q, value in enumerate(queries):
            under_out = norm.logpdf(value, mean_out[i, q], sd_out[i, q])
            if mode == "online":
                parts.append(norm.logpdf(value, mean_in[i, q], sd_in[i, q]) - under_out)
            else:
                parts.append(-under_out if two_sided else norm.logcdf(value, mean_out[i, q], sd_out[i, q]))
        scores.append(sum(parts) / len(parts))
    return np.array(scores)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("center", ["mean", "median"])
@pytest.mark.parametrize("variance", ["fixed", "global", "per_sample"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_equals_slow_sums(mode, variance, center, two_sided, ddof):
    """Every variant is what its formula says, with some signals missing."""
    target, shadows, membership = rows(n_models=12, missing=0.05)
    options = {"mode": mode, "variance": variance, "center": center, "two_sided": two_sided, "ddof": ddof}
    scores = lira_scores(target, shadows, membership, **options)
    np.testing.assert_allclose(scores, slow_lira(target, shadows, membership, **options), rtol=1e-10, atol=1e-10)


def test_by_hand():
    """IN models 3 and 5, OUT models 0 and 2, target 4: ((4 - 1)^2 - (4 - 4)^2) / 2, both variances being 1."""
    membership = [[True, True, False, False]]
    assert lira_scores([4.0], [[3.0, 5.0, 0.0, 2.0]], membership) == pytest.approx(4.5)
    offline = lira_scores([4.0], [[3.0, 5.0, 0.0, 2.0]], membership, mode="offline")
    assert offline == pytest.approx(math.log(statistics.NormalDist(1, 1).cdf(4)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [2.03169691599, -0.467706621649, 2.10061917021]),
        ({"variance": "per_sample"}, [1.54283674904, 0.537381637467, 2.38416071422]),
        ({"variance": "per_sample", "center": "median"}, [2.17745213365, 0.960313968294, 2.19055169167]),
        ({"center": "median"}, [2.90731197263, -0.509047589326, 1.85162476884]),
        ({"variance": "global", "ddof": 1}, [0.409488256135, -0.351706012827, 0.366371963901]),
        ({"mode": "offline"}, [-0.0114083643931, -2.18811172081, -0.00756600381324]),
        (
            {"mode": "offline", "two_sided": True, "variance": "per_sample"},
            [2.74784116963, 2.7324220145, 4.31439319647],
        ),
    ],
)
def test_frozen_values(options, expected):
    """Numbers written down once, so that slow sums and the library can't drift together."""
    shadows = np.array(
        [[2.0, 3.5, 5.0, -1.0, 0.0, 2.5], [0.5, 1.0, 3.0, -2.0, -1.0, 0.0], [7.0, 4.0, 6.0, 5.0, 2.0, 2.5]]
    )
    membership = np.array([[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0], [1, 0, 1, 0, 1, 0]], dtype=bool)
    scores = lira_scores([3.0, -1.5, 6.5], shadows, membership, **options)
    np.testing.assert_allclose(scores, expected, rtol=1e-8)


@pytest.mark.parametrize(("n_models", "expected"), [(62, "fixed"), (64, "per_sample")])
def test_auto_variance(n_models, expected):
    """From 64 models on a row has a spread of its own."""
    target, shadows, membership = rows(n_models=n_models)
    auto = lira_scores(target, shadows, membership)
    np.testing.assert_array_equal(auto, lira_scores(target, shadows, membership, variance=expected))


def gaussian(mu, n=4000, n_models=256):
    """Return a target and shadows whose signals are N(mu, 1) where trained on the row and N(0, 1) elsewhere."""
    rng = np.random.default_rng(0)
    is_member = np.arange(n) % 2 == 0
    membership = rng.permuted(np.tile(np.arange(n_models) % 2 == 0, (n, 1)), axis=1)
    return is_member, rng.normal(mu * is_member), rng.normal(mu * membership), membership


@pytest.mark.parametrize("variance", ["fixed", "per_sample"])
@pytest.mark.parametrize("mu", [1.0, 2.0])
def test_worth_of_gaussians(mu, variance):
    """The best attack on N(mu, 1) against N(0, 1) has AUC Phi(mu / sqrt 2) and TPR Phi(mu + Phi^-1(FPR))."""
    is_member, *arrays = gaussian(mu)
    scores = lira_scores(*arrays, variance=variance)
    assert roc_auc_score(is_member, scores) == pytest.approx(norm.cdf(mu / math.sqrt(2)), abs=0.02)
    expected = norm.cdf(mu + norm.ppf(0.1))
    assert tpr_at_fpr_score(is_member, scores, max_fpr=0.1) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_null(mode):
    """Signals that do not depend on membership tell nothing: 0.5 within three standard errors."""
    is_member, *arrays = gaussian(0.0, n_models=16)
    auc = roc_auc_score(is_member, lira_scores(*arrays, mode=mode))
    assert abs(auc - 0.5) < 3 * math.sqrt(4001 / (12 * 2000**2))


def test_offline_is_one_sided():
    """Far below the OUT models is no sign of membership, unless it is asked for; far above keeps its order."""
    target = np.array([-6.0, 2.0, 12.0, 14.0])
    shadows, membership = np.tile([-1.0, 1.0], (4, 1)), np.zeros((4, 2), dtype=bool)
    one_sided = lira_scores(target, shadows, membership, mode="offline")
    assert list(np.argsort(one_sided))[:2] == [0, 1]
    low = lira_scores([-40.0, -39.0], shadows[:2], membership[:2], mode="offline")
    assert low[0] < low[1]
    two_sided = lira_scores(target, shadows, membership, mode="offline", two_sided=True)
    assert two_sided[0] > two_sided[1]


def test_score_rises_with_the_target_signal():
    """With equal spreads the score is monotone in the target's signal, as an attack's must be in its own."""
    _, shadows, membership = rows(n=1, n_queries=1)
    target = np.linspace(-9, 9, 50)
    shadows[~membership] -= 100.0
    for mode in ("online", "offline"):
        scores = lira_scores(target, np.tile(shadows[:, :, 0], (50, 1)), np.tile(membership, (50, 1)), mode=mode)
        assert (np.diff(scores) >= 0).all()


def test_order_and_blocks_do_not_matter(monkeypatch):
    """Rows in another order have the same scores, and so have rows worked on a few at a time."""
    target, shadows, membership = rows(n=50)
    scores = lira_scores(target, shadows, membership)
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_allclose(lira_scores(target[order], shadows[order], membership[order]), scores[order], rtol=1e-12)
    models = np.random.default_rng(2).permutation(9)
    np.testing.assert_allclose(lira_scores(target, shadows[:, models], membership[:, models]), scores, rtol=1e-12)
    monkeypatch.setattr("skdiffence.attacks.shadow._gaussians._BLOCK", 40)
    np.testing.assert_allclose(lira_scores(target, shadows, membership), scores, rtol=1e-12)


def test_equal_signals_take_the_pooled_spread():
    """A side whose models answer alike, or a single model, has no spread of its own to be judged by."""
    shadows = np.array([[3.0, 3.0, 3.0, 0.0, 0.0], [5.0, 1.0, 2.0, 0.5, -1.0], [5.0, 0.1, 0.1, 0.1, 0.0]])
    membership = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=bool)
    scores = lira_scores([2.0, 2.0, 2.0], shadows, membership, variance="per_sample")
    (mean_in, sd_in), (mean_out, sd_out) = slow_sides(shadows[:, :, np.newaxis], membership, "fixed", "mean", 0)
    expected = norm.logpdf(2, mean_in[0, 0], sd_in[0, 0]) - norm.logpdf(2, mean_out[0, 0], sd_out[0, 0])
    assert scores[0] == pytest.approx(expected)
    under_out = norm.logpdf(2, mean_out[2, 0], np.std(shadows[2, 1:]))
    assert scores[2] == pytest.approx(norm.logpdf(2, 5.0, sd_in[2, 0]) - under_out)


def test_two_models():
    """One model of each side leaves no deviations at all: the spread is that of the rows."""
    rng = np.random.default_rng(0)
    shadows = rng.normal(size=(30, 2)) + [3, 0]
    scores = lira_scores(np.repeat([4.0, -1.0], 15), shadows, np.tile([True, False], (30, 1)))
    assert np.abs(scores).max() < 50
    assert scores[:15].min() > scores[15:].max()


def test_rows_that_no_model_was_trained_on():
    """They are scored offline, with a warning; others are not touched."""
    target, shadows, membership = rows(n_queries=1)
    target, shadows = target[:, 0], shadows[:, :, 0]
    membership[3] = False
    with pytest.warns(MembershipWarning, match="1 of 12 rows have no model that was trained on them"):
        scores = lira_scores(target, shadows, membership)
    assert scores[3] == lira_scores(target, shadows, membership, mode="offline")[3]
    online = lira_scores(np.delete(target, 3), np.delete(shadows, 3, 0), np.delete(membership, 3, 0))
    assert np.corrcoef(np.delete(scores, 3), online)[0, 1] > 0.99


def test_missing_target_signal():
    """No signal, no score; of several queries those that there are count."""
    target, shadows, membership = rows()
    target[2] = np.nan
    target[5, 1] = np.nan
    scores = lira_scores(target, shadows, membership, variance="per_sample")
    assert list(np.flatnonzero(np.isnan(scores))) == [2]
    alone = lira_scores(target[:, 0], shadows[:, :, 0], membership, variance="per_sample")
    assert scores[5] == pytest.approx(alone[5])


LEAVE_ONE_OUT = [
    {},
    {"variance": "per_sample"},
    {"center": "median", "variance": "per_sample", "ddof": 1},
    {"variance": "global", "ddof": 1},
    {"mode": "offline"},
    {"mode": "offline", "two_sided": True, "center": "median"},
]


@pytest.mark.parametrize("n_queries", [1, 3])
@pytest.mark.parametrize("options", LEAVE_ONE_OUT)
def test_leave_one_out_is_one_model_after_the_other(options, n_queries):
    """Column k is the score against model k by all the others."""
    _, signals, membership = rows(n_models=8, n_queries=n_queries, missing=0.02)
    scores = lira_leave_one_out(signals, membership, **options)
    for model in range(8):
        others = np.arange(8) != model
        expected = lira_scores(signals[:, model], signals[:, others], membership[:, others], **options)
        np.testing.assert_allclose(scores[:, model], expected, rtol=1e-8, atol=1e-8)
    if n_queries == 1:
        np.testing.assert_array_equal(lira_leave_one_out(signals[:, :, 0], membership, **options), scores)


def test_leave_one_out_finds_members():
    """Pooled over rows and models, planted members are found, and exchangeable ones are not."""
    rng = np.random.default_rng(0)
    membership = rng.permuted(np.tile(np.arange(32) % 2 == 0, (200, 1)), axis=1)
    noise = rng.normal(size=(200, 32)) + 5 * rng.normal(size=(200, 1))
    found = lira_leave_one_out(noise + 2 * membership, membership)
    assert roc_auc_score(membership.ravel(), found.ravel()) == pytest.approx(norm.cdf(math.sqrt(2)), abs=0.03)
    nothing = lira_leave_one_out(noise, membership)
    # A row is IN one model fewer when it is left out itself, which scores of equal spread do not show.
    assert roc_auc_score(membership.ravel(), nothing.ravel()) == pytest.approx(0.5, abs=0.03)


def test_single_precision_is_worked_on_in_double():
    """Signals in float32 and integers give what the same numbers in float64 give."""
    target, shadows, membership = rows()
    shadows = shadows.astype(np.float32)
    expected = lira_scores(target, shadows.astype(np.float64), membership)
    np.testing.assert_array_equal(lira_scores(target, shadows, membership), expected)
    whole = np.rint(shadows).astype(int)
    np.testing.assert_array_equal(
        lira_scores(target, whole, membership), lira_scores(target, whole.astype(float), membership)
    )


def test_inputs_are_left_alone():
    """Nothing is written into the arrays that were given."""
    arrays = rows()
    copies = [array.copy() for array in arrays]
    lira_scores(*arrays, center="median")
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_memory():
    """Beside the inputs, a call needs less than the matrix of shadow signals."""
    _, target, shadows, membership = gaussian(1.0, n=20_000, n_models=64)
    tracemalloc.start()
    lira_scores(target, shadows, membership)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < shadows.nbytes


GOOD = rows(n_queries=1)
TARGET, SHADOWS, MEMBERSHIP = GOOD[0][:, 0], GOOD[1][:, :, 0], GOOD[2]
INFINITE = np.where(np.arange(9) == 4, np.inf, SHADOWS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((TARGET[:-1], SHADOWS, MEMBERSHIP), r"same rows and queries. Got shapes \(11,\) and \(12, 9\)"),
        ((TARGET[:, np.newaxis], SHADOWS, MEMBERSHIP), r"must have shapes .* Got \(12, 1\) and \(12, 9\)"),
        ((TARGET[:0], SHADOWS[:0], MEMBERSHIP[:0]), "none of them zero"),
        ((TARGET, SHADOWS, MEMBERSHIP[:, :-1]), r"membership must have .* shape \(12, 9\). Got shape \(12, 8\)"),
        ((TARGET, SHADOWS, MEMBERSHIP * 2), "membership must hold True for members"),
        ((TARGET, SHADOWS, MEMBERSHIP.astype(str)), "membership must hold True for members"),
        ((TARGET, INFINITE, MEMBERSHIP), "shadow_signals must be finite, or NaN"),
        ((TARGET + np.inf, SHADOWS, MEMBERSHIP), "target_signals must be finite, or NaN"),
        ((TARGET, SHADOWS, MEMBERSHIP | (np.arange(12) == 5)[:, np.newaxis]), "1 of 12 .* first at position 5"),
        ((TARGET, np.where(MEMBERSHIP, SHADOWS, np.nan), MEMBERSHIP), "12 of 12 rows have none"),
    ],
)
def test_bad_input(args, message):
    """What is wrong with which array is said."""
    with pytest.raises(ValueError, match=message):
        lira_scores(*args)


@pytest.mark.parametrize(
    "options", [{"mode": "both"}, {"variance": "none"}, {"center": "mode"}, {"ddof": 2}, {"two_sided": "yes"}]
)
@pytest.mark.parametrize(
    "function", [lambda **o: lira_scores(*GOOD, **o), lambda **o: lira_leave_one_out(*GOOD[1:], **o)]
)
def test_bad_options(function, options):
    """Options that do not exist are named."""
    with pytest.raises(ValueError, match=f"'{next(iter(options))}' parameter"):
        function(**options)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((SHADOWS[:, :1], MEMBERSHIP[:, :1]), "at least two models"),
        ((SHADOWS[0], MEMBERSHIP[0]), r"must have shape .* Got \(9,\)"),
        ((SHADOWS[:, :2], [[True, True]] * 12), "12 of 12 rows have none"),
    ],
)
def test_bad_input_to_leave_one_out(args, message):
    """A model left out must leave shadows of the right kind."""
    with pytest.raises(ValueError, match=message):
        lira_leave_one_out(*args)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_arrays(data):
    """Whatever the sizes, gaps, sides and options: a finite score for each row, or a ValueError that says why."""
    n, n_models = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 7))
    number = st.one_of(st.floats(-104, 104), st.just(float("nan")))
    draw = lambda *shape, of: np.array(data.draw(st.lists(of, min_size=math.prod(shape), max_size=math.prod(shape))))  # noqa: E731
    shadows = draw(n, n_models, of=number).reshape(n, n_models)
    membership = draw(n, n_models, of=st.booleans()).reshape(n, n_models)
    target = draw(n, of=st.floats(-104, 104))
    options = {
        "mode": data.draw(st.sampled_from(["online", "offline"])),
        "variance": data.draw(st.sampled_from(["auto", "fixed", "global", "per_sample"])),
        "center": data.draw(st.sampled_from(["mean", "median"])),
    }
    has_out = (~membership & ~np.isnan(shadows)).any(axis=1)
    has_in = (membership & ~np.isnan(shadows)).any(axis=1)
    if not has_out.all():
        with pytest.raises(ValueError, match="must leave each row a model"):
            lira_scores(target, shadows, membership, **options)
    elif options["mode"] == "online" and not has_in.all():
        with pytest.warns(MembershipWarning):
            assert np.isfinite(lira_scores(target, shadows, membership, **options)).all()
    else:
        assert np.isfinite(lira_scores(target, shadows, membership, **options)).all()
