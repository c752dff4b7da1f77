"""Rows of every kind that classifiers take go through audits, scorers and attacks with shadow models."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skdiffence.attacks import LiRAAttack, RMIAAttack, train_shadows
from skdiffence.inspection import _audit, audit, canary_audit
from skdiffence.inspection._audit_rows import audit_rows
from skdiffence.inspection.report._sentences import untested
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._sklearn import safe_indexing

N_ROWS = 80
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, N_ROWS)
SIZE = RNG.standard_normal(N_ROWS)
CODES = RNG.integers(10, 15, N_ROWS)
GAPS = [None if row % 7 == 0 else int(value) for row, value in enumerate(RNG.integers(0, 50, N_ROWS))]
COUNTS = np.column_stack([np.arange(N_ROWS), RNG.poisson(0.5, (N_ROWS, 20))])
TREES = RandomForestClassifier(5, random_state=0)
BOOSTED = HistGradientBoostingClassifier(max_iter=5, random_state=0)
WORDS = make_pipeline(CountVectorizer(), MultinomialNB())
TEXTS = [f"row{row} " + " ".join(RNG.choice(["ash", "oak", "elm"], 3)) for row in range(N_ROWS)]

DICTS = [{"size": size, "text": text} for size, text in zip(SIZE, TEXTS, strict=True)]


def beside_codes(codes):
    """Return a column of codes beside a numeric one, with a classifier that encodes it."""
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["code"]), remainder="passthrough")
    return pd.DataFrame({"code": codes, "size": SIZE}), make_pipeline(encoder, TREES)


def polars_frame():
    polars = pytest.importorskip("polars")
    frame, model = beside_codes(CODES.astype(str))
    return polars.DataFrame({name: frame[name].to_list() for name in frame}), model


def polars_gaps():
    return pytest.importorskip("polars").DataFrame({"code": GAPS, "size": SIZE}), BOOSTED


NOT_NUMERIC = {
    "categories of integers": lambda: beside_codes(pd.Categorical(CODES)),
    "digit text": lambda: beside_codes(CODES.astype(str)),
    "object integers": lambda: beside_codes(pd.Series(CODES).astype(object)),
    "objects with None": lambda: beside_codes(pd.Series([None, *map(str, CODES[1:])], dtype=object)),
    "dates": lambda: beside_codes(pd.Timestamp("2020-01-01") + pd.to_timedelta(CODES, unit="D")),
    "sparse matrix": lambda: (sparse.csr_matrix(COUNTS), MultinomialNB()),
    "sparse array": lambda: (sparse.csr_array(COUNTS * 0.1), MultinomialNB()),
    "list of texts": lambda: (TEXTS, WORDS),
    "array of texts": lambda: (np.array(TEXTS), WORDS),
    "series of texts": lambda: (pd.Series(TEXTS, index=np.arange(N_ROWS) + 5), WORDS),
    "dicts": lambda: (DICTS, make_pipeline(DictVectorizer(), TREES)),
    "polars": polars_frame,
}
NUMERIC = {
    "nullable integers": lambda: (pd.DataFrame({"code": pd.array(GAPS, dtype="Int64"), "size": SIZE}), BOOSTED),
    "polars with gaps": polars_gaps,
    "gaps": lambda: (np.column_stack([np.array(GAPS, dtype=float), SIZE]), BOOSTED),
    "booleans": lambda: (pd.DataFrame({"a": SIZE > 0, "b": SIZE}), BOOSTED),
    "list": lambda: (np.column_stack([CODES, SIZE]).tolist(), TREES),
    "lists of integers": lambda: (np.column_stack([np.arange(N_ROWS), CODES]).tolist(), TREES),
}
KINDS = NOT_NUMERIC | NUMERIC
# Of those that are digested in different ways.
SOME_KINDS = ["categories of integers", "objects with None", "sparse array", "dicts", "polars", "nullable integers"]


def some(X, rows):
    return safe_indexing(X, np.flatnonzero(rows))


MEMBERS = np.arange(N_ROWS) % 2 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_audit(kind, monkeypatch):
    """With its default attacks; those that need numbers run where there are numbers, and the report tells if not."""
    monkeypatch.setattr(_audit, "STANDARD", ("confidence", "label_only_noise"))
    X, model = KINDS[kind]()
    sides = [(some(X, side), Y[side]) for side in (MEMBERS, ~MEMBERS)]
    report = audit(model.fit(*sides[0]), *sides, n_permutations=100, random_state=0)
    left_out = [] if kind in NUMERIC else ["label_only_noise"]
    assert list(report.settings["left_out"]) == left_out
    told = "needs dense rows of numbers, which these are not: labels of noisy copies."
    assert any(text.endswith(told) for text in untested(report)) == bool(left_out)
    assert np.isfinite(report.scores["audited"]["confidence"]).all()
    assert report.rows["duplicates_left_out"] == 0
    assert report.rows["n_members"] == MEMBERS.sum()
    report.to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_scorer_finds_its_rows_in_the_pool(kind):
    """By content, whatever they hold: as many members as non-members of each fold are attacked."""
    X, model = KINDS[kind]()
    scorer = AttackScorer(["confidence"], pool=(X, Y), random_state=0)
    results = cross_validate(model, X, Y, cv=2, scoring=scorer, error_score="raise")
    assert results["test_n_members"].tolist() == results["test_n_non_members"].tolist() == [N_ROWS // 2] * 2


@pytest.mark.parametrize("attack", [LiRAAttack, RMIAAttack])
@pytest.mark.parametrize("kind", SOME_KINDS)
def test_shadow_attacks_find_their_rows_in_the_pool(kind, attack, recwarn):
    """Without the warning of rows that are not there."""
    X, model = KINDS[kind]()
    shadows = train_shadows(model, X, Y, n_shadows=4, random_state=0)
    fitted = attack(shadows, pool=(X, Y)).fit(model.fit(some(X, MEMBERS), Y[MEMBERS]), X, Y, MEMBERS)
    assert fitted.score_samples(X, Y).shape == (N_ROWS,)
    assert not [warning for warning in recwarn if "not in the pool" in str(warning.message)]


@pytest.mark.parametrize("kind", SOME_KINDS)
def test_canary_audit(kind):
    """Mislabeled canaries need no numbers."""
    X, model = KINDS[kind]()
    assert canary_audit(model, X, Y, n_shadows=4, n_resamples=10, random_state=0).n_models == 4


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    ("members", "others"),
    [(["b", "a"], ["a", "c"]), (["a", "b", "c"], ["c", "a"]), ([12, 10], [10, 11]), (["a"], ["b"])],
)
def test_categories_of_both_sides_are_united(members, others, ordered):
    """pandas.concat would make text of them, which gradient boosting refuses; those of the members come first."""
    columns = [pd.Categorical(values * 6, categories=values, ordered=ordered) for values in (members, others)]
    frames = [pd.DataFrame({"c": column, "n": RNG.random(len(column))}) for column in columns]
    sides = [(frame, np.zeros(len(frame))) for frame in frames]
    rows, _ = audit_rows([], *sides, 0)
    assert list(rows.X["c"].cat.categories) == list(dict.fromkeys(members + others))
    assert rows.X["c"].cat.ordered == ordered
    assert rows.X["c"].to_list() == [value for side, _ in sides for value in side["c"]]


def test_a_column_that_is_categorical_on_one_side_is_on_both():
    """As on the side of the members, which the classifier knows."""
    members = pd.DataFrame({"c": pd.Categorical(list("abcab"))})
    others = pd.DataFrame({"c": list("dabcd") + [None]})
    rows, _ = audit_rows([], (members.assign(n=range(5)), np.zeros(5)), (others.assign(n=range(5, 11)), np.zeros(6)), 0)
    assert list(rows.X["c"].cat.categories) == list("abcd")
    assert rows.X["c"].isna().sum() == 1


def test_boosting_on_categories_that_differ_between_the_sides():
    """From the fit to the figures, as LightGBM's users have them."""
    X = pd.DataFrame({"c": pd.Categorical(np.where(np.arange(N_ROWS) < 40, "a", "b")), "size": SIZE})
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype")
    is_member = (X.c == "a").to_numpy()
    halves = [X[side].assign(c=X["c"][side].cat.remove_unused_categories()) for side in (is_member, ~is_member)]
    sides = [(half, Y[half.index]) for half in halves]
    report = audit(model.fit(*sides[0]), *sides, attacks=["confidence"], n_permutations=100, random_state=0)
    assert report.rows["n_members"] == report.rows["n_non_members"] == 40


def test_sides_in_two_forms_are_refused():
    """Neither pandas nor NumPy would join them as meant."""
    X = pd.DataFrame(np.eye(6))
    with pytest.raises(TypeError, match="members and non_members must hold rows in one form. Got DataFrame and array"):
        audit_rows([], (X, np.zeros(6)), (X.to_numpy(), np.zeros(6)), 0)


def test_different_seconds_are_no_duplicates():
    """Compared as float32, two thirds of these rows were left out, and attacks were run on the others."""
    X = np.column_stack([1.7e9 + RNG.permutation(3600)[:N_ROWS], CODES, CODES])
    sides = [(X[side], Y[side]) for side in (MEMBERS, ~MEMBERS)]
    offset = [(side - [1.7e9, 0, 0], labels) for side, labels in sides]
    reports = [
        audit(
            HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=3).fit(*each[0]),
            *each,
            attacks=["confidence"],
            n_permutations=100,
            random_state=0,
        )
        for each in (sides, offset)
    ]
    for report in reports:
        assert report.rows["duplicates_left_out"] == 0
        assert report.controls["positive"].holds
    values = [[attack.roc_auc.value for attack in report.targets["audited"].attacks] for report in reports]
    np.testing.assert_allclose(*values, atol=0.2)
