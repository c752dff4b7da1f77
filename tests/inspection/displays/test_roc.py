"""ROC curves: what they measure against an oracle, what they draw, and what they refuse."""

import hypothesis.strategies as st
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import binomtest, norm
from sklearn.metrics import auc, roc_auc_score, roc_curve

from skdiffence.attacks import ThresholdAttack
from skdiffence.base import MembershipAttack
from skdiffence.inspection import MembershipRocDisplay, SignalDisplay
from skdiffence.inspection.displays._roc_curve import band_at, roc_band, roc_rectangles, with_more_points
from skdiffence.metrics import auc_interval
from tests.attacks.targets import Counting, normal, planted
from tests.inspection.displays.cases import IS_MEMBER, axes, scores


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, "list"])
@pytest.mark.parametrize("kind", [bool, int, float])
def test_roc_is_that_of_sklearn(dtype, kind):
    """Every point of the curve and its area, whatever type members and scores come in."""
    y_true, y_score = IS_MEMBER.astype(kind), np.round(4 * scores())
    given_score = y_score.tolist() if dtype == "list" else y_score.astype(dtype)
    display = MembershipRocDisplay.from_predictions(y_true, given_score, ax=axes())
    fpr, tpr, _ = roc_curve(IS_MEMBER, y_score, drop_intermediate=False)
    np.testing.assert_allclose(display.fpr, fpr)
    np.testing.assert_allclose(display.tpr, tpr)
    assert display.roc_auc == pytest.approx(roc_auc_score(IS_MEMBER, y_score))
    assert display.roc_auc_interval == auc_interval(IS_MEMBER, y_score)
    assert (display.n_members, display.n_non_members) == (20, 40)


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
@settings(max_examples=15, deadline=None)
def test_roc_of_any_input_is_drawn_or_refused(rows):
    """Both sides give a curve from (0, 0) to (1, 1) inside its band, one side an error."""
    is_member, y_score = (np.array(column) for column in zip(*rows, strict=True))
    if is_member.all() or not is_member.any():
        with pytest.raises(ValueError, match="one member and one non-member"):
            MembershipRocDisplay.from_predictions(is_member, y_score)
        return
    display = MembershipRocDisplay.from_predictions(is_member, y_score, ax=axes())
    assert (display.fpr[0], display.tpr[0], display.fpr[-1], display.tpr[-1]) == (0, 0, 1, 1)
    rates, low, high = roc_band(display.fpr, display.tpr, display.n_members, display.n_non_members, start=0.02)
    between = ~np.isin(rates, display.fpr)
    rates, low, high = rates[between], low[between], high[between]
    curve = np.interp(rates, display.fpr, display.tpr)
    assert (low <= curve).all()
    assert (curve <= high).all()


@pytest.mark.parametrize("values", [(0, 1), (-1.5, 7.0), (False, True)])
def test_attack_with_two_scores_is_a_point(values):
    """Whether a label is right: a line to it promised low false positive rates that no threshold gives."""
    right = np.where(np.arange(60) % 4 > 0, *values[::-1])
    display = MembershipRocDisplay.from_predictions(IS_MEMBER, {"labels": right, "entropy": scores()}, ax=axes())
    point, curve = display.lines_
    assert point.get_linestyle() == "None" and point.get_marker() == "o" and len(point.get_xdata()) == 1
    assert len(curve.get_xdata()) > 100 and len(display.bands_) == 1
    assert point.get_xdata()[0] == display.fpr[0][1] and point.get_ydata()[0] == display.tpr[0][1]


def test_point_without_a_false_positive_is_seen():
    """On logarithmic axes it has no place but the edge."""
    display = MembershipRocDisplay.from_predictions(IS_MEMBER, IS_MEMBER.astype(float), ax=axes())
    (point,) = display.lines_
    assert point.get_xdata()[0] == display.ax_.get_xlim()[0] and not point.get_clip_on()


def test_equal_curves_are_told_apart():
    """The later one hid the earlier one, which looked as if it had been forgotten."""
    same = {"a": scores(), "b": 2 * scores(), "c": scores() ** 3, "d": -scores()}
    lines = MembershipRocDisplay.from_predictions(IS_MEMBER, same, ax=axes()).lines_
    assert [line.get_linestyle() == "-" for line in lines] == [True, False, False, True]
    labels = {"x": scores() > 0, "y": scores() > 0}
    first, second = MembershipRocDisplay.from_predictions(IS_MEMBER, labels, ax=axes()).lines_
    assert second.get_markersize() > first.get_markersize() and second.get_markerfacecolor() == "none"


def test_roc_draws_curve_band_guess_and_noise():
    """On logarithmic axes, with the area and its interval in the legend."""
    display = MembershipRocDisplay.from_predictions(IS_MEMBER, scores(), name="entropy", ax=axes())
    (line,) = display.lines_
    low, high = auc_interval(IS_MEMBER, scores())
    assert line.get_label() == f"entropy: AUC {display.roc_auc:.2f} ({low:.2f} to {high:.2f})"
    assert display.ax_.get_xscale() == display.ax_.get_yscale() == "log"
    drawn, wanted = (set(zip(*points, strict=True)) for points in (line.get_data(), (display.fpr, display.tpr)))
    assert {(x, y) for x, y in wanted if min(x, y) > 0} <= drawn
    (band,) = display.bands_
    # Shaded as noise up to ten of forty; the band begins where that ends.
    assert display.noise_.get_extents().get_points()[1, 0] == pytest.approx(
        display.ax_.transData.transform((0.25, 1))[0]
    )
    assert band.get_paths()[0].vertices[:, 0].min() == pytest.approx(0.25)
    assert display.chance_level_.get_label() == "a guess"
    assert display.figure_ is display.ax_.figure


def test_roc_draws_several_curves():
    """From a dict, from lists, and on the axes of a display that is there already."""
    named = {"a": scores(), "b": -scores(), "c": scores(1)}
    display = MembershipRocDisplay.from_predictions(IS_MEMBER, named, ax=axes())
    assert display.name == ["a", "b", "c"]
    assert len({line.get_color() for line in display.lines_}) == 3
    assert display.roc_auc[0] == pytest.approx(1 - display.roc_auc[1])
    more = MembershipRocDisplay.from_predictions(IS_MEMBER, scores(2), name="d", ax=display.ax_)
    assert more.lines_[0].get_color() not in {line.get_color() for line in display.lines_}
    assert more.chance_level_ is more.noise_ is None
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert [label[0] for label in labels[:4]] == list("abcd")
    assert labels[4:] == ["a guess", "below 10 non-members: noise"]


def test_roc_parts_can_be_left_out_and_styled():
    """Keywords reach the lines, aliases included; nothing else is drawn then."""
    display = MembershipRocDisplay.from_predictions(
        IS_MEMBER,
        {"a": scores(), "b": scores(1)},
        ax=axes(),
        curve_kwargs=[{"c": "red"}, {"lw": 3}],
        plot_band=False,
        plot_chance_level=False,
        plot_noise=False,
    )
    assert display.lines_[0].get_color() == "red"
    assert display.lines_[1].get_linewidth() == 3
    assert (display.bands_, display.chance_level_, display.noise_) == ([], None, None)
    display.plot(axes(), curve_kwargs={"alpha": 0.5}, chance_level_kw={"color": "blue"}, name=["x", "y"])
    assert [line.get_alpha() for line in display.lines_] == [0.5, 0.5]
    assert display.chance_level_.get_color() == "blue"
    assert display.lines_[1].get_label().startswith("y: ")


def test_roc_of_arrays_alone():
    """Without a number of non-members the smallest rate gives the left end, and nothing is shaded."""
    display = MembershipRocDisplay(fpr=np.array([0, 0.25, 1]), tpr=np.array([0, 0.5, 1])).plot(axes())
    assert display.ax_.get_xlim()[0] == pytest.approx(0.125)
    assert display.noise_ is None
    assert display.lines_[0].get_label().startswith("_")


def test_rectangles_are_scipy_s_intervals():
    """Clopper and Pearson's, of both rates at every threshold, each at half the error of the rectangle."""
    fpr, tpr, _ = roc_curve(IS_MEMBER, scores(), drop_intermediate=False)
    ends = roc_rectangles(fpr, tpr, 20, 40, confidence_level=0.9)
    for name, rates, n in (("fpr", fpr, 40), ("tpr", tpr, 20)):
        for i, rate in enumerate(rates):
            expected = binomtest(round(rate * n), n).proportion_ci(0.95, method="exact")
            assert (ends[f"{name}_low"][i], ends[f"{name}_high"][i]) == pytest.approx(tuple(expected))


def test_band_contains_every_rectangle():
    """No point of any threshold's region lies outside: the corners do not, and the edges rise."""
    fpr, tpr, _ = roc_curve(IS_MEMBER, scores(), drop_intermediate=False)
    ends = roc_rectangles(fpr, tpr, 20, 40)
    for i in range(len(fpr)):
        inside = np.linspace(ends["fpr_low"][i], ends["fpr_high"][i], 20)[1:-1]
        low, high = band_at(inside, **ends)
        assert (low <= ends["tpr_low"][i]).all()
        assert (high >= ends["tpr_high"][i]).all()
    low, high = band_at(np.linspace(0, 1, 300), **ends)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()


def test_points_between_thresholds_lie_on_the_curve():
    """They change neither its area nor its ends."""
    fpr, tpr = np.array([0, 0, 0.5, 1.0]), np.array([0, 0.2, 0.7, 1.0])
    rates, found = with_more_points(fpr, tpr, start=0.1)
    assert len(rates) > 200
    assert (np.diff(rates) >= 0).all()
    assert auc(rates, found) == pytest.approx(auc(fpr, tpr))
    np.testing.assert_allclose(found[rates > 0], np.interp(rates[rates > 0], fpr[1:], tpr[1:]))
    np.testing.assert_allclose((rates[:2], found[:2]), ([0, 0], [0, 0.2]))


@pytest.mark.parametrize(("n_members", "n_non_members"), [(15, 25), (120, 300)])
def test_band_covers_the_true_curve(n_members, n_non_members):
    """Of normal scores the true curve is known; 95 % of the bands must hold it, without being all there is."""
    rng = np.random.default_rng(0)
    rates = np.array([0.02, 0.1, 0.3, 0.7])
    truth, covered, width = norm.sf(norm.isf(rates) - 1), [], []
    is_member = np.arange(n_members + n_non_members) < n_members
    for _ in range(120):
        fpr, tpr, _ = roc_curve(is_member, rng.normal(size=len(is_member)) + is_member, drop_intermediate=False)
        low, high = band_at(rates, **roc_rectangles(fpr, tpr, n_members, n_non_members))
        covered.append((low <= truth) & (truth <= high))
        width.append(high - low)
    assert np.mean(covered, axis=0).min() >= 0.95
    assert np.mean(width) < 8 / np.sqrt(n_members) / 2


def test_band_covers_attacks_of_few_scores():
    """An attack by labels alone has one threshold; on either side of it attackers draw lots."""
    rng = np.random.default_rng(1)
    is_member = np.arange(400) < 200
    covered = []
    for _ in range(120):
        score = (rng.random(400) < np.where(is_member, 0.9, 0.6)).astype(float)
        fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
        low, high = band_at(np.array([0.3, 0.6, 0.8]), **roc_rectangles(fpr, tpr, 200, 200))
        covered.append((low <= [0.45, 0.9, 0.95]) & (high >= [0.45, 0.9, 0.95]))
    assert np.mean(covered, axis=0).min() >= 0.95
    assert (high - low).max() < 0.25


def test_roc_attacks_each_row_unknown(forests):
    """The curve is that of cross-fitted scores: planted signals are found, by each attack on one set of answers."""
    X, y, is_member = planted(normal(2.0), normal(0.0))
    target = Counting().fit()
    display = MembershipRocDisplay.from_estimator(
        target, X, y, is_member, attack=["confidence", ThresholdAttack("correctness")], random_state=0, ax=axes()
    )
    assert display.name == ["confidence", "correctness"]
    # Logits of N(2, 1) and N(0, 1): the area of the better one is Phi(sqrt 2) = 0.92.
    assert display.roc_auc[0] == pytest.approx(0.92, abs=0.05)
    assert target.calls_ == [("predict_proba", 400), ("predict", 400)]


def test_roc_leaves_calibration_rows_out(forests):
    """Rows that a defense was calibrated on are no part of its curve."""
    defended, X, y, is_member = forests
    display = MembershipRocDisplay.from_estimator(defended["matched"], X, y, is_member, random_state=0, ax=axes())
    calibrated = defended["matched"].calibrated_on_.contains(X)
    assert calibrated.sum() > 20
    assert display.n_non_members == (~is_member & ~calibrated).sum()
    assert display.lines_[0].get_label().startswith("confidence: AUC ")


def test_roc_of_an_attack_that_asks_more(forests):
    """An attack without shared answers gets the classifier itself; the same seed gives the same curve."""

    class Asking(MembershipAttack):
        def fit(self, target, X, y, is_member):
            self.target_, self.threshold_ = target, 0.5
            return self

        def score_samples(self, X, y):
            return self.target_.predict_proba(X).max(axis=1)

    defended, X, y, is_member = forests
    forest = defended["undefended"]
    display = MembershipRocDisplay.from_estimator(forest, X, y, is_member, attack={"asks": Asking()}, ax=axes())
    assert display.name == ["asks"]
    assert display.roc_auc[0] == pytest.approx(roc_auc_score(is_member, forest.predict_proba(X).max(axis=1)))
    twice = [
        MembershipRocDisplay.from_estimator(forest, X, y, is_member, attack="entropy", random_state=3, ax=axes())
        for _ in range(2)
    ]
    np.testing.assert_array_equal(twice[0].tpr, twice[1].tpr)


@pytest.mark.parametrize(
    ("y_true", "y_score", "kwargs", "match"),
    [
        (IS_MEMBER, np.where(IS_MEMBER, np.nan, 1.0), {}, "must be finite"),
        (IS_MEMBER, np.where(IS_MEMBER, np.inf, 1.0), {}, "must be finite"),
        (IS_MEMBER, np.ones(59), {}, "equally long"),
        (IS_MEMBER, np.ones((60, 2)), {}, "one-dimensional"),
        (np.arange(60), np.ones(60), {}, "True for members"),
        ([], [], {}, "must hold"),
        (IS_MEMBER, {}, {}, "at least one entry"),
        (IS_MEMBER, {"a": np.ones(60)}, {"name": "b"}, "name must be None"),
        (IS_MEMBER, np.ones(60), {"confidence_level": 1.0}, "'confidence_level'"),
        (IS_MEMBER, np.ones(60), {"ax": "here"}, "ax must be None or one matplotlib Axes"),
        (IS_MEMBER, np.ones(60), {"curve_kwargs": [{}, {}]}, "for each of the curves"),
    ],
)
def test_roc_refuses(y_true, y_score, kwargs, match):
    """Each error says what is wrong."""
    with pytest.raises(ValueError, match=match):
        MembershipRocDisplay.from_predictions(y_true, y_score, **kwargs)
    assert plt.get_fignums() == []


def test_roc_refuses_arrays_that_do_not_fit():
    """Of one curve and of several."""
    with pytest.raises(ValueError, match="equally long"):
        MembershipRocDisplay(fpr=np.arange(3), tpr=np.arange(4)).plot(axes())
    with pytest.raises(ValueError, match="for each of the curves"):
        MembershipRocDisplay(fpr=[np.arange(3)] * 2, tpr=[np.arange(3)]).plot(axes())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"attack": "nothing"}, "attack must hold attacks or names of attacks: .*entropy.*Got 'nothing'"),
        ({"is_member": np.ones(400, dtype=bool)}, "at least one member and one non-member"),
        ({"is_member": np.arange(400) < 2}, "4 distinct members"),
        ({"y": np.zeros(7)}, "one label for each of the 400 rows"),
        ({"known": 0.7}, "'known'"),
    ],
)
def test_roc_refuses_to_attack(forests, change, match):
    """What can't be attacked is refused before anything is drawn."""
    defended, X, y, is_member = forests
    arguments = {"estimator": defended["undefended"], "X": X, "y": y, "is_member": is_member} | change
    with pytest.raises(ValueError, match=match):
        MembershipRocDisplay.from_estimator(**arguments)


def test_members_that_were_held_out_are_refused(forests):
    """The classifier knows better which rows it was not trained on."""
    defended, X, y, is_member = forests
    with pytest.raises(ValueError, match="held out of its training"):
        SignalDisplay.from_estimator(defended["swap"], X, y, np.arange(400) < 200)
