"""Displays: what they measure against an oracle, what they draw, and what they refuse."""

import importlib

import hypothesis.strategies as st
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from matplotlib.figure import Figure
from scipy.stats import binomtest, norm
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, auc, roc_auc_score, roc_curve

from skdiffence.attacks import ThresholdAttack
from skdiffence.base import MembershipAttack
from skdiffence.datasets import load_digit_images
from skdiffence.defenses import DefendedClassifier
from skdiffence.inspection import CandidateDisplay, MembershipRocDisplay, PrivacyUtilityDisplay, SignalDisplay
from skdiffence.inspection.displays._roc_curve import band_at, roc_band, roc_rectangles, with_more_points
from skdiffence.metrics import auc_interval, failure_detection_auc, logit_signal
from tests.attacks.targets import Counting, normal, planted
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net

IS_MEMBER = np.arange(60) % 3 == 0


@pytest.fixture(autouse=True)
def figures():
    """Draw without a window, and leave no figure behind."""
    matplotlib.use("Agg", force=True)
    yield
    plt.close("all")


def axes(n=1):
    """Return axes of a figure that pyplot does not know."""
    return Figure().subplots(1, n)


def scores(seed=0, shift=1.0, n=60):
    """Return scores of ``IS_MEMBER`` that tell members from others."""
    return np.random.default_rng(seed).normal(size=n) + shift * (np.arange(n) % 3 == 0)


def answers(seed=0, n=60, n_classes=4):
    """Return class probabilities and labels that are often right."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), size=n)
    return proba, np.where(rng.random(n) < 0.7, proba.argmax(axis=1), rng.integers(n_classes, size=n))


@pytest.fixture(scope="module")
def forests():
    """Return a forest, two defended ones, and rows whose membership is known."""
    X, y = load_digits(return_X_y=True)
    X, y, is_member = X[:400], y[:400], np.arange(400) % 2 == 0
    forest = RandomForestClassifier(20, max_depth=6, random_state=0).fit(X[is_member], y[is_member])
    defended = {
        rule: DefendedClassifier(FrozenEstimator(forest), NoiseRegenerator(3.0), selection=rule, n_candidates=8).fit(
            X[:150], y[:150], is_member=is_member[:150]
        )
        for rule in ("matched", "swap")
    }
    return {"undefended": forest, **defended}, X, y, is_member


@pytest.fixture(scope="module")
def nets():
    """Return a defended net on images of digits, with rows."""
    digits = load_digit_images()
    X, y = digits.data[:300], digits.target[:300].astype(str)
    defended = DefendedClassifier(make_net(max_epochs=8), NoiseRegenerator(0.35), n_candidates=12, random_state=0)
    return defended.fit(X, y), X, y


# --- ROC -----------------------------------------------------------------------------------------


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
        ({"attack": "nothing"}, "name must be one of"),
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


# --- Signals -------------------------------------------------------------------------------------


def test_signal_is_a_histogram_of_phi():
    """Each outline is the density of its side, at the answered label, in the same bins."""
    proba, _ = answers()
    display = SignalDisplay.from_predictions(IS_MEMBER, proba, n_bins=10, ax=axes())
    phi = logit_signal(proba.argmax(axis=1), proba)
    np.testing.assert_allclose(display.signal, phi)
    for patch, side in zip(display.hists_[0], (~IS_MEMBER, IS_MEMBER), strict=True):
        density, _ = np.histogram(phi[side].clip(*display.bins_[[0, -1]]), display.bins_, density=True)
        assert patch.get_xy()[:, 1].max() == pytest.approx(density.max())
    auc, (low, high) = roc_auc_score(IS_MEMBER, phi), auc_interval(IS_MEMBER, phi)
    assert display.ax_.get_title("left") == f"AUC {auc:.2f} ({low:.2f} to {high:.2f})"
    assert len(display.bins_) == 11


def test_signal_before_and_after_share_axes():
    """Two panels, two titles, one scale."""
    proba, y = answers()
    before, _ = answers(1)
    display = SignalDisplay.from_predictions(IS_MEMBER, proba, proba_before=before, y=y, at="true", signal="entropy")
    left, right = display.ax_
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_title("left").startswith("undefended\n")
    assert right.get_title("left").startswith("defended\n")
    assert len(plt.get_fignums()) == 1
    for panel, patches in zip(display.ax_, display.hists_, strict=True):
        assert max(patch.get_xy()[:, 1].max() for patch in patches) < panel.get_ylim()[1]


@pytest.mark.parametrize("signal", ["confidence", "correctness", "entropy", "logit", "loss", "modified_entropy"])
def test_every_signal_is_drawn(signal):
    """At the true label, by its name."""
    proba, y = answers()
    display = SignalDisplay.from_predictions(IS_MEMBER, proba.astype(np.float32), y=y, at="true", signal=signal)
    assert display.xlabel == display.ax_.get_xlabel() != ""


def test_signal_that_is_constant_is_drawn():
    """Answers that say nothing have one bar."""
    display = SignalDisplay.from_predictions(IS_MEMBER, np.full((60, 4), 0.25), ax=axes())
    assert "AUC 0.50" in display.ax_.get_title("left")


def test_signal_of_a_defended_classifier_shows_what_it_hides(forests):
    """The undefended panel is what the inner classifier answers; calibration rows are left out of both."""
    defended, X, y, is_member = forests
    display = SignalDisplay.from_estimator(defended["matched"], X, y, is_member, at="true")
    scored = ~defended["matched"].calibrated_on_.contains(X)
    before, after = (defended[name].predict_proba(X[scored]) for name in ("undefended", "matched"))
    np.testing.assert_allclose(display.signal[0], logit_signal(y[scored], before))
    np.testing.assert_allclose(display.signal[1], logit_signal(y[scored], after))
    bare = SignalDisplay.from_estimator(defended["undefended"], X, y, is_member, ax=axes())
    assert len(bare.hists_) == 1


def test_signal_of_a_defended_net(nets):
    """Inner nets know encoded labels and float32 only."""
    defended, X, y = nets
    inner = defended.estimator_.predict_proba(X.astype(np.float32))
    display = SignalDisplay.from_estimator(defended, X.astype(np.float64), y, np.arange(300) < 150)
    np.testing.assert_allclose(display.signal[0], logit_signal(inner.argmax(axis=1), inner), rtol=1e-4)


def test_signal_kwargs_reach_the_outlines():
    """By side."""
    proba, _ = answers()
    display = SignalDisplay.from_predictions(IS_MEMBER, proba, members_kw={"ec": "red"}, non_members_kw={"lw": 4})
    non_members, members = display.hists_[0]
    assert matplotlib.colors.same_color(members.get_edgecolor(), "red")
    assert non_members.get_linewidth() == 4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"signal": "charm"}, "'signal'"),
        ({"at": "true"}, "y must hold the columns"),
        ({"signal": "correctness"}, "needs the true labels"),
        ({"proba": np.full((60, 4), np.nan)}, "must not be negative"),
        ({"proba": np.full((60, 4), 0.5)}, "must not be negative"),
        ({"proba": np.full((60, 1), 1.0)}, "at least two"),
        ({"proba_before": np.full((60, 2), 0.5)}, "of one shape"),
        ({"is_member": IS_MEMBER[:9]}, r"one value for each row: shape \(60,\)"),
        ({"is_member": np.zeros(60)}, "at least one member and one non-member"),
        ({"y": np.full(60, 9)}, "Column numbers"),
        ({"n_bins": 1}, "'n_bins'"),
        ({"ax": []}, "one matplotlib Axes. Got 0"),
    ],
)
def test_signal_refuses(change, match):
    """Each error says what is wrong, and no figure is left."""
    arguments = {"is_member": IS_MEMBER, "proba": answers()[0]} | change
    with pytest.raises(ValueError, match=match):
        SignalDisplay.from_predictions(**arguments)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("signal", [[np.ones(60), np.ones(59)], np.full(60, np.inf), np.ones((60, 2))])
def test_signal_refuses_arrays_that_do_not_fit(signal):
    """Lengths and infinities."""
    with pytest.raises(ValueError, match="signal must"):
        SignalDisplay(is_member=IS_MEMBER, signal=signal).plot()


# --- Candidates ----------------------------------------------------------------------------------


def test_candidates_are_those_that_answer(nets):
    """Pictures, labels, confidence and the frame are what the classifier says of each candidate."""
    defended, X, y = nets
    rows = [3, 50, 200]
    display = CandidateDisplay.from_estimator(defended, X, rows=rows, n_candidates=12, y=y)
    selected = defended.select(X[rows])
    np.testing.assert_array_equal(display.chosen, selected.candidate)
    np.testing.assert_array_equal(display.label, defended.predict(X[rows]))
    for candidate in (0, 11):
        made = defended.regenerator_.regenerate(X[rows], candidate)
        np.testing.assert_array_equal(display.candidates[:, candidate], made)
        proba = defended.estimator_.predict_proba(made)
        np.testing.assert_array_equal(display.candidate_label[:, candidate], defended.classes_[proba.argmax(axis=1)])
        np.testing.assert_allclose(display.candidate_confidence[:, candidate], proba.max(axis=1), rtol=1e-5)
    changed = display.candidate_label != display.label[:, None]
    assert 0 < changed.sum() == len(display.strikes_)
    for row, frame in enumerate(display.frames_):
        picture = display.images_[row][1 + selected.candidate[row]]
        assert frame.get_bbox().extents == pytest.approx(np.array(picture.get_extent())[[0, 2, 1, 3]])
        assert "true: " + y[rows[row]] in display.texts_[row][0].get_text()


def test_candidates_show_a_late_one_last(nets):
    """Where the one that answers would be out of sight it takes the last place, with its number."""
    defended, X, _ = nets
    late = int(np.argmax(defended.select(X).candidate))
    number = int(defended.select(X[[late]]).candidate[0])
    assert number >= 2
    display = CandidateDisplay.from_estimator(defended, X, rows=[late], n_candidates=2, ax=axes())
    np.testing.assert_array_equal(display.number, [[0, number]])
    np.testing.assert_array_equal(display.candidates[0, 1], defended.regenerator_.regenerate(X[[late]], number)[0])
    assert display.texts_[0][2].get_text().startswith(f"#{number}: ")
    assert display.texts_[0][2].get_fontweight() == "bold"


def test_candidates_of_rows_are_lines(forests):
    """Rows of features, from an array and from a frame, by the same call."""
    pandas = pytest.importorskip("pandas")
    defended, X, _, _ = forests
    display = CandidateDisplay.from_estimator(defended["swap"], X, rows=[0, 1], n_candidates=3, ax=axes())
    frame = pandas.DataFrame(X[:20], index=np.arange(20)[::-1])
    again = CandidateDisplay.from_estimator(defended["swap"], frame.to_numpy(), rows=[0, 1], n_candidates=3, ax=axes())
    assert len(display.images_) == 2
    assert len(display.images_[0]) == 4
    assert len(display.images_[0][0].get_xdata()) == 64
    np.testing.assert_array_equal(display.candidate_confidence, again.candidate_confidence)
    np.testing.assert_array_equal(display.chosen, [0, 0])


@pytest.mark.parametrize(("channels", "shape"), [(1, (6, 5)), (2, (6, 5)), (3, (6, 5, 3)), (4, (6, 5, 3)), (7, (6, 5))])
def test_candidates_of_any_channels(channels, shape):
    """One channel is gray, three are colors, a fourth is left out; values go from the range's low to its high."""
    X = np.random.default_rng(0).random((2, channels, 6, 5)) * 255
    proba = answers(n=2)[0]
    display = CandidateDisplay.from_predictions(
        X.astype(np.uint8), X[:, None], proba, proba[:, None], [0, -1], value_range=(0, 255), ax=axes()
    )
    picture = np.asarray(display.images_[0][1].get_array())
    assert picture.shape == shape
    first = picture[..., 0] if len(shape) == 3 else picture
    np.testing.assert_allclose(first, X[0, 0] / 255)
    assert display.frames_[1].get_x() == 0


def test_candidate_whose_labels_are_exchanged_says_so():
    """It is framed and struck out, and shows the label that it stands for."""
    X, proba = np.zeros((1, 1, 4, 4)), np.array([[0.9, 0.1]])
    display = CandidateDisplay.from_predictions(
        X, X[:, None], proba, np.array([[[0.2, 0.8]]]), [0], classes=["cat", "a very long label"], ax=axes()
    )
    assert display.texts_[0][1].get_text() == "a very long…\n→ cat\n0.800"
    assert len(display.strikes_) == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"rows": [400]}, "rows must hold"),
        ({"rows": []}, "rows must hold"),
        ({"rows": [0.5]}, "rows must hold"),
        ({"y": [1, 2]}, "one label for each of the 400 rows"),
        ({"n_candidates": 0}, "'n_candidates'"),
        ({"estimator": RandomForestClassifier()}, "'estimator'"),
    ],
)
def test_candidates_refuse(forests, change, match):
    """What can't be shown."""
    defended, X, _, _ = forests
    with pytest.raises(ValueError, match=match):
        CandidateDisplay.from_estimator(**({"estimator": defended["swap"], "X": X} | change))


def test_candidates_refuse_what_is_no_defense(forests):
    """Neither the baseline nor noise that is drawn anew shows what answers."""
    defended, X, y, _ = forests
    baseline = DefendedClassifier(FrozenEstimator(defended["undefended"]), "passthrough").fit(X, y)
    with pytest.raises(ValueError, match="passthrough"):
        CandidateDisplay.from_estimator(baseline, X)
    fresh = NoiseRegenerator()
    fresh.noise = "fresh"
    baseline.regenerator_ = fresh
    with pytest.raises(ValueError, match="noise='fresh'"):
        CandidateDisplay.from_estimator(baseline, X)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"X": np.zeros((2, 3, 4))}, "X must have shape"),
        ({"candidates": np.zeros((2, 3, 5))}, "X must have shape"),
        ({"candidates": np.zeros((1, 3, 4))}, "candidate"),
        ({"chosen": [5, 0]}, "chosen must hold numbers"),
        ({"chosen": [0]}, "Shapes must fit"),
        ({"y": [0]}, "Shapes must fit"),
        ({"number": [[0, 1, 2]]}, "Shapes must fit"),
        ({"proba": np.full((2, 3), 1 / 3)}, "candidate_proba must have shape"),
        ({"candidate_proba": np.full((2, 3, 4), 0.5)}, "must not be negative"),
        ({"value_range": (0, np.nan)}, "value_range must be finite"),
        ({"value_range": (0, 1, 2)}, "value_range must be finite"),
    ],
)
def test_candidates_refuse_arrays_that_do_not_fit(change, match):
    """Each error says what was expected."""
    proba = answers(n=2)[0]
    arguments = {"X": np.zeros((2, 4)), "candidates": np.zeros((2, 3, 4)), "proba": proba, "chosen": [0, 1]}
    arguments["candidate_proba"] = np.repeat(proba[:, None], 3, axis=1)
    with pytest.raises(ValueError, match=match):
        CandidateDisplay.from_predictions(**(arguments | change), ax=axes())


# --- Privacy and utility -------------------------------------------------------------------------


def test_points_are_measured_on_the_same_rows(forests):
    """Both planes, against sklearn's numbers, on rows that no defense was calibrated on."""
    defended, X, y, is_member = forests
    scored = ~defended["matched"].calibrated_on_.contains(X)
    arguments = {"estimators": defended, "X": X, "y": y, "is_member": is_member, "random_state": 0}
    for plane in ("accuracy", "failure_detection"):
        display = PrivacyUtilityDisplay.from_estimator(**arguments, plane=plane, ax=axes())
        assert display.name == ["undefended", "matched", "swap"]
        others = scored & ~is_member
        for i, name in enumerate(display.name):
            proba, label = defended[name].predict_proba(X[others]), defended[name].predict(X[others])
            expected = {
                "accuracy": accuracy_score(y[others], label),
                "failure_detection": failure_detection_auc(y[others], proba),
            }
            assert display.utility[i] == pytest.approx(expected[plane])
        confidence = defended["undefended"].predict_proba(X)[np.arange(400), y]
        right = defended["undefended"].predict(X) == y
        rows = scored & (right if plane == "failure_detection" else True)
        assert display.privacy[0] == pytest.approx(roc_auc_score(is_member[rows], confidence[rows]))
        ends = auc_interval(is_member[rows], confidence[rows])
        margin = display.privacy_margin[:, 0]
        assert (display.privacy[0] - margin[0], display.privacy[0] + margin[1]) == pytest.approx(ends)
        assert len(display.arrows_) == 2
    assert display.floor is display.floor_ is None
    accuracy = PrivacyUtilityDisplay.from_estimator(**arguments, plane="accuracy", ax=axes())
    right = (defended["undefended"].predict(X) == y)[scored]
    assert accuracy.floor == pytest.approx(roc_auc_score(is_member[scored], right))
    assert accuracy.floor_.get_ydata()[0] == accuracy.floor


def test_points_of_answers():
    """Answers and attack scores by name are enough."""
    proba, y = answers()
    given = {"sharp": proba, "flat": 0.5 * proba + 0.125}
    named = {"sharp": scores(), "flat": scores(1)}
    display = PrivacyUtilityDisplay.from_predictions(
        IS_MEMBER, y, given, named, plane="accuracy", reference="flat", ax=axes()
    )
    assert display.utility[0] == display.utility[1] == np.mean(proba.argmax(axis=1)[~IS_MEMBER] == y[~IS_MEMBER])
    np.testing.assert_allclose(display.privacy, [roc_auc_score(IS_MEMBER, named[name]) for name in given])
    assert display.reference == "flat"
    assert display.floor == roc_auc_score(IS_MEMBER, proba.argmax(axis=1) == y)
    assert len(display.arrows_) == 1
    assert [text.get_text() for text in display.texts_] == ["sharp", "flat"]


def test_points_of_a_list(forests):
    """Classifiers without names are named by their classes."""
    defended, X, y, is_member = forests
    listed = [defended["undefended"], defended["swap"], defended["matched"]]
    display = PrivacyUtilityDisplay.from_estimator(listed, X, y, is_member, reference=None, ax=axes())
    assert display.name == ["RandomForestClassifier", "DefendedClassifier", "DefendedClassifier 2"]
    assert display.arrows_ == []


def test_arrows_lead_from_each_reference():
    """One for all or one for each; none to itself."""
    points = {"utility": [0.7, 0.6, 0.8, 0.5], "privacy": [0.7, 0.6, 0.8, 0.5], "name": list("abcd")}
    assert len(PrivacyUtilityDisplay(**points, reference=0).plot(axes()).arrows_) == 3
    display = PrivacyUtilityDisplay(**points, reference=[None, "a", None, 2]).plot(axes())
    assert [arrow.xy for arrow in display.arrows_] == [(0.6, 0.6), (0.5, 0.5)]
    assert [arrow.get_position() for arrow in display.arrows_] == [(0.7, 0.7), (0.8, 0.8)]
    assert display.errorbar_ is None
    assert display.chance_level_.get_ydata()[0] == 0.5


@pytest.mark.parametrize("seed", range(2))
def test_names_of_many_points_can_be_read(seed):
    """Of crowded points too: beside their points, on the side with more room, apart, and inside the axes."""
    rng = np.random.default_rng(seed)
    names = ["undefended", *(f"defense {i}" for i in range(9))]
    x, y = 0.6 + np.append(rng.random((2, 2)), 0.4 + 0.03 * rng.random((2, 8)), axis=1)
    display = PrivacyUtilityDisplay(utility=x, privacy=y, name=names, reference=0).plot()
    display.figure_.canvas.draw()
    # Without the leader line, which belongs to an annotation's extent.
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in display.texts_]
    frame = display.ax_.get_window_extent()
    assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)
    on_left = x > sum(display.ax_.get_xlim()) / 2
    places = display.ax_.transData.transform(np.column_stack([x, y]))[:, 0]
    assert [box.x1 < place for box, place in zip(boxes, places, strict=True)] == list(on_left)
    same_side = [(boxes[i], boxes[j]) for i in range(10) for j in range(i) if on_left[i] == on_left[j]]
    assert not [pair for pair in same_side if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"utility": [0.5, np.nan]}, "utility must hold a finite number"),
        ({"privacy": [0.5]}, "privacy must hold a finite number"),
        ({"name": ["a"]}, "for each of the 1 points"),
        ({"privacy_margin": [[0.1, 0.1]]}, "privacy_margin must hold"),
        ({"utility_margin": [0.1, -0.1]}, "must not be negative"),
        ({"reference": "c"}, "reference must be one of"),
        ({"reference": 2}, "from 0 to 1"),
        ({"reference": ["a"]}, "one for each of the 2 points"),
    ],
)
def test_points_refuse(change, match):
    """Each error says what is wrong."""
    arguments = {"utility": [0.6, 0.5], "privacy": [0.6, 0.5], "name": ["a", "b"]} | change
    with pytest.raises(ValueError, match=match):
        PrivacyUtilityDisplay(**arguments).plot()
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"proba": {}, "y_score": {}}, "at least one"),
        ({"y_score": {"b": scores()}}, "the same names"),
        ({"proba": {"a": np.full((60, 4), 0.3)}}, "must not be negative"),
        ({"y": np.zeros(59, dtype=int)}, "one label for each of"),
        ({"plane": "cartesian"}, "'plane'"),
        ({"is_member": np.zeros(60)}, "at least one member"),
        ({"y_score": {"a": np.ones(59)}}, "equally long"),
        ({"y": answers()[0].argmax(axis=1)}, "Use plane='accuracy'"),
    ],
)
def test_answers_that_can_t_be_measured_are_refused(change, match):
    """Each error says what is wrong, or what to do."""
    proba, y = answers()
    good = {"is_member": IS_MEMBER, "y": y, "proba": {"a": proba}, "y_score": {"a": scores()}}
    with pytest.raises(ValueError, match=match):
        PrivacyUtilityDisplay.from_predictions(**(good | change))


# --- All of them ---------------------------------------------------------------------------------

PROBA, LABELS = answers()
DRAW = {
    "candidates": lambda ax: CandidateDisplay.from_predictions(
        np.eye(4)[:2], np.zeros((2, 1, 4)), PROBA[:2], PROBA[:2, None], [0, 0], ax=ax
    ),
    "points": lambda ax: PrivacyUtilityDisplay.from_predictions(
        IS_MEMBER, LABELS, {"a": PROBA}, {"a": scores()}, ax=ax
    ),
    "roc": lambda ax: MembershipRocDisplay.from_predictions(IS_MEMBER, scores(), ax=ax),
    "signals": lambda ax: SignalDisplay.from_predictions(IS_MEMBER, PROBA, ax=ax),
}


@pytest.mark.parametrize("name", DRAW)
def test_given_axes_are_drawn_on_and_pyplot_is_left_alone(name):
    """A figure of one's own touches no global state; without axes pyplot makes one figure, and plot another."""
    ax = axes()
    display = DRAW[name](ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert plt.get_fignums() == []
    assert DRAW[name](None).figure_.number in plt.get_fignums()
    first = display.plot()
    assert first is display
    assert display.ax_ is not ax
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("name", DRAW)
def test_without_matplotlib_an_error_says_what_to_install(name, monkeypatch):
    """Before anything is computed."""
    real = importlib.import_module

    def missing(module, *args):
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return real(module, *args)

    monkeypatch.setattr("skdiffence.utils._optional.importlib.import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'skdiffence\[plot\]'"):
        DRAW[name](None)


@pytest.mark.usefixtures("untouched_generators")
def test_global_generators_are_untouched(forests):
    """Displays draw seeds of their own."""
    defended, X, y, is_member = forests
    MembershipRocDisplay.from_estimator(defended["swap"], X, y, is_member, attack="non_monotone", ax=axes())
    PrivacyUtilityDisplay.from_estimator(defended, X, y, is_member, ax=axes())
