"""Trained torch modules as classifiers: what they return, in which precision, saved, audited and defended."""

import copy
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import get_scorer
from sklearn.naive_bayes import GaussianNB
from torch import nn

from skdiffence import DefendedClassifier, from_module
from skdiffence.attacks import ThresholdAttack
from skdiffence.inspection import audit
from skdiffence.model_selection import AttackScorer
from tests.nets import CNN, BinaryMLP, LogitMLP

N = 24
NAMES = np.array(["cat", "dog", "eel"])
RNG = np.random.default_rng(0)
X = RNG.normal(5, 3, (N, 6)).astype(np.float32)
IMAGES = RNG.integers(0, 256, (N, 3, 6, 5), dtype=np.uint8)


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


LOGITS = seeded(lambda: LogitMLP(6, 3))
BINARY = seeded(lambda: BinaryMLP(6))


def expected(module=LOGITS, rows=X):
    with torch.no_grad():
        return torch.softmax(module(torch.as_tensor(rows)), dim=1).numpy()


class Returning(nn.Module):
    """Passes the logits of another module on in some other form."""

    def __init__(self, module, form):
        super().__init__()
        self.module = module
        self.form = form

    def forward(self, X):
        return self.form(self.module(X))


FORMS = {
    "logits": (lambda logits: logits, "logits"),
    "softmax": (lambda logits: logits.softmax(1), "proba"),
    "log_softmax": (lambda logits: logits.log_softmax(1), "logits"),
    "tuple": (lambda logits: (logits, logits * 0), "logits"),
    "dict": (lambda logits: {"loss": None, "logits": logits}, "logits"),
    "object": (lambda logits: SimpleNamespace(logits=logits), "logits"),
}


@pytest.mark.parametrize("form", FORMS)
def test_whatever_form_the_outputs_have(form):
    """Logits, probabilities and log-probabilities give the same answers; a second softmax would flatten them."""
    convert, output = FORMS[form]
    classifier = from_module(Returning(LOGITS, convert), NAMES, output=output)
    np.testing.assert_allclose(classifier.predict_proba(X), expected(), atol=1e-6)
    np.testing.assert_array_equal(classifier.predict(X), NAMES[expected().argmax(1)])


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("output", ["logits", "proba"])
def test_single_output_stands_for_the_second_class(shape, output):
    """One logit or probability for each row, with or without an axis of its own."""
    with torch.no_grad():
        second = torch.sigmoid(BINARY(torch.as_tensor(X))).numpy()
    module = Returning(BINARY, lambda z: (torch.sigmoid(z) if output == "proba" else z).reshape(shape))
    classifier = from_module(module, ["no", "yes"], output=output)
    np.testing.assert_allclose(classifier.predict_proba(X), np.column_stack([1 - second, second]), atol=1e-6)
    np.testing.assert_array_equal(classifier.predict(X), np.where(second > 0.5, "yes", "no"))


def test_two_logits_for_two_classes():
    """Two outputs are two classes, not one class twice."""
    module = seeded(lambda: LogitMLP(6, 2))
    np.testing.assert_allclose(from_module(module, 2).predict_proba(X), expected(module), atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-6), (torch.float16, 1e-2), (torch.bfloat16, 5e-2), (torch.float32, 1e-6)]
)
@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("output", ["logits", "proba"])
def test_weights_of_any_precision(dtype, atol, given, output):
    """torch refuses rows of another type than the weights, and NumPy knows no bfloat16."""
    form = (lambda z: z.softmax(1)) if output == "proba" else (lambda z: z)
    module = Returning(copy.deepcopy(LOGITS), form).to(dtype)
    classifier = from_module(module, NAMES, output=output)
    proba = classifier.predict_proba(X.astype(given))
    assert proba.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    np.testing.assert_allclose(proba, expected(), atol=atol)
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-6)
    assert module.module.layers[1].weight.dtype == dtype  # the module that was given is not changed
    defended = DefendedClassifier(classifier, "passthrough").fit(X.astype(given), NAMES[np.arange(N) % 3])
    np.testing.assert_array_equal(defended.predict_proba(X.astype(given)), proba)


@pytest.mark.parametrize("rows", [X, X.astype(np.float64), X.tolist(), pd.DataFrame(X), X.round().astype(int)])
def test_rows_are_standardized_inside(rows):
    """The attacker and the defense see the rows as they are, in any container; skorch takes a frame for a dict."""
    mean, std = X.mean(0), X.std(0)
    classifier = from_module(LOGITS, NAMES, mean=mean, std=std)
    inside = ((np.asarray(rows) - mean) / std).astype(np.float32)
    np.testing.assert_allclose(classifier.predict_proba(rows), expected(rows=inside), atol=1e-5)


@pytest.mark.parametrize("mean", [127.5, [100, 120, 140]])
@pytest.mark.parametrize("std", [None, 64.0, (50, 60, 70)])
def test_images_are_standardized_by_channel(mean, std):
    """Bytes are converted; channels are the second axis."""
    module = Returning(seeded(lambda: CNN(3, 3)), lambda proba: proba)
    scale = 1 if std is None else np.reshape(std, (-1, 1, 1))
    inside = torch.as_tensor((IMAGES - np.reshape(mean, (-1, 1, 1))) / scale, dtype=torch.float32)
    with torch.no_grad():
        wanted = module(inside).numpy()
    classifier = from_module(module, NAMES, output="proba", mean=mean, std=std)
    np.testing.assert_allclose(classifier.predict_proba(IMAGES), wanted, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_tokens_stay_integers(dtype, weights):
    """An embedding looks up integers; converted to the type of the weights, they are refused by torch."""
    module = seeded(lambda: nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(20, 3))).to(weights)
    tokens = RNG.integers(0, 20, (N, 5)).astype(dtype)
    with torch.no_grad():
        wanted = module(torch.as_tensor(tokens)).float().softmax(1).numpy()
    classifier = from_module(module, NAMES)
    np.testing.assert_allclose(classifier.predict_proba(tokens), wanted, atol=1e-6)
    sides = [(tokens[side], NAMES[np.arange(12) % 3]) for side in (slice(12), slice(12, None))]
    assert audit(classifier, *sides, attacks=["entropy"], n_permutations=100, random_state=0).rows


def test_weights_from_a_dict_or_a_file(tmp_path):
    """A class and its weights make the same classifier as the instance, in whatever way the weights were saved."""
    weights = LOGITS.state_dict()
    torch.save(weights, tmp_path / "weights.pt")
    parallel = {f"module.{name}": value for name, value in weights.items()}
    for given in (weights, parallel, tmp_path / "weights.pt", str(tmp_path / "weights.pt")):
        classifier = from_module(lambda: LogitMLP(6, 3), NAMES, state_dict=given)
        np.testing.assert_allclose(classifier.predict_proba(X), expected(), atol=1e-6)
    other = seeded(lambda: LogitMLP(6, 3, 8).double())
    before = copy.deepcopy(other.state_dict())
    doubled = {name: value + 1 for name, value in before.items()}
    assert from_module(other, NAMES, state_dict=doubled).predict_proba(X).dtype == np.float64
    for name, value in other.state_dict().items():  # the instance that was given keeps its weights
        torch.testing.assert_close(value, before[name])


def test_saved_and_loaded(tmp_path):
    """Joblib gives back the same answers, clones are the same, and weights are saved once."""
    module = seeded(lambda: LogitMLP(6, 3, 20000))
    classifier = from_module(module, NAMES[::-1], mean=1.0, std=X.std(0))
    joblib.dump(classifier, tmp_path / "net.joblib")
    loaded = joblib.load(tmp_path / "net.joblib")
    for other in (loaded, clone(loaded), copy.deepcopy(loaded)):
        np.testing.assert_array_equal(other.predict_proba(X), classifier.predict_proba(X))
        np.testing.assert_array_equal(other.classes_, NAMES)
    assert (tmp_path / "net.joblib").stat().st_size < 1.2 * 4 * sum(each.numel() for each in module.parameters())


@pytest.mark.usefixtures("untouched_generators")
def test_module_is_left_alone():
    """The caller's module keeps its mode and its gradients, and a copy answers in evaluation mode."""
    module = seeded(lambda: nn.Sequential(nn.Linear(6, 50), nn.Dropout(0.5), nn.Linear(50, 3))).train()
    classifier = from_module(module, NAMES)
    np.testing.assert_array_equal(classifier.predict_proba(X), classifier.predict_proba(X))
    assert module.training
    assert all(weight.requires_grad for weight in module.parameters())
    from_module(lambda: LogitMLP(6, 3), NAMES, state_dict=LOGITS.state_dict())


def test_audited_scored_attacked_and_defended():
    """What takes a classifier takes this one, with labels of any kind and in any order."""
    rows, y = RNG.normal(size=(120, 6)).astype(np.float32), NAMES[::-1][RNG.integers(0, 3, 120)]
    classifier, is_member = from_module(LOGITS, NAMES[::-1]), np.arange(120) < 60
    assert audit(classifier, (rows[:60], y[:60]), (rows[60:], y[60:]), attacks=["entropy"], random_state=0).rows
    assert "entropy_roc_auc" in AttackScorer(["entropy"], pool=(rows, y, is_member))(classifier, rows, y)
    assert ThresholdAttack("confidence").fit(classifier, rows, y, is_member).score_samples(rows, y).shape == (120,)
    defended = DefendedClassifier(classifier, "passthrough").fit(rows, y)
    np.testing.assert_array_equal(defended.predict(rows), classifier.predict(rows))
    np.testing.assert_array_equal(defended.classes_, NAMES)
    np.testing.assert_allclose(defended.predict_proba(rows), classifier.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc_ovr", "neg_brier_score"])
@pytest.mark.parametrize("defend", [False, True])
def test_scorers_read_names_as_they_read_numbers(scoring, defend):
    """classes_ is sorted with its columns, whatever the order of the outputs: scikit-learn's scorers rely on it."""
    names, y = np.array(["eel", "cat", "dog"]), np.arange(N) % 3
    named, numbered = from_module(LOGITS, names), from_module(LOGITS, 3)
    if defend:
        named = DefendedClassifier(named, "passthrough").fit(X, names[y])
        numbered = DefendedClassifier(numbered, "passthrough").fit(X, y)
    np.testing.assert_array_equal(named.classes_, NAMES)
    np.testing.assert_array_equal(named.predict_proba(X), numbered.predict_proba(X)[:, [1, 2, 0]])
    np.testing.assert_array_equal(named.predict(X), names[numbered.predict(X)])
    score = get_scorer(scoring)
    assert score(named, X, names[y]) == pytest.approx(score(numbered, X, y), rel=1e-6)


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss"])
def test_scorers_read_two_names_as_they_read_numbers(scoring):
    """The single output stands for the second of the given classes, also if this is the first of the sorted ones."""
    names, y = np.array(["low", "high"]), np.arange(N) % 2
    named, numbered = from_module(BINARY, names), from_module(BINARY, 2)
    np.testing.assert_array_equal(named.predict_proba(X), numbered.predict_proba(X)[:, ::-1])
    score = get_scorer(scoring)
    assert score(named, X, names[y]) == pytest.approx(score(numbered, X, y), rel=1e-6)


def voting(classifier):
    return VotingClassifier([("module", classifier), ("bayes", GaussianNB())], voting="soft")


@pytest.mark.parametrize(
    "around", [lambda classifier: CalibratedClassifierCV(classifier, method="temperature"), voting]
)
def test_estimators_around_names_answer_as_around_numbers(around):
    """They put columns together by their place among the sorted classes."""
    names, y = np.array(["eel", "cat", "dog"]), np.arange(N) % 3
    named = around(from_module(LOGITS, names)).fit(X, names[y])
    numbered = around(from_module(LOGITS, 3)).fit(X, y)
    np.testing.assert_allclose(named.predict_proba(X), numbered.predict_proba(X)[:, [1, 2, 0]], rtol=1e-4)
    np.testing.assert_array_equal(named.predict(X), names[numbered.predict(X)])


@pytest.mark.parametrize("names", [["eel", "cat", "dog"], ["dog", "eel", "cat"], [3, 1, 2]])
def test_exact_ties_keep_the_label_of_the_first_output(names):
    """And the argmax of the probabilities is this label, though its column is not the first."""
    module = Returning(LOGITS, torch.zeros_like)
    classifier = from_module(module, names)
    labels = np.full(N, names[0])
    np.testing.assert_array_equal(classifier.predict(X), labels)
    defended = DefendedClassifier(classifier, "passthrough").fit(X, np.array(names)[np.arange(N) % 3])
    for each in (classifier, defended):
        np.testing.assert_array_equal(each.predict(X), labels)
        np.testing.assert_array_equal(each.classes_[each.predict_proba(X).argmax(axis=1)], labels)
        np.testing.assert_allclose(each.predict_proba(X), 1 / 3, rtol=1e-6)


def test_no_rows():
    """No rows have no answers, and that is no error."""
    assert from_module(LOGITS, NAMES).predict_proba(X[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"module": "resnet18"}, TypeError, "module must be a torch.nn.Module.*Got str"),
        ({"module": LogitMLP.forward}, TypeError, "missing 2 required|module must be"),
        ({"module": dict}, TypeError, "Got one that returns a dict"),
        ({"classes": 1}, ValueError, "classes"),
        ({"classes": ["a", "a", "b"]}, ValueError, "classes must hold one label for each output.*none twice"),
        ({"classes": [["a"], ["b"]]}, ValueError, "classes must hold one label"),
        ({"classes": ["a", None, "b"]}, ValueError, "classes must"),
        ({"classes": ["a", 1, 2]}, ValueError, "classes must hold labels of one type"),
        ({"mean": ["low", "high"]}, ValueError, "mean must"),
        ({"std": [[1, 2], [3]]}, ValueError, "std must"),
        ({"std": 0.0}, ValueError, "std must be a finite number above 0"),
        ({"std": [1, 1, 1, 1, 1, -1]}, ValueError, "std must be"),
        ({"mean": [np.nan] * 6}, ValueError, "mean must be a finite number"),
        ({"mean": np.ones((3, 1, 1))}, ValueError, "mean must be a finite number, or one for each channel"),
        ({"output": "probabilities"}, ValueError, "output"),
        ({"state_dict": {}}, ValueError, "weights of LogitMLP. Got 0 entries(.|\\n)*Missing key"),
        ({"state_dict": {"epoch": 3, "weights": 1}}, ValueError, "Got 2 entries, epoch, weights"),
        ({"state_dict": "nowhere.pt"}, ValueError, "state_dict='nowhere.pt' does not exist"),
        ({"device": "tpu"}, ValueError, "device must be 'auto' or a device that torch knows"),
    ],
)
def test_wrong_parameters_are_named(params, error, message):
    with pytest.raises(error, match=message):
        from_module(**{"module": LOGITS, "classes": NAMES} | params)


def test_file_with_code_is_not_read(tmp_path):
    """A whole pickled module, or a checkpoint with other objects, is refused and not run."""
    torch.save(LOGITS, tmp_path / "module.pt")
    (tmp_path / "text.pt").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, message in [("module.pt", "weights alone"), ("text.pt", "weights alone"), ("list.pt", "Got list")]:
        with pytest.raises(ValueError, match=message):
            from_module(lambda: LogitMLP(6, 3), NAMES, state_dict=tmp_path / name)


@pytest.mark.parametrize(
    ("module", "params", "message"),
    [
        (LOGITS, {"classes": 4}, r"one output for each of the 4 classes. Got shape \(24, 3\)"),
        (LOGITS, {"classes": 2}, "one output for each of the 2 classes, or a single one"),
        (BINARY, {"classes": 3}, r"one output for each of the 3 classes. Got shape \(24,\)"),
        (LOGITS, {"output": "proba"}, "pass output='logits'"),
        (BINARY, {"classes": 2, "output": "proba"}, "pass output='logits'"),
        (Returning(LOGITS, lambda z: z.softmax(1)), {}, "pass output='proba'"),
        (Returning(LOGITS, lambda z: z.log_softmax(1)), {"output": "proba"}, "log-probabilities pass output='logits'"),
        (Returning(LOGITS, lambda z: z * np.nan), {}, "finite outputs. Got NaN or infinity.*training diverged"),
        (Returning(LOGITS, lambda z: [None]), {}, "a tensor, or a tuple that starts with one. Got list"),
        (LOGITS, {"mean": [1.0, 2.0]}, "one for each of the 6 channels or features of X. Got 2"),
    ],
)
def test_outputs_that_contradict_the_parameters(module, params, message):
    """Logits taken for probabilities, or probabilities through a second softmax, would give wrong figures."""
    with pytest.raises(ValueError, match=message):
        from_module(**{"module": module, "classes": NAMES} | params).predict_proba(X)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2", ">i4", ">u2", np.longdouble])
def test_numbers_of_any_machine(dtype):
    """Files of images and measurements are often big-endian."""
    rows = np.abs(X).round()
    found = from_module(LOGITS, 3).predict_proba(rows.astype(dtype))
    np.testing.assert_allclose(found, expected(rows=rows), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_few_probabilities_at_once_are_warned_of(batch_size):
    """Small batches hide nothing: each may be logits by chance, and is named."""
    softmax = Returning(LOGITS, lambda z: z.softmax(1))
    with pytest.warns(UserWarning, match=f"Got {batch_size} rows that are not negative and sum to 1"):
        from_module(softmax, 3, batch_size=batch_size).predict_proba(X)
    with pytest.warns(UserWarning, match="pass output='proba'"):
        from_module(softmax, 3).predict_proba(X[:batch_size])


def test_single_outputs_that_look_like_probabilities():
    """As logits they would give every row the second class. Few of them are nothing special."""
    sigmoid = Returning(BINARY, torch.sigmoid)
    with pytest.warns(UserWarning, match="Got 24 outputs from 0 to 1: if these are probabilities, pass output='proba'"):
        from_module(sigmoid, 2).predict_proba(X)
    from_module(sigmoid, 2).predict_proba(X[:19])


def test_frame_of_text_is_named():
    with pytest.raises(ValueError, match="numeric columns only. Got columns that are not: b"):
        from_module(LOGITS, NAMES).predict(pd.DataFrame({"a": [1.0], "b": ["x"]}))
