"""What shadows answered: asked once for all attacks, kept in files, and never taken for what another shadow said."""

import copy
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.attacks import LiRAAttack, RMIAAttack, query, train_shadows
from skdiffence.attacks.shadow._signal_matrix import content_key, saturation, signal_matrix
from skdiffence.defenses import DefendedClassifier
from skdiffence.inspection import canary_audit
from skdiffence.metrics._signals import SIGNALS
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._halves import complementary_halves
from tests.attacks.shadow.shadow_estimators import Tallied
from tests.attacks.targets import Dictated, logits
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import MLP, make_net

ROOT = Path(__file__).parents[3]
N, N_MODELS = 40, 6
IS_MEMBER = np.arange(N) % 2 == 0
X, y = make_blobs(60, n_features=4, centers=3, cluster_std=4.0, random_state=0)


def pool():
    """Return rows that dictated shadows answer in various ways, and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=N)
    return logits(rng.normal(size=N), labels), labels


def tallied_shadows(seed=0):
    """Return new shadows whose rows are counted, and start counting."""
    membership = complementary_halves(N, N_MODELS, seed, None)
    Tallied.total.rows.clear()
    train, test = ([np.flatnonzero(column == side) for column in membership.T] for side in (True, False))
    models = [Tallied(stretch).fit() for stretch in np.linspace(0.5, 2, N_MODELS)]
    return {"estimator": models, "indices": {"train": train, "test": test}}


def n_asked():
    """Return how many shadows were asked since the last time."""
    n = len(Tallied.total.rows)
    Tallied.total.rows.clear()
    return n


def attack_with(shadows, data, folder=None, Attack=LiRAAttack, **params):
    """Return the scores of an attack on the whole pool."""
    attack = Attack(shadows, pool=data, cache_dir=folder, **params)
    return attack.fit(Dictated().fit(), *data, IS_MEMBER).score_samples(*data)


# --- asked once ----------------------------------------------------------------------------------


def test_attacks_share_what_shadows_answered():
    """LiRA, RMIA and their clones in one scorer ask each shadow about each row once."""
    shadows, data = tallied_shadows(), pool()
    attacks = [("lira", LiRAAttack(shadows, pool=data)), ("rmia", RMIAAttack(shadows, pool=data))]
    scorer = AttackScorer(attacks, pool=(*data, IS_MEMBER), random_state=0)
    for _ in range(2):
        scorer(Dictated().fit(), *data)
    assert Tallied.total.rows == [N] * N_MODELS


def test_other_queries_are_asked_anew():
    """What was asked about changed rows says nothing about the rows alone."""
    shadows, data = tallied_shadows(), pool()
    single = LiRAAttack(shadows, pool=data).fit(Dictated().fit(), *data, IS_MEMBER)
    assert n_asked() == N_MODELS
    several = LiRAAttack(shadows, pool=data, queries=doubled).fit(Dictated().fit(), *data, IS_MEMBER)
    assert n_asked() == 2 * N_MODELS
    assert single.shadow_signals_ is not several.shadow_signals_


def doubled(rows):
    """Return one further query."""
    return [rows * 2]


def test_memory_is_given_back():
    """Nothing is kept for an attack that nobody holds any more."""
    shadows, data = tallied_shadows(), pool()
    attack_with(shadows, data)
    assert n_asked() == N_MODELS
    attack_with(shadows, data)
    assert n_asked() == N_MODELS


@pytest.mark.parametrize("Attack", [LiRAAttack, RMIAAttack])
def test_files_are_read_by_other_attacks_and_runs(Attack, tmp_path):
    """New objects of the same content ask no shadow, and score to the last bit what they would have scored."""
    data = pool()
    expected = attack_with(tallied_shadows(), data, Attack=Attack)
    attack_with(tallied_shadows(), data, tmp_path)
    assert n_asked() == N_MODELS
    np.testing.assert_array_equal(attack_with(tallied_shadows(), pool(), tmp_path, Attack=Attack), expected)
    assert n_asked() == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_files_are_mapped_into_memory(tmp_path):
    """Nothing is read that is not used, nothing can be written, and a copy of the attack needs no file."""
    data = pool()
    attack = LiRAAttack(tallied_shadows(), pool=data, cache_dir=tmp_path).fit(Dictated().fit(), *data, IS_MEMBER)
    signals = attack.shadow_signals_.signals("logit")
    bases = []
    while signals is not None:
        bases.append(type(signals))
        signals = getattr(signals, "base", None)
    assert np.memmap in bases
    with pytest.raises(ValueError, match="read-only"):
        attack.shadow_signals_.signals("logit")[0] = 0.0
    expected = attack.score_samples(*data)
    copies = [copy.deepcopy(attack), pickle.loads(pickle.dumps(attack))]
    for file in tmp_path.iterdir():
        file.unlink()
    for each in copies:
        np.testing.assert_array_equal(each.score_samples(*data), expected)


def test_canary_audits_ask_their_models_once(tmp_path, monkeypatch):
    """Another mode, another rate: the same answers."""
    audit = partial(canary_audit, n_canaries=10, n_shadows=4, n_resamples=20, random_state=0, cache_dir=tmp_path)
    first = audit(RandomForestClassifier(5, random_state=0), X, y)
    monkeypatch.setattr(RandomForestClassifier, "predict_proba", lambda *_: pytest.fail("asked again"))
    again = audit(RandomForestClassifier(5, random_state=0), X, y, mode="offline", max_fpr=0.1)
    np.testing.assert_array_equal(first.scores["threshold_hinge"], again.scores["threshold_hinge"])
    np.testing.assert_array_equal(first.row_auc["correctness"], again.row_auc["correctness"])


# --- five ways to be wrong that another library went through -----------------------------------------


def test_retrained_models_are_asked_again(tmp_path):
    """The same objects in the same places, trained anew on other rows."""
    data = pool()
    shadows = train_shadows(SGDClassifier(loss="log_loss", random_state=0), *data, n_shadows=4, random_state=0)
    attack_with(shadows, data, tmp_path)
    for model in shadows["estimator"]:
        model.fit(data[0][::-1], data[1])
    np.testing.assert_array_equal(attack_with(shadows, data, tmp_path), attack_with(shadows, data))
    assert len(list(tmp_path.iterdir())) == 2


def test_changed_epochs_are_other_models(tmp_path):
    """Nets that were trained longer, from the same seed on the same rows."""
    data = pool()[0].astype(np.float32), pool()[1]
    for epochs in (1, 2):
        net = make_net(MLP, module__n_features=3, module__n_classes=3, max_epochs=epochs)
        shadows = train_shadows(net, *data, n_shadows=2, random_state=0)
        np.testing.assert_array_equal(
            attack_with(shadows, data, tmp_path, RMIAAttack), attack_with(shadows, data, None, RMIAAttack)
        )
    assert len(list(tmp_path.iterdir())) == 2


def test_changed_split_is_another_matrix(tmp_path):
    """The same models and rows, but others were trained on."""
    data, shadows = pool(), tallied_shadows()
    first = attack_with(shadows, data, tmp_path, mode="offline")
    shadows["indices"] = tallied_shadows(seed=1)["indices"]
    changed = attack_with(shadows, data, tmp_path, mode="offline")
    assert n_asked() == N_MODELS
    np.testing.assert_array_equal(changed, attack_with(shadows, data, mode="offline"))
    assert not np.array_equal(first, changed)


def test_reordered_rows_are_another_pool(tmp_path):
    """Indices that stayed as they were now mean other rows."""
    data, shadows = pool(), tallied_shadows()
    attack_with(shadows, data, tmp_path)
    n_asked()
    order = np.random.default_rng(0).permutation(N)
    reordered = data[0][order], data[1][order]
    scores = attack_with(shadows, reordered, tmp_path)
    assert n_asked() == N_MODELS
    np.testing.assert_array_equal(scores, attack_with(shadows, reordered))


def test_runs_do_not_overwrite_each_other(tmp_path):
    """Two configurations in one folder, in turns: each finds its own."""
    data = pool()
    pools = [data, (data[0] * 2, data[1])]
    expected = [attack_with(tallied_shadows(), each) for each in pools]
    for repeat in range(3):
        for each, scores in zip(pools, expected, strict=True):
            np.testing.assert_array_equal(attack_with(tallied_shadows(), each, tmp_path), scores)
            assert n_asked() == (N_MODELS if repeat == 0 else 0)


# --- what the key sees -----------------------------------------------------------------------------


def forest(**params):
    """Return a fitted forest."""
    return RandomForestClassifier(**{"n_estimators": 3, "random_state": 0} | params).fit(X, y)


def small_net():
    """Return a net for the rows of this file."""
    return make_net(MLP, module__n_features=4, module__n_classes=3)


MODELS = {
    "forest": forest,
    "pipeline": lambda: make_pipeline(StandardScaler(), PCA(2, random_state=0), forest()).fit(X, y),
    "defended": lambda: DefendedClassifier(forest(), NoiseRegenerator(), random_state=0).fit(X, y),
}
MEANS = {
    "other seed": lambda: forest(random_state=1),
    "other depth": lambda: forest(max_depth=1),
    "other rows": lambda: clone(forest()).fit(X[::-1], y),
    "other scale inside": lambda: make_pipeline(StandardScaler(), PCA(2, random_state=0), forest()).fit(2 * X + 1, y),
    "undefended": lambda: DefendedClassifier(forest(), "passthrough", random_state=0).fit(X, y),
} | MODELS


def key_of(model, names=("logit",), views=None, context=()):
    """Return the key of one model's signals."""
    return content_key([model], names, views, *context)


def test_no_two_models_share_a_key():
    """Whatever differs in what was learned, and however deep inside."""
    keys = [key_of(make()) for make in MEANS.values()]
    assert None not in keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", [*MODELS, "net"])
def test_asking_and_storing_change_no_key(name):
    """Nor do the number of workers and the progress bar: too strict a key would never be found again."""
    rows = X.astype(np.float32)
    model = small_net().fit(rows, y) if name == "net" else MODELS[name]()
    before = key_of(model)
    model.predict_proba(rows)
    assert key_of(model) == before
    assert key_of(pickle.loads(pickle.dumps(model))) == before
    assert key_of(model.set_params(verbose=1)) == before


@pytest.mark.parametrize("change", [{"names": ("confidence",)}, {"views": doubled}, {"context": (X,)}])
def test_question_is_part_of_the_key(change):
    """The signal, the queries and the rows."""
    assert key_of(forest(), **change) != key_of(forest())


def test_versions_are_part_of_the_key(monkeypatch):
    """Another release may answer otherwise."""
    before = key_of(forest())
    monkeypatch.setattr("skorch.__version__", "0.1")
    assert key_of(forest()) != before


def nested(depth):
    """Return lists one inside the other."""
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize("state", [sys.stdout, nested(600)], ids=["open file", "nested too deeply"])
def test_models_that_cannot_be_recognized_have_no_key(state, tmp_path):
    """They are asked every time, and nothing is kept."""
    data, shadows = pool(), tallied_shadows()
    for model in shadows["estimator"]:
        model.state_ = state
    for _ in range(2):
        attack_with(shadows, data, tmp_path)
        assert n_asked() == N_MODELS
    assert list(tmp_path.iterdir()) == []


def test_keys_are_those_of_other_processes():
    """A file is found by the next run, whatever seed its hashes have."""
    code = "from tests.attacks.shadow.test_signal_matrix import *; print(key_of(MODELS['pipeline']()))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == key_of(MODELS["pipeline"]())


# --- the matrix and its file -----------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_matrix_is_what_each_model_says(n_jobs, tmp_path):
    """Signal by signal and model by model, NaN where nobody knows who was trained; from memory and from a file."""
    models, names = [forest(), forest(random_state=1)], ("correctness", "confidence", "hinge", "logit")
    known = np.random.default_rng(0).random((len(y), 2)) < 0.8
    signals = dict.fromkeys(["memory", "file"])
    for place, path in (("memory", None), ("file", tmp_path / "signals.npy")):
        with parallel_config("threading"):
            signals[place] = signal_matrix(models, X, y, known, names, n_jobs=n_jobs, path=path)
    np.testing.assert_array_equal(signals["memory"], signals["file"])
    for model, answered, column in zip(models, signals["memory"], known.T, strict=True):
        answers = query(model, X, y)
        expected = [answers.correct, *(SIGNALS[name](answers.y, answers.proba) for name in names[1:])]
        np.testing.assert_array_equal(answered[:, column, 0], np.array(expected, dtype=float)[:, column])
        assert np.isnan(answered[:, ~column]).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-8],
        lambda whole: b"",
        lambda whole: b"no array" + whole,
        lambda whole: whole + b"more",
        lambda whole: whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
    ],
    ids=["cut off", "empty", "no array", "longer", "one bit"],
)
def test_damaged_files_are_made_anew(damage, tmp_path):
    """Cut short, empty, or something else; one flipped bit once gave other figures without a word."""
    path, known = tmp_path / "signals.npy", np.ones((len(y), 2), dtype=bool)
    make = partial(signal_matrix, [forest(), forest(max_depth=1)], X, y, known, ["logit"], path=path)
    expected = make().copy()
    path.write_bytes(damage(path.read_bytes()))
    np.testing.assert_array_equal(make(), expected)
    assert np.load(path).shape == expected.shape


def test_a_file_under_another_name_is_made_anew(tmp_path):
    """The name is the key of the content: the signals of other models once were taken for these."""
    known = np.ones((len(y), 2), dtype=bool)
    one, other = (partial(signal_matrix, [forest(), forest(max_depth=k)], X, y, known, ["logit"]) for k in (1, 2))
    other(path=tmp_path / "other.npy")
    (tmp_path / "other.npy").rename(tmp_path / "one.npy")
    np.testing.assert_array_equal(one(path=tmp_path / "one.npy"), one())


def test_nothing_half_written_is_left(tmp_path):
    """A model that fails leaves no file behind."""
    known = np.ones((len(y), 2), dtype=bool)
    with pytest.raises(Exception, match="RandomForestClassifier"):
        signal_matrix([forest(), RandomForestClassifier()], X, y, known, ["logit"], path=tmp_path / "signals.npy")
    assert list(tmp_path.iterdir()) == []


def test_saturation_by_hand():
    """Half of the smallest probability where there are zeros; else no bound."""
    assert saturation(np.array([1.0, -2.0, np.nan])) == np.inf
    assert saturation(np.array([1.0, -103.0, np.nan])) == pytest.approx(1 + np.log(2))
