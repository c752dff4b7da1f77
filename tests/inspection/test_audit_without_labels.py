"""Audits of rows whose true labels nobody has: what runs, and that reports say what does not."""

import json

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_validate

from skdiffence.__main__ import main
from skdiffence.attacks import ThresholdAttack, get_attack
from skdiffence.inspection import AuditComparison, audit
from skdiffence.inspection._audit import QUICK
from skdiffence.model_selection import AttackScorer
from tests.attacks.targets import Dictated
from tests.inspection.audit_cases import sides

X, Y = load_digits(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(len(X))[:240]
MEMBERS, OTHERS = ORDER[:120], ORDER[120:]
FOREST = RandomForestClassifier(20, random_state=0).fit(X[MEMBERS], Y[MEMBERS])


def quick(estimator, members, others, attacks="quick"):
    """Run an audit with few permutations and one seed."""
    return audit(estimator, members, others, attacks=attacks, n_permutations=100, random_state=0)


@pytest.fixture(scope="module")
def report():
    """The audit of a forest with attacks of one query, without labels."""
    return quick(FOREST, X[MEMBERS], X[OTHERS])


def test_attacks_that_read_no_label_are_those_of_an_audit_with_labels(report):
    """The entropy of answers is what it was, and finds the same."""
    known = quick(FOREST, (X[MEMBERS], Y[MEMBERS]), (X[OTHERS], Y[OTHERS]))
    entropy, other = (
        next(attack for attack in each.targets["audited"].attacks if attack.attack == "entropy")
        for each in (report, known)
    )
    assert entropy.auc == other.auc
    assert entropy.auc.low > 0.6
    assert report.verdict.status == "leak"


def test_report_says_what_was_not_run(report):
    """In text, HTML and JSON: attacks by name with the reason, utility, figures of classes, the control."""
    facts = json.loads(report.to_json())
    left_out = facts["settings"]["left_out"]
    assert set(left_out) == {name for name in QUICK if get_attack(name).needs_true_labels}
    assert set(left_out.values()) == {"needs true labels, which were not given"}
    assert facts["settings"]["true_labels"] is False
    assert set(facts["settings"]["attacks"]) | set(left_out) == set(QUICK)
    audited = facts["targets"]["audited"]
    assert set(audited["utility"]["non_members"].values()) == {None}
    assert audited["among_correct"] is audited["floor"] is audited["beyond_labels"] is None
    assert facts["controls"]["positive"]["holds"] is None
    assert "needs their true labels" in facts["controls"]["positive"]["why"]
    assert "rows and labels" not in facts["controls"]["blind"]["why"]
    for page in (str(report), report.to_html(), report._repr_html_()):
        assert "True labels were not given. 5 of 7 attacks need them and were not run: confidence, correct" in page
    one = quick(FOREST, X[MEMBERS], X[OTHERS], attacks=["entropy", "correctness"])
    assert "1 of 2 attacks needs them and was not run: correctness of the label." in str(one)
    assert "The utility of the answers was not measured: it needs true labels." in str(report)
    assert report.to_html().count("Not measured: it needs true labels, which were not given.") == 2
    assert "not measured" in str(AuditComparison({"forest": report}))
    assert np.isnan(report.to_frame()["correct_auc"]).all()


@pytest.mark.parametrize(
    ("form", "others"),
    [
        (lambda X: (X, None), None),
        (lambda X: [X, None], None),
        (torch.from_numpy, None),
        (sparse.csr_array, None),
        (pd.DataFrame, None),
        (lambda X: (X, None), (X[OTHERS], Y[OTHERS])),
        (np.asarray, (X[OTHERS], Y[OTHERS])),
    ],
    ids=["pair", "list of both", "tensor", "sparse", "frame", "one side has labels", "one side is a pair"],
)
@pytest.mark.filterwarnings("ignore:X has feature names")
def test_rows_alone_are_taken_in_any_form(form, others):
    """Labels of one side alone are used on neither."""
    found = quick(FOREST, form(X[MEMBERS]), form(X[OTHERS]) if others is None else others, attacks=["entropy"])
    assert not found.settings["true_labels"]
    assert found.rows["n_members"] == found.rows["n_non_members"] == 120


class Contrary(Dictated):
    """Predicts another label than the most probable one."""

    def predict(self, X):
        """Return the label of the smallest logit."""
        return self.classes_[np.argmin(X, axis=1)]


def test_predicted_labels_do_not_stand_in():
    """What a classifier predicts changes nothing that is measured."""
    target, (X_in, _), (X_out, _) = sides(n=60)
    reports = [quick(each, X_in, X_out, attacks="standard") for each in (target, Contrary().fit())]
    of_both = [{attack.attack: attack.auc for attack in each.targets["audited"].attacks} for each in reports]
    assert of_both[0] == of_both[1]
    assert set(of_both[0]) == {"classifier", "entropy", "non_monotone"}


class LabelFree(ThresholdAttack):
    """An attack of the user that reads the highest probability."""

    needs_true_labels = False

    def _learn(self, answers, is_member):
        self.direction_, self.threshold_ = 1, 0.5

    def _score(self, answers):
        return answers.proba.max(axis=1)


def test_attacks_of_the_user_go_by_what_they_say():
    """Those that were named and can't be run are listed; the attribute decides, not the class."""
    attacks = {"mine": LabelFree(), "theirs": ThresholdAttack("logit")}
    found = quick(FOREST, X[MEMBERS], X[OTHERS], attacks=attacks)
    assert list(found.scores["audited"]) == ["mine"]
    assert list(found.settings["left_out"]) == ["theirs"]


def test_nothing_is_left_to_run():
    """An audit without attacks is none."""
    with pytest.raises(ValueError, match="attacks: confidence, logit need true labels, which members or non_members"):
        quick(FOREST, X[MEMBERS], (X[OTHERS], None), attacks=["confidence", "logit"])


def test_scorer_says_what_it_needs_labels_for():
    """Not which shape None has; through cross-validation as well."""
    scorer = AttackScorer(["entropy"], pool=(X[ORDER], Y[ORDER]))
    with pytest.raises(ValueError, match="y must hold the true label of each row: a scorer measures accuracy"):
        scorer(FOREST, X[OTHERS], None)
    with pytest.raises(ValueError, match="pool must hold one label for each row"):
        AttackScorer(["entropy"], pool=(X[ORDER], None))(FOREST, X[OTHERS], Y[OTHERS])


def test_an_own_classifier_without_labels_is_not_scored():
    """Cross-validation of a classifier that needs none gives the scorer none."""
    with pytest.raises(ValueError, match="y must hold the true label of each row: a scorer"):
        cross_validate(
            Dictated(), X[ORDER, :3], scoring=AttackScorer(["entropy"], pool=(X[ORDER], Y[ORDER])), error_score="raise"
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and its rows without labels in files of all kinds."""
    folder = tmp_path_factory.mktemp("unlabeled")
    joblib.dump(FOREST, folder / "m.joblib")
    for name, rows in (("members", MEMBERS), ("others", OTHERS)):
        np.savez(folder / f"{name}.npz", X=X[rows])
        np.save(folder / f"{name}.npy", X[rows])
        pd.DataFrame(X[rows]).to_csv(folder / f"{name}.csv", index=False)
        pd.DataFrame(X[rows]).assign(y=Y[rows]).to_csv(folder / f"{name}-labeled.csv", index=False)
    return folder


def command(folder, ending):
    """Return the arguments of an audit of files with an ending."""
    files = ["--members", str(folder / f"members{ending}"), "--non-members", str(folder / f"others{ending}")]
    return ["audit", str(folder / "m.joblib"), *files, "--output", str(folder / "report"), "--attacks", "quick"]


@pytest.mark.parametrize("ending", [".npz", ".npy", ".csv"])
def test_files_without_labels_are_audited(folder, ending, capsys):
    """The command prints what could not be run, and writes the same report."""
    assert main(command(folder, ending)) == 0
    assert "True labels were not given." in capsys.readouterr().out
    facts = json.loads((folder / "report" / "report.json").read_text())
    assert facts["settings"]["left_out"]["confidence"] == "needs true labels, which were not given"


def test_column_that_the_model_does_not_know_may_hold_labels(folder, capsys):
    """A forgotten --label would make the labels a feature, or the audit one without labels."""
    assert main(command(folder, "-labeled.csv")) == 2
    assert "name the column of its labels by --label. It is audited without labels if" in capsys.readouterr().err
