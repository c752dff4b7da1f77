"""The canary protocol: every model in turn the target of all others."""

from functools import partial

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_blobs
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from skorch.dataset import ValidSplit

from skdiffence.attacks import lira_scores, query, train_shadows
from skdiffence.datasets import make_canaries
from skdiffence.defenses import DefendedClassifier
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection import canary_audit
from skdiffence.inspection._canary_audit import _part
from skdiffence.metrics import hinge_signal, logit_signal
from tests.attacks.shadow.shadow_estimators import LOG, Logged
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import MLP, make_net

X, y = make_blobs(120, n_features=4, centers=3, cluster_std=4.0, random_state=0)
X_test, y_test = make_blobs(80, n_features=4, centers=3, cluster_std=4.0, random_state=1)
audit = partial(canary_audit, n_canaries=20, n_shadows=8, n_resamples=50, random_state=0)


class Remembering(ClassifierMixin, BaseEstimator):
    """Answers rows with noise of each fit, and lifts the given label of those that it was trained on by ``lift``."""

    def __init__(self, lift=0.0, random_state=None):
        self.lift = lift
        self.random_state = random_state

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen_ = {row.tobytes(): label for row, label in zip(X, y, strict=True)}
        return self

    def predict_proba(self, X):
        draws = np.random.default_rng(self.random_state)
        key = [int.from_bytes(row.tobytes()[:4], "little") for row in X]
        noise = [np.random.default_rng([draws.bit_generator.seed_seq.entropy, k]).normal(size=3) for k in key]
        labels = [self.seen_.get(row.tobytes()) for row in X]
        lift = [self.lift * (self.classes_ == label) for label in labels]
        raised = np.exp(np.array(noise) + lift)
        return raised / raised.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


# --- what it finds -------------------------------------------------------------------------------


def test_nothing_leaks_from_answers_that_know_nothing():
    """Every interval holds 0.5."""
    result = audit(Remembering(), X, y, n_canaries=60, n_shadows=16, n_resamples=200, confidence_level=0.99)
    for measured in result.attacks.values():
        assert measured.roc_auc.low <= 0.5 <= measured.roc_auc.high
        assert measured.roc_auc.high - measured.roc_auc.low < 0.3


def test_all_leaks_from_answers_that_remember():
    """Both signals, with and without shadows, and for each canary; a third of the other labels is right by chance."""
    result = audit(Remembering(lift=20.0), X, y)
    for name, measured in result.attacks.items():
        assert measured.roc_auc.value > (0.7 if name == "threshold_correctness" else 0.99), name
    assert min(result.row_auc["logit"]) == 1


def test_scores_are_those_of_attacking_each_model_with_the_others():
    """By hand: the same canaries, the same models, one target after the other."""
    result = audit(GaussianNB(), X, y, variance="fixed")
    made = make_canaries(X, y, n_canaries=20, random_state=_part(0, "canaries"))
    np.testing.assert_array_equal(result.canaries, made.canaries)
    shadows = train_shadows(
        GaussianNB(), made.X, made.y, n_shadows=8, canaries=made.canaries, random_state=_part(0, "shadows")
    )
    answers = [query(shadow, made.X[made.canaries], made.y[made.canaries]) for shadow in shadows["estimator"]]
    signals = {
        "logit": np.column_stack([logit_signal(each.y, each.proba) for each in answers]),
        "hinge": np.column_stack([hinge_signal(each.y, each.proba) for each in answers]),
    }
    membership = np.column_stack([np.isin(made.canaries, rows) for rows in shadows["indices"]["train"]])
    np.testing.assert_array_equal(result.membership, membership)
    for name, values in signals.items():
        for target in range(8):
            others = np.arange(8) != target
            expected = lira_scores(values[:, target], values[:, others], membership[:, others], variance="fixed")
            np.testing.assert_allclose(result.scores[f"lira_{name}"][:, target], expected, atol=1e-8)
        np.testing.assert_allclose(result.scores[f"threshold_{name}"], values)
        area = roc_auc_score(membership.ravel(), result.scores[f"lira_{name}"].ravel())
        assert result.attacks[f"lira_{name}"].roc_auc.value == pytest.approx(area)
    correct = np.column_stack([each.correct for each in answers])
    np.testing.assert_array_equal(result.scores["threshold_correctness"], correct)


def test_every_canary_is_in_half_of_the_models():
    """So that both sides have as many pairs."""
    result = audit(GaussianNB(), X, y)
    np.testing.assert_array_equal(result.membership.sum(axis=1), 4)
    assert {result.n_pairs(name) for name in result.attacks} == {(80, 80)}


def test_a_defense_that_keeps_labels_does_not_lower_what_labels_tell():
    """The floor is the undefended classifier's; the answers are not."""
    defended, bare = (
        audit(DefendedClassifier(GaussianNB(), regenerator), X, y)
        for regenerator in (NoiseRegenerator(), "passthrough")
    )
    np.testing.assert_array_equal(defended.scores["threshold_correctness"], bare.scores["threshold_correctness"])
    assert not np.array_equal(defended.scores["threshold_logit"], bare.scores["threshold_logit"])


@pytest.mark.filterwarnings("ignore:.*no model that was trained on them")
def test_pairs_that_nobody_knows_are_left_out():
    """What a net holds out of its training is neither a member nor a non-member."""
    net = make_net(MLP, module__n_features=4, module__n_classes=3, max_epochs=1, train_split=ValidSplit(3))
    result = audit(net, X.astype(np.float32), y)
    n_members, n_others = result.n_pairs("lira_logit")
    assert n_members == result.membership.sum() < 80
    assert n_others == 80
    assert np.isnan(result.scores["threshold_hinge"]).sum() == 80 - n_members


@pytest.mark.parametrize("kind", ["blank", "clean", "duplicated", "mislabeled", "out_of_distribution"])
def test_kinds(kind):
    """Half of the rows of pairs are audited."""
    result = audit(GaussianNB(), X, y, kind=kind)
    assert result.n_canaries == (10 if kind == "duplicated" else 20)
    assert repr(result).startswith(f"{result.n_canaries} {kind.replace('_', ' ')} canaries, 8 models")


def test_forests_and_their_zeros():
    """Answers of exactly 0 and 1 are clipped: all scores are finite."""
    result = audit(Remembering(lift=400.0), X, y)
    assert all(np.isfinite(scores).all() for scores in result.scores.values())
    assert np.abs(result.scores["threshold_logit"]).max() < 100


# --- what it asks and trains ---------------------------------------------------------------------


def test_more_queries_are_averaged():
    """A callable gets the canaries and gives further arrays; the same again changes nothing."""
    once, twice = (audit(GaussianNB(), X, y, queries=queries) for queries in ("identity", lambda rows: [rows, rows]))
    assert (once.n_queries, twice.n_queries) == (1, 3)
    assert "3 queries each" in repr(twice)
    for name, scores in once.scores.items():
        np.testing.assert_allclose(twice.scores[name], scores)


def test_images_are_flipped_and_shifted():
    """All 18 views of an image."""
    images = X.reshape(120, 1, 2, 2).astype(np.float32)
    net = make_net(MLP, module__n_features=4, module__n_classes=3, max_epochs=1)
    assert audit(net, images, y, queries="flips+shifts", n_shadows=4).n_queries == 18


def test_accuracy_on_test_rows():
    """Mean and standard error over models; without test rows nothing is said."""
    result = audit(GaussianNB(), X, y, X_test=X_test, y_test=y_test)
    assert result.accuracy.shape == (8,)
    assert 0.2 < result.accuracy.mean() < 1
    assert result.accuracy_sem == pytest.approx(result.accuracy.std(ddof=1) / np.sqrt(8))
    assert f"{result.accuracy.mean():.4f}, standard error {result.accuracy_sem:.4f}" in repr(result)
    as_list = audit(GaussianNB(), X, y, X_test=X_test, y_test=y_test.tolist())
    np.testing.assert_array_equal(as_list.accuracy, result.accuracy)
    bare = audit(GaussianNB(), X, y)
    assert bare.accuracy is None
    assert bare.accuracy_sem is None
    assert "Accuracy" not in repr(bare)


def test_kept_models_are_used_again(tmp_path, monkeypatch):
    """A second audit with other options, or more models, trains what is missing."""
    log = tmp_path / "log"
    monkeypatch.setenv(LOG, str(log))
    first = audit(Logged(), X, y, cache_dir=tmp_path / "kept")
    again = audit(Logged(), X, y, cache_dir=tmp_path / "kept", mode="offline", max_fpr=0.1)
    assert len(log.read_text().splitlines()) == 8
    np.testing.assert_array_equal(first.scores["threshold_logit"], again.scores["threshold_logit"])
    assert not np.array_equal(first.scores["lira_logit"], again.scores["lira_logit"])
    audit(Logged(), X, y, cache_dir=tmp_path / "kept", n_shadows=12)
    assert len(log.read_text().splitlines()) == 12


@pytest.mark.usefixtures("untouched_generators")
def test_seed_decides():
    """Equal seeds, equal numbers; no global generator is touched."""
    first, same, other = (audit(Remembering(1.0), X, y, random_state=seed) for seed in (0, 0, 1))
    assert first.attacks == same.attacks != other.attacks


# --- how it is shown -----------------------------------------------------------------------------


def test_few_non_members_are_flagged():
    """A rate that stands for fewer than ten pairs is marked, and is not what the worst attack is chosen by."""
    result = audit(Remembering(5.0), X, y, max_fpr=(0.001, 0.2))
    for measured in result.attacks.values():
        assert [point.is_reliable for point in measured.tpr_at_fpr] == [False, True]
    assert "*: fewer than 10 non-members" in repr(result)
    best = max(measured.tpr_at_fpr[1].tpr.value for measured in result.attacks.values())
    assert result.attacks[result.worst].tpr_at_fpr[1].tpr.value == best
    assert "*" not in repr(audit(Remembering(5.0), X, y, max_fpr=0.2))


def test_frame():
    """One row an attack."""
    result = audit(GaussianNB(), X, y)
    frame = result.to_frame()
    assert list(frame.index) == list(result.attacks)
    assert frame.loc["lira_logit", "roc_auc"] == result.attacks["lira_logit"].roc_auc.value


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": FrozenEstimator(GaussianNB().fit(X, y))}, "estimator must be trained anew"),
        ({"n_shadows": 7}, "n_shadows must be an even integer"),
        ({"n_shadows": 2}, "The 'n_shadows' parameter of canary_audit must be"),
        ({"n_canaries": 130}, "n_canaries must be at most the 120 rows of X"),
        ({"X_test": X_test}, "X_test and y_test must be given together. Got X_test only"),
        ({"y_test": y_test}, "Got y_test only"),
        ({"X_test": X_test, "y_test": y}, "must have one length. Got 80 and 120 rows"),
        ({"X_test": X_test, "y_test": y_test[:, None]}, r"y_test must .* \(80,\). Got shape \(80, 1\)"),
        ({"X_test": X_test, "y_test": np.eye(3)[y_test]}, r"y_test must hold one label.*\(80, 3\)"),
        ({"X_test": X_test, "y_test": y_test.astype(str)}, r"y_test must hold labels that y has.*Got none.*'1'"),
        ({"X_test": X_test, "y_test": y_test + 0.5}, "y_test must hold labels of classes"),
        ({"X_test": X_test, "y_test": y_test + 3}, "y_test must hold labels that y has"),
        ({"X_test": X_test, "y_test": y_test - np.where(y_test > 1, np.nan, 0)}, "y_test must hold finite labels"),
        ({"X_test": X_test[:0], "y_test": y_test[:0]}, "y_test must hold one label for each row of X_test"),
        ({"max_fpr": (0.1, 1.0)}, "max_fpr must hold rates between 0 and 1"),
        ({"max_fpr": ()}, "max_fpr must hold rates between 0 and 1"),
        ({"cache_dir": "folder", "random_state": None}, "cache_dir needs random_state"),
        ({"queries": lambda rows: [rows[1:]]}, "one row for each of the 20 rows. Got 19"),
        ({"queries": "flips"}, "images"),
    ],
)
def test_refusals(changes, message):
    """The message names the parameter and what came."""
    arguments = {"estimator": GaussianNB()} | changes
    with pytest.raises(ValueError, match=message):
        audit(arguments.pop("estimator"), X, y, **arguments)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_models_that_hold_rows_out_silently_are_named():
    """Early stopping keeps a tenth of the rows, and does not tell which."""
    stopping = MLPClassifier((2,), early_stopping=True, max_iter=2, n_iter_no_change=1)
    with pytest.warns(MembershipWarning, match=r"MLPClassifier\(early_stopping=True\) kept a validation split out"):
        audit(stopping, X, y, n_shadows=4)
