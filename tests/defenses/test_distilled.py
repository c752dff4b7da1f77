"""The distilled defense: what the student learns, whose labels it answers with, and what is saved of public rows."""

import io
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.ensemble import BaggingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier, SGDRegressor
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from skdiffence._fitted import denoiser_saw_members, is_frozen, n_training_rows, stored_rows
from skdiffence.attacks import ThresholdAttack
from skdiffence.defenses import DefendedClassifier, DistilledDefense, TunedDefendedClassifier
from skdiffence.exceptions import MembershipWarning
from skdiffence.model_selection import AttackScorer
from tests.defenses.cases import bare_labels, defend, digits, half, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import CNN, MLP, make_binary_net, make_net

NEAREST = KNeighborsRegressor(1)


def parts(kind="rows"):
    """Return 80 private rows, their labels, and 80 public rows."""
    X, y = digits(kind)
    return X[:80], y[:80], X[80:]


def distilled(defended=None, student=NEAREST, **params):
    """Return an unfitted distilled defense with the settings of tests."""
    defended = defend(GaussianNB(), selection="swap") if defended is None else defended
    return DistilledDefense(defended, student, **{"random_state": 0} | params)


@pytest.mark.parametrize("teacher", ["defended", "bare"])
def test_student_of_one_neighbor_answers_public_rows_as_its_teacher(teacher):
    """Which it was trained on, to the last digit but for the smallest probabilities."""
    X, y, public = parts()
    defended = defend(GaussianNB(var_smoothing=0.1), selection="swap") if teacher == "defended" else GaussianNB()
    fitted = distilled(defended, public=public).fit(X, y)
    np.testing.assert_allclose(fitted.predict_proba(public), fitted.defended_.predict_proba(public), atol=1e-5)
    alone = clone(defended).fit(X, y)
    np.testing.assert_array_equal(fitted.defended_.predict_proba(public), alone.predict_proba(public))


@pytest.mark.parametrize(
    ("kind", "estimator", "student"),
    [
        ("strings", make_net(), make_net()),
        ("strings", GaussianNB(), make_pipeline(StandardScaler(), make_net())),
        ("binary", make_binary_net(module__n_features=64), make_binary_net(module__n_features=64)),
        ("images", make_net(CNN), make_net(CNN)),
        ("frame", GaussianNB(), make_pipeline(StandardScaler(), LogisticRegression())),
        ("frame", GaussianNB(), make_net(module__n_features=16)),
        ("rows", make_net(), NEAREST),
    ],
    ids=["nets", "net behind a scaler", "binary nets", "images", "frame", "frame for a net", "regressor"],
)
def test_label_of_the_classifier_on_top_of_the_student(kind, estimator, student):
    """On every row; the other probabilities are the student's."""
    X, y, public = parts(kind)
    fitted = quiet(distilled(defend(estimator, selection="swap"), student, public=public).fit, X, y)
    every, _ = digits(kind)
    labels, answered = fitted.predict(every), fitted.select(every)
    np.testing.assert_array_equal(labels, bare_labels(fitted.defended_, every))
    np.testing.assert_array_equal(fitted.classes_[fitted.predict_proba(every).argmax(axis=1)], labels)
    np.testing.assert_array_equal(answered.proba, fitted.predict_proba(every))
    np.testing.assert_allclose(answered.proba.sum(axis=1), 1, atol=1e-5)
    if student is not NEAREST:
        inputs = every.astype(np.float32) if kind != "frame" or isinstance(student, type(make_net())) else every
        own = fitted.student_.predict_proba(np.asarray(inputs) if inputs is not every else every)
        np.testing.assert_allclose(np.sort(answered.proba), np.sort(own), atol=1e-6)
        np.testing.assert_allclose(answered.proba[answered.kept], own[answered.kept], atol=1e-6)


class Unavailable:
    """A denoiser that is gone."""

    exact = False

    def regenerate(self, X, candidate):
        """Fail."""
        raise AssertionError("an answer regenerated its input")


def test_no_answer_regenerates():
    """The denoiser can be taken away after fit."""
    X, y, public = parts()
    fitted = distilled(public=public).fit(X, y)
    before = fitted.predict_proba(X)
    fitted.defended_.regenerator_ = Unavailable()
    np.testing.assert_array_equal(fitted.predict_proba(X), before)
    np.testing.assert_array_equal(fitted.select(X).n_regenerations, 0)


def test_answers_depend_on_label_and_public_answers_alone():
    """An attacker who has these computes every answer: a student of his own, with the label on top."""
    X, y, public = parts()
    fitted = distilled(student=GaussianNB(), public=public).fit(X, y)
    own = distilled(FrozenEstimator(fitted.defended_), GaussianNB()).fit(public)
    np.testing.assert_allclose(own.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("defended", [defend(GaussianNB(), selection="swap"), GaussianNB()])
def test_non_members_are_the_public_rows_if_none_are_given(defended):
    """Those marked by is_member; they train nothing but the student."""
    X, y = digits()
    fitted = distilled(defended).fit(X, y, is_member=half(y))
    same = GaussianNB().fit(X[half(y)], y[half(y)])
    np.testing.assert_array_equal(fitted.predict(X), same.predict(X))
    np.testing.assert_array_equal(fitted.student_trained_on_.contains(X), ~half(y))
    np.testing.assert_allclose(
        fitted.predict_proba(X[~half(y)]), fitted.defended_.predict_proba(X[~half(y)]), atol=1e-5
    )


def test_rows_held_out_for_calibration_serve_as_public_rows():
    """Where neither public rows nor memberships are given."""
    X, y = digits()
    fitted = distilled(defend(GaussianNB(), selection="matched", calibration_size=0.3)).fit(X, y)
    held_out = fitted.defended_.not_trained_on_.contains(X)
    assert held_out.any()
    np.testing.assert_array_equal(fitted.student_trained_on_.contains(X), held_out)


@pytest.mark.parametrize(
    "make",
    [
        lambda: quiet(defend(GaussianNB(), selection="swap").fit, *parts()[:2]),
        lambda: make_net().fit(parts()[0].astype(np.float32), parts()[1]),
    ],
    ids=["defended", "net"],
)
def test_frozen_teachers_are_not_trained(make):
    """Unlabeled rows are then all that fit needs; rows and labels do no harm."""
    teacher, (X, y, public) = make(), parts()
    unlabeled = distilled(FrozenEstimator(teacher)).fit(public)
    assert unlabeled.n_samples_fit_ is None
    assert is_frozen(unlabeled)
    np.testing.assert_array_equal(unlabeled.predict(X), teacher.predict(X.astype(np.float32)))
    labeled = distilled(FrozenEstimator(teacher), public=public).fit(X, y)
    np.testing.assert_array_equal(labeled.predict_proba(X), unlabeled.predict_proba(X))


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize(
    "student", [NEAREST, MLPRegressor(hidden_layer_sizes=(8,), max_iter=5), BaggingRegressor(n_estimators=2)]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_regressors_of_several_outputs_pass(student):
    """Also those that do not say so by a tag."""
    X, y, public = parts()
    fitted = distilled(GaussianNB(), student, public=public).fit(X, y)
    np.testing.assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(axis=1)], fitted.predict(X))


@pytest.mark.filterwarnings("error::skdiffence.exceptions.MembershipWarning")
@pytest.mark.parametrize("labeled", [False, True])
@pytest.mark.parametrize("kind", ["rows", "frame", "list"])
def test_marked_rows_never_train_the_student_of_a_frozen_teacher(kind, labeled):
    """With or without labels, nor do copies of them that are not marked."""
    X, y = digits("frame" if kind == "frame" else "rows")
    members = half(y)
    teacher = FrozenEstimator(GaussianNB().fit(X[members], y[members]))
    others = X[~members][:3]
    every = pd.concat((X[members], others, X[members][:5])) if kind == "frame" else np.r_[X[members], others, X[:10:2]]
    is_member = np.arange(len(every)) < members.sum()
    given = every.tolist() if kind == "list" else every
    fitted = distilled(teacher).fit(given, np.resize(y, len(every)) if labeled else None, is_member=is_member)
    np.testing.assert_array_equal(fitted.student_trained_on_.contains(X[members]), False)
    assert len(fitted.student_trained_on_) == 3


def test_marked_rows_alone_are_no_public_rows():
    """Without labels there is nothing left to learn from; beside public rows, marked ones do no harm."""
    X, y, public = parts()
    teacher = FrozenEstimator(GaussianNB().fit(X, y))
    for rows in (X, X[:1]):
        with pytest.raises(ValueError, match="is_member must leave rows for the student to learn from"):
            distilled(teacher).fit(rows, is_member=np.ones(len(rows), dtype=bool))
        fitted = distilled(teacher, public=public).fit(rows, is_member=np.ones(len(rows), dtype=bool))
        np.testing.assert_array_equal(fitted.student_trained_on_.contains(public), True)
    with pytest.warns(MembershipWarning, match="3 of the 83 public rows"):
        distilled(teacher, public=np.r_[public, X[:3]]).fit(X, is_member=np.ones(len(X), dtype=bool))


@pytest.mark.parametrize("kind", ["rows", "frame", "list"])
def test_one_row_without_a_label(kind):
    """It may be all that a student learns from, and all that is given beside public rows."""
    X, y, public = parts("frame" if kind == "frame" else "rows")
    teacher = FrozenEstimator(quiet(defend(GaussianNB(), selection="swap").fit, X, y))
    row = public[:1].tolist() if kind == "list" else public[:1]
    alone = distilled(teacher).fit(row)
    np.testing.assert_allclose(alone.student_.predict(public), np.repeat(alone.student_.predict(row), len(public), 0))
    assert len(alone.student_trained_on_) == len(alone.student_.predict(row)) == 1
    given, expected = (distilled(teacher, public=public).fit(rows) for rows in (row, public))
    np.testing.assert_array_equal(given.predict_proba(public), expected.predict_proba(public))


def test_tuned_teacher():
    """The chosen rule teaches."""
    X, y, public = parts()
    tuned = TunedDefendedClassifier(
        defend(GaussianNB(), calibration_size=0.3), timesteps=None, selections=["swap", "first"], n_folds=2
    )
    fitted = quiet(distilled(tuned, public=public).fit, X, y)
    np.testing.assert_allclose(fitted.predict_proba(public), fitted.defended_.predict_proba(public), atol=1e-5)
    assert stored_rows(fitted, X).calibrated_on.any()


def test_what_is_told_of_training():
    """The teacher's stored rows, and the rows of the student, through a pipeline as well."""
    X, y, public = parts()
    defended = defend(GaussianNB(), selection="matched", calibration_size=0.3)
    fitted = distilled(make_pipeline(StandardScaler(), defended), public=public).fit(X, y)
    inner = fitted.defended_.estimator_[-1]
    stored = stored_rows(make_pipeline(fitted), np.concatenate((X, public)))
    np.testing.assert_array_equal(stored.calibrated_on[80:], True)
    assert stored.not_trained_on[:80].sum() == len(inner.not_trained_on_) > 0
    assert stored.calibrated_on[:80].sum() == len(inner.calibrated_on_) > 0
    assert stored_rows(fitted, X).n_lost == 0
    assert n_training_rows(fitted) == fitted.n_samples_fit_ == 80 - len(inner.not_trained_on_)
    assert not denoiser_saw_members(fitted)
    inner.regenerator_.denoiser_saw_members_ = True
    assert denoiser_saw_members(fitted)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_cross_validation(n_jobs):
    """Public rows reach worker processes; scorers believe the records."""
    X, y, public = parts()
    scorer = AttackScorer([ThresholdAttack("confidence")], pool=(X, y), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MembershipWarning)
        found = cross_validate(distilled(public=public), X, y, cv=2, scoring=scorer, n_jobs=n_jobs, error_score="raise")
    assert np.isfinite(found["test_confidence_roc_auc"]).all()


def test_rows_of_the_student_are_not_attacked():
    """A scorer whose pool holds public rows scores the others."""
    X, y = digits()
    fitted = distilled(public=X[140:]).fit(X[:80], y[:80])
    scorer = AttackScorer([ThresholdAttack("confidence")], pool=(X, y), random_state=0)
    assert scorer(fitted, X[80:], y[80:])["n_non_members"] == 60


def test_saved_and_printed_without_public_rows():
    """Yet it answers the same; fitted again where the rows are gone, it asks for them."""
    X, y, public = parts()
    fitted = distilled(student=make_net(), public=public + 1e-3).fit(X, y)
    assert "<public data of 80 rows>" in repr(fitted)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    saved = file.getvalue()
    for dtype in (np.float32, np.float64):
        assert not [row for row in (public + 1e-3).astype(dtype) if row[:32].tobytes() in saved]
    before = fitted.predict_proba(X)
    del fitted
    loaded = joblib.load(io.BytesIO(saved))
    np.testing.assert_array_equal(loaded.predict_proba(X), before)
    assert "<public data without rows>" in repr(loaded)
    with pytest.raises(ValueError, match="public has no rows here"):
        loaded.fit(X, y)
    np.testing.assert_array_equal(loaded.set_params(public=public + 1e-3).fit(X, y).predict_proba(X), before)


@pytest.mark.usefixtures("untouched_generators")
def test_clones_share_public_rows():
    """No copy is made, and they answer the same."""
    X, y, public = parts()
    first = distilled(student=make_net(), public=public)
    second = clone(first)
    assert second.public is first.public
    np.testing.assert_array_equal(first.fit(X, y).predict_proba(X), second.fit(X, y).predict_proba(X))
    np.testing.assert_array_equal(first.predict_proba(X[::-1])[::-1], second.predict_proba(X))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"public": None}, "public must hold rows"),
        ({"public": np.zeros((5, 3))}, r"public must have rows of shape \(64,\), as X in fit. Got shape \(3,\)"),
        ({"public": "rows"}, r"'public' parameter of \w+ must be an array-like or None. Got 'rows'"),
        ({"public": 5}, "'public' parameter of .* must be an array-like or None. Got 5"),
        ({"public": [[1, 2], [3]]}, "public must have rows like those of X in fit"),
        ({"public": np.zeros((0, 64))}, r"public must have rows like those of X in fit. Found array with 0 sample"),
        ({"public": np.full((5, 64), "a")}, "public must have rows like those of X in fit.*numeric"),
        ({"public": np.full((5, 64), np.nan)}, "public must have rows that the classifier can answer.*NaN"),
        ({"public": np.full((5, 64), np.nan), "defended": make_net()}, "public must have rows like those of X.*NaN"),
        ({"public": np.zeros(64)}, r"public must have rows of shape \(64,\), as X in fit. Got shape \(\)"),
        ({"public": np.array(5)}, r"public must have rows of shape \(64,\), as X in fit. Got shape \(\)"),
        ({"public": {"a": 1}}, r"public must have rows of shape \(64,\), as X in fit. Got shape \(\)"),
        ({"student": FrozenEstimator(GaussianNB())}, "student must be trained"),
        ({"student": KNeighborsClassifier()}, "takes sample_weight"),
        ({"student": RidgeClassifier()}, r"RidgeClassifier\(\) has no predict_proba"),
        ({"student": SVC()}, r"SVC\(\) has no predict_proba"),
        ({"student": make_pipeline(StandardScaler(), SGDClassifier())}, r"SGDClassifier\(\) has no predict_proba"),
        ({"student": SGDRegressor()}, "an output for each class: SGDRegressor has one only"),
        ({"student": make_pipeline(StandardScaler(), SVR())}, "an output for each class: SVR has one only"),
        ({"student": make_net(MLP())}, "must be a module class"),
        ({"defended": make_net(MLP())}, "must be a module class"),
    ],
)
def test_refused_settings(params, message):
    """Each names what was wrong."""
    X, y, public = parts()
    with pytest.raises(ValueError, match=message):
        distilled(**{"public": public} | params).fit(X, y)


def test_public_rows_of_another_kind():
    """They have to be in the container of X; a generator is none."""
    X, y, public = parts()
    for rows, message in (
        (iter(public), "'public' parameter of .* must be an array-like or None. Got <.*iterator"),
        (csr_array(public), "public must have rows like those of X in fit.*[Ss]parse"),
        (pd.DataFrame(public), "public must be an array, as X in fit. Got DataFrame"),
    ):
        with pytest.raises(ValueError, match=message):
            distilled(public=rows).fit(X, y)


def test_frozen_without_public_rows():
    """Labeled rows may be anything: only unlabeled ones are taken as public."""
    X, y, _ = parts()
    with pytest.raises(ValueError, match="public must hold rows"):
        distilled(FrozenEstimator(GaussianNB().fit(X, y))).fit(X, y)


def test_training_rows_among_public_ones():
    """Warned of: the student learns what the teacher answers for members."""
    X, y, public = parts()
    with pytest.warns(MembershipWarning, match="3 of the 83 public rows trained the classifier"):
        distilled(public=np.concatenate((public, X[:3]))).fit(X, y)


def test_frames_of_public_rows():
    """With the columns of X, in any of the classifier's ways to take them."""
    X, y, public = parts("frame")
    fitted = distilled(public=public).fit(X, y)
    assert list(fitted.feature_names_in_) == list(X.columns)
    for other in (public.rename(columns="other {}".format), public[public.columns[::-1]]):
        with pytest.raises(ValueError, match="(?s)public must have rows like those of X in fit.*feature names"):
            distilled(public=other).fit(X, y)
    for other in (public.to_numpy(), public.to_numpy().tolist()):
        with pytest.raises(ValueError, match="public must be a data frame, as X in fit. Got (ndarray|list)"):
            distilled(public=other).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict_proba(X)


def test_rows_that_can_t_be_used_are_found_before_the_teacher_is_trained():
    """Which may take hours."""
    X, y, public = parts()

    class Untrainable(GaussianNB):
        def fit(self, X, y):
            raise AssertionError("the teacher was trained")

    for params in ({"public": public[:, :3]}, {"student": SGDRegressor()}, {"student": SVC()}):
        with pytest.raises(ValueError, match="public must|A student"):
            distilled(Untrainable(), **{"public": public} | params).fit(X, y)


def test_passed_through_by_a_defended_classifier():
    """It is a classifier like any other."""
    X, y, public = parts()
    around = DefendedClassifier(distilled(public=public), NoiseRegenerator(0.1), selection="swap", random_state=0)
    fitted = around.fit(X, y)
    np.testing.assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(axis=1)], fitted.predict(X))
