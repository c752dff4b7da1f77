"""The verdict as somebody reads it who is no statistician."""

import re
from dataclasses import replace

import numpy as np
import pytest

from skdiffence._evaluation._results import Estimate, Identification, OperatingPoint
from skdiffence.attacks import get_attack_names
from skdiffence.inspection import audit
from skdiffence.inspection.report._format import percent, words
from tests.attacks.targets import normal
from tests.inspection.audit_cases import Labels, sides


def sound(report):
    """Return a report whose controls hold: the rows of these targets are their answers, and differ as data."""
    controls = {name: replace(control, holds=True) for name, control in report.controls.items()}
    return replace(report, controls=controls)


def found(*attacks):
    """Audit members with higher log-odds than non-members."""
    return sound(audit(*sides(), attacks=list(attacks), n_permutations=100, random_state=0))


def with_areas(report, target, **areas):
    """Return a report in which attacks have other areas, with intervals of 0.02 to both sides."""
    old = report.targets[target]
    new = tuple(
        replace(attack, roc_auc=Estimate(auc, auc - 0.02, auc + 0.02))
        for attack in old.attacks
        for auc in [areas[attack.attack]]
    )
    best = max(new, key=lambda attack: attack.auc.value)
    worst = replace(old.worst, attack=best.attack, auc=best.auc)
    return replace(report, targets=report.targets | {target: replace(old, attacks=new, worst=worst)})


@pytest.fixture(scope="module")
def both():
    """An audit with a defense, of an attack on probabilities and one on labels."""
    target, members, others = sides()
    params = {"attacks": ["entropy", "correctness"], "n_permutations": 100, "random_state": 0}
    return sound(audit(target, members, others, undefended=target, **params))


def test_defense_is_not_hidden_by_an_attack_on_labels(both):
    """One strongest attack for all was that on labels, 0.625 on both sides, and read as if the defense did nothing."""
    report = with_areas(both, "audited", entropy=0.55, correctness=0.625)
    report = with_areas(report, "undefended", entropy=0.8, correctness=0.625)
    (on_probabilities,) = [text for text in report.verdict.sentences if text.startswith("Attacks on probabilities")]
    assert "right in 55 of 100" in on_probabilities and "without the defense right in 80 of 100" in on_probabilities
    (on_labels,) = [text for text in report.verdict.sentences if text.startswith("Attacks on labels alone")]
    assert "right in 62 of 100" in on_labels and "without the defense" not in on_labels
    said = "Without the defense the strongest attack on probabilities, entropy"
    assert any(said in sentence for sentence in report.verdict.statistics)
    # Drawn beside the floor, on both sides.
    assert {"entropy, with the defense", "entropy, without the defense", "correctness of the label, the floor"} <= {
        text.partition(": AUC")[0] for text in re.findall(r">([^<>]*: AUC [^<>]*)<", report.to_html())
    }


def test_labels_that_the_defense_changed_are_compared(both):
    """Then what labels tell is not the same on both sides."""
    report = replace(both, defense=both.defense | {"labels_changed": 7})
    (on_labels,) = [text for text in report.verdict.sentences if text.startswith("Attacks on labels alone")]
    assert "without the defense" in on_labels


def says_that_labels_tell(report):
    """Return whether the verdict blames labels."""
    return "labels reveal" in report.verdict.headline or report.verdict.status == "labels only"


@pytest.mark.parametrize("attacks", [["entropy"], ["confidence", "entropy"]])
@pytest.mark.parametrize("p_value", [0.001, 0.9])
def test_labels_are_not_blamed_unless_they_were_attacked(attacks, p_value):
    """A leak that is not clear among correctly labeled rows was called one of labels, with no attack on labels run."""
    report = found(*attacks)
    target = report.targets["audited"]
    target = replace(target, among_correct=replace(target.among_correct, p_value=p_value))
    report = replace(report, targets={"audited": target})
    assert report.verdict.status == "leak" and not says_that_labels_tell(report)
    assert "Attacks on labels alone were not run." in report.verdict.sentences


def test_labels_are_not_blamed_if_attacks_on_them_find_nothing(both):
    """Even if the difference to the floor is not certain either."""
    target = both.targets["audited"]
    unsure = replace(target.beyond_labels, difference=Estimate(0.04, -0.02, 0.1))
    report = replace(both, targets=both.targets | {"audited": replace(target, beyond_labels=unsure)})
    assert not says_that_labels_tell(with_areas(report, "audited", entropy=0.55, correctness=0.51))
    assert says_that_labels_tell(with_areas(report, "audited", entropy=0.55, correctness=0.54))


@pytest.mark.parametrize(
    ("correctness", "p_value", "status", "said"),
    [
        (0.51, 0.01, "leak", r"alone shows no leak beyond labels. That .* test of all attacks together \(p = 0.01\);"),
        (0.54, 0.01, "labels only", "no leak beyond labels was found"),
        (0.51, 0.5, "none found", "no leak beyond labels was found"),
    ],
)
def test_difference_to_the_floor_does_not_contradict_the_headline(both, correctness, p_value, status, said):
    """Below the headline of a leak stood that no leak beyond labels was found, where labels were not found to leak."""
    target = both.targets["audited"]
    unsure = replace(target.beyond_labels, difference=Estimate(0.04, -0.02, 0.1))
    target = replace(target, beyond_labels=unsure, worst=replace(target.worst, p_value=p_value))
    report = replace(both, targets=both.targets | {"audited": target})
    report = with_areas(report, "audited", entropy=0.55, correctness=correctness)
    assert report.verdict.status == status
    (difference,) = [text for text in report.verdict.statistics if "less that of the floor" in text]
    assert re.search(said, difference)
    assert ("no leak beyond labels was found" in difference) == (status != "leak")


def test_identified_members_are_named_where_the_difference_shows_nothing(both):
    """Where labels may identify as many, and neither area nor permutation test finds anything."""
    target = both.targets["audited"]
    unsure = replace(target.beyond_labels, difference=Estimate(0.04, -0.02, 0.1))
    target = replace(target, beyond_labels=unsure, worst=replace(target.worst, p_value=0.5))
    report = replace(both, targets=both.targets | {"audited": target})
    report = identifying(with_areas(report, "audited", entropy=0.55, correctness=0.51), "entropy")
    label = next(each for each in report.targets["audited"].attacks if each.label_only)
    wide = replace(label, tpr_at_fpr=(*label.tpr_at_fpr, OperatingPoint(0.005, Estimate(0.1, 0.0, 0.2), 0.005, True)))
    attacks = tuple(wide if each is label else each for each in report.targets["audited"].attacks)
    report = replace(report, targets=report.targets | {"audited": replace(report.targets["audited"], attacks=attacks)})
    assert report.verdict.status == "leak"
    (difference,) = [text for text in report.verdict.statistics if "less that of the floor" in text]
    assert "is shown by members who are identified with certainty; labels alone were not found to" in difference


def test_labels_alone():
    """Nothing is said of probabilities, which were not attacked."""
    report = found("correctness", ("labels", Labels()))
    assert says_that_labels_tell(report)
    assert "Attacks on probabilities were not run." in report.verdict.sentences
    report.to_html()


@pytest.mark.parametrize(
    ("auc", "severity"), [(0.53, "slight"), (0.6, "moderate"), (0.7, "serious"), (0.9, "severe"), (1.0, "severe")]
)
def test_severity(both, auc, severity):
    """By the strongest attack, in one word that stands in the summary."""
    report = with_areas(both, "audited", entropy=auc, correctness=0.51)
    assert report.verdict.severity == severity
    assert report.verdict.sentences[0].startswith(f"How bad: {severity}.")
    assert report.to_dict()["verdict"]["severity"] == severity


def test_members_who_are_identified_almost_surely_are_serious(both):
    """An average over all rows hides them."""
    report = identifying(with_areas(both, "audited", entropy=0.6, correctness=0.51), "entropy")
    assert report.verdict.severity == "serious"
    assert "identifies 20 % of the members" in report.verdict.sentences[0]


def identifying(report, attack):
    """Return a report in which an attack surely identifies a fifth of the members at a rate of 0.5 %."""
    point = OperatingPoint(0.005, Estimate(0.2, 0.15, 0.25), 0.005, True)
    found = Identification(attack, point, 0.975, 2, True)
    target = report.targets["audited"]
    attacks = tuple(
        replace(each, tpr_at_fpr=(*each.tpr_at_fpr, point)) if each.attack == attack else each
        for each in target.attacks
    )
    targets = report.targets | {"audited": replace(target, attacks=attacks, identified=(found,))}
    return replace(report, targets=targets)


def few_certain(rng, n):
    """Draw log-odds of which 15 % are certain, and the others so low that the mean rank is that of non-members."""
    return np.where(rng.random(n) < 0.15, 20.0, rng.normal(-0.2, 1.0, size=n))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_fpr", ["auto", 0.1])
def test_members_who_are_identified_with_certainty_are_a_leak(max_fpr, seed):
    """Areas are near those of chance, whose direction may be the wrong one: the verdict was "no leak"."""
    target, members, others = sides(few_certain, normal(0.0), n=2000, seed=seed)
    settings = {"attacks": ["confidence", "correctness"], "n_permutations": 100, "random_state": 0}
    report = sound(audit(target, members, others, max_fpr=max_fpr, **settings))
    assert report.worst.auc.value < 0.6
    assert (report.verdict.status, report.verdict.severity) == ("leak", "serious")
    (found,) = report.to_dict()["targets"]["audited"]["identified"]
    assert (found["attack"], found["max_fpr"]) == ("confidence", 0.01)
    # Both directions of the one, and the learned scores of the other.
    assert found["n_points"] == 3 and found["confidence_level"] == pytest.approx(1 - 0.05 / 3)
    said = f"identifies {percent(found['tpr'])} of the members"
    assert f"accuse 1.0 % of the non-members wrongly {said}" in report.verdict.sentences[0]
    (certain,) = [text for text in report.verdict.statistics if "with certainty" in text]
    assert f"confidence {said}" in certain and "corrected for 3 points" in certain
    in_table = report.targets["audited"].attacks[0].tpr_at_fpr[1].tpr.value
    assert ("In the tables it has less" in certain) == (in_table < 0.1) == (not found["as_learned"])


def test_severity_is_that_of_no_single_rate(both):
    """Members who are identified at another rate than the one in the table count the same."""
    report = identifying(with_areas(both, "audited", entropy=0.6, correctness=0.51), "entropy")
    for max_fpr in (0.1, 0.05, None):
        each = replace(report, settings=report.settings | {"max_fpr": max_fpr})
        assert each.verdict.severity == "serious"
        assert "accuse 0.5 % of the non-members" in each.verdict.sentences[0]


@pytest.mark.parametrize(("attack", "status"), [("entropy", "leak"), ("correctness", "labels only")])
def test_identified_members_are_a_leak_of_what_the_attack_reads(both, attack, status):
    """Also where the difference of the areas is not certain: more members are identified than labels tell."""
    target = both.targets["audited"]
    unsure = replace(target.beyond_labels, difference=Estimate(0.04, -0.02, 0.1))
    target = replace(target, beyond_labels=unsure, worst=replace(target.worst, p_value=0.5))
    report = replace(both, targets=both.targets | {"audited": target})
    assert report.verdict.status == "none found"
    report = identifying(with_areas(report, "audited", entropy=0.55, correctness=0.54), attack)
    assert report.verdict.status == status
    said = "more members are identified than labels tell"
    assert any(said in text for text in report.verdict.statistics) == (status == "leak")


def test_identified_members_do_not_hide_a_failed_control(both):
    """Then no figure can be relied on."""
    report = identifying(both, "entropy")
    failed = {name: replace(control, holds=False) for name, control in report.controls.items()}
    verdict = replace(report, controls=failed).verdict
    assert (verdict.status, verdict.severity) == ("invalid", "unknown")


def test_nothing_found():
    """Says so, and that this is no proof."""
    report = audit(*sides(normal(0.0), normal(0.0), seed=3), attacks=["entropy"], n_permutations=100, random_state=0)
    assert report.verdict.severity == "none found"
    assert report.verdict.sentences[0].startswith("How bad: no attack found more than chance explains.")
    (untested,) = [text for text in report.verdict.sentences if "a few members" in text]
    assert "it takes 1000 non-members, and there are 100" in untested
    assert report.verdict.next_step.endswith("No leak found is not the same as no leak.")


def test_summary_has_no_statistics(both):
    """Intervals and p-values stand below."""
    for sentence in (*both.verdict.sentences, both.verdict.headline):
        assert not re.search(r"\[|p = |AUC|permutation", sentence)
    assert any("[" in sentence for sentence in both.verdict.statistics)
    text = both.to_html()
    assert text.index(both.verdict.next_step) < text.index("Permutation test")


def test_controls_that_were_not_run_are_in_the_summary(both):
    """Whoever reads no further would take them for passed."""
    control = replace(both.controls["positive"], holds=None, why="not run: the rows can't be compared as points")
    report = replace(both, controls=both.controls | {"positive": control})
    said = "1 control of 3 could not be run: positive, the rows can't be compared as points."
    assert said in report.verdict.sentences
    assert not any("could not be run" in sentence for sentence in both.verdict.sentences)


@pytest.mark.parametrize("name", [*get_attack_names(), "lira", "rmia", "repeated_query", "logit_per_class"])
def test_attacks_have_names_in_words(name):
    """Nobody has to know what label_only_reference_noise is."""
    assert "_" not in words(name)


def test_names_in_words_are_distinct():
    """Two attacks can't be mistaken for each other."""
    names = [words(name) for name in get_attack_names()]
    assert len(set(names)) == len(names)


def test_page_and_text_use_words():
    """Only the settings, to run it again, have the names of the code."""
    report = found("modified_entropy", "non_monotone", "correctness")
    page = report.to_html()
    assert "modified_entropy" not in page[: page.index("Settings, to run it again")]
    assert "attack modified_entropy" in page
    assert "modified entropy" in repr(report) and "non_monotone" not in repr(report)


def test_frames_and_json_keep_the_names_of_the_code():
    """They are read by programs."""
    report = found("modified_entropy")
    assert report.to_dict()["targets"]["audited"]["worst"]["attack"] == "modified_entropy"
    assert report.to_frame()["attack"].tolist() == ["modified_entropy"]


def test_page_of_certain_answers(both):
    """Probabilities of 1 are in a bin that says so, and do not press all others together."""
    phi = {name: np.where(np.arange(len(values)) % 9 == 0, 104.0, values) for name, values in both.phi.items()}
    page = replace(both, phi=phi).to_html()
    assert page.count(">p = 1<") == 2
    assert not {"80", "100"} & set(re.findall(r"<text [^>]*>([^<]*)<", page))
