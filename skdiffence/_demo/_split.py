"""One comparison on one split: train a net, defend it in every way, attack every answer."""

import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from skdiffence._demo._controls import label_only, output_noise
from skdiffence._demo._engine import lowest_reliable_level, recalibrated_log_loss
from skdiffence.attacks import LabelOnlyReferenceAttack, ReferenceAttack
from skdiffence.datasets import membership_partition
from skdiffence.defenses import DefendedClassifier
from skdiffence.exceptions import DefenseWarning
from skdiffence.metrics import label_columns
from skdiffence.model_selection import AttackScorer

RULES = ("first", "members", "matched", "swap", "mean")
DEFAULT = "mean"
ATTACKS = ["confidence", "entropy", "modified_entropy", "non_monotone", "correctness"]
UNDEFENDED = "undefended"


class Split:
    """One random split of private rows, with the net that was trained on its members.

    Parameters
    ----------
    X, y : ndarray of shape (n, ...) and (n,)
        The private rows.
    make_net : callable () -> classifier
        Makes an unfitted net.
    sizes : dict of str to int
        Number of ``members`` and of ``known`` non-members; all other rows are non-members that are scored.
    n_candidates : int
        Number of candidates of each row.
    seed : int
        Seeds the split, the net and the choice of calibration rows.
    own : classifier or None, default=None
        The attacker's own model, fitted to other rows; None leaves out the attacks that use one.
    """

    def __init__(self, X, y, make_net, sizes, n_candidates, seed, own=None):
        self.n_candidates = n_candidates
        self.own = own
        self.seed = seed
        parts = membership_partition(len(y), sizes, random_state=seed)
        rows = np.concatenate((parts.members, parts.known))
        self.X_fit, self.y_fit = X[rows], y[rows]
        self.is_member = np.arange(len(rows)) < len(parts.members)
        net = DefendedClassifier(make_net(), "passthrough", random_state=seed)
        self.net = net.fit(self.X_fit, self.y_fit, is_member=self.is_member).estimator_
        self.X_known, self.y_known = X[parts.known], y[parts.known]
        self.X_rest, self.y_rest = X[parts.rest], y[parts.rest]
        self.scored = None

    def defend(self, regenerator, selection, n_candidates=None):
        """Return the net behind a defense, without training it again."""
        defended = DefendedClassifier(
            FrozenEstimator(self.net),
            regenerator,
            selection=selection,
            n_candidates=n_candidates or self.n_candidates,
            random_state=self.seed,
        )
        return defended.fit(self.X_fit, self.y_fit, is_member=self.is_member)

    def draw_scored_rows(self, calibrated):
        """Set the rows that are scored for every defense: those that none of them was calibrated on.

        Parameters
        ----------
        calibrated : DefendedClassifier
            The one that was calibrated on the most rows.
        """
        X_members, y_members = self.X_fit[self.is_member], self.y_fit[self.is_member]
        used = calibrated.calibrated_on_.contains(X_members)
        self.X_calibration = np.concatenate((X_members[used], self.X_known))
        self.calibration_is_member = np.arange(len(self.X_calibration)) < used.sum()
        X = np.concatenate((X_members[~used], self.X_rest))
        y = np.concatenate((y_members[~used], self.y_rest))
        is_member = np.arange(len(y)) < (~used).sum()
        labels = self.net.predict(X)
        self.scored = Bunch(X=X, y=y, is_member=is_member, labels=labels, proba=self.net.predict_proba(X))
        # The pool holds the calibration rows as well, so that the scorer can see that none of them is scored.
        pool = np.concatenate((self.X_fit, self.X_rest)), np.concatenate((self.y_fit, self.y_rest))
        pool_is_member = np.concatenate((self.is_member, np.zeros(len(self.y_rest), dtype=bool)))
        attacks = ATTACKS if self.own is None else [*ATTACKS, *self.reference_attacks()]
        # All non-members are scored at once, so that they carry a lower rate than those of a fold would.
        rate = lowest_reliable_level(len(self.y_rest)) or "auto"
        self.scorer = AttackScorer(attacks, pool=(*pool, pool_is_member), max_fpr=rate, random_state=self.seed)

    def reference_attacks(self):
        """Return the attacks that use the attacker's own model: on labels, and on answers."""
        own = FrozenEstimator(self.own)
        return [
            ("label_only_reference", LabelOnlyReferenceAttack(own, random_state=self.seed)),
            ("reference", ReferenceAttack(own, random_state=self.seed)),
        ]

    def recalibrate(self, classifier, proba, y):
        """Return the log-loss of answers to non-members after one temperature, and the temperature.

        Parameters
        ----------
        classifier : classifier
            Fitted. The temperature is fitted to its answers to the known non-members.
        proba : ndarray of shape (n, n_classes)
            Its answers to other non-members.
        y : ndarray of shape (n,)
            Their labels.

        Returns
        -------
        figures : dict of str to float
            ``recalibrated_nll`` and ``temperature``.
        """
        y_known, y = (label_columns(labels, self.net.classes_) for labels in (self.y_known, y))
        nll, temperature = recalibrated_log_loss(classifier.predict_proba(self.X_known), y_known, proba, y)
        return {"recalibrated_nll": nll, "temperature": temperature}

    def measure(self, name, classifier):
        """Measure the privacy and the utility of a classifier's answers.

        Parameters
        ----------
        name : str
            Name of the row of the table.
        classifier : classifier
            Fitted.

        Returns
        -------
        record : dict
        """
        scored = self.scored
        numbers = self.scorer(classifier, scored.X, scored.y)
        record = {"name": name, "seed": self.seed, **numbers}
        record["nll"] = -numbers["neg_log_loss"]
        record["worst_roc_auc"] = 1 - numbers["privacy"]
        selected = classifier.select(scored.X) if isinstance(classifier, DefendedClassifier) else None
        proba = classifier.predict_proba(scored.X) if selected is None else selected.proba
        record["labels_changed"] = int(np.sum(proba.argmax(axis=1) != scored.labels))
        record["labels_asked"] = len(scored.labels)
        others = ~scored.is_member
        record |= self.recalibrate(classifier, proba[others], scored.y[others])
        record["undefended_answers"] = int(np.sum((proba == scored.proba).all(axis=1)))
        if selected is not None and classifier.retention_:
            record["calls"] = float(selected.n_regenerations.mean())
            record["retention"] = classifier.retention_["non_members"].overall
            record["fallback"] = float(np.mean(~selected.kept))
        return record


def compare(split, regenerator, controls, progress):
    """Measure every defense on one split.

    Parameters
    ----------
    split : Split
        With its net.
    regenerator : RegenerationCache
        The defense's.
    controls : dict of str to RegenerationCache
        What is used in its place in the control rows, under the default rule.
    progress : callable (str)
        Called with the name of each step.

    Returns
    -------
    records : list of dict
        One for each row of the table.
    defended : dict of str to classifier
        The undefended baseline, and every rule.
    """
    progress("calibrating")
    rules = {rule: split.defend(FrozenEstimator(regenerator), rule) for rule in RULES}
    split.draw_scored_rows(rules["matched"])
    defended = {UNDEFENDED: split.defend("passthrough", "first"), **rules}
    records = []
    for name, classifier in defended.items():
        progress(name)
        records.append(split.measure(name, classifier))
    for name, control in controls.items():
        progress(name)
        with warnings.catch_warnings():
            # A control is meant to be poor: what a defense that is poor is warned of says nothing new.
            warnings.simplefilter("ignore", DefenseWarning)
            records.append(split.measure(name, split.defend(FrozenEstimator(control), DEFAULT)))
    for name, control in (("label only", label_only), ("output noise", output_noise)):
        progress(name)
        records.append(split.measure(name, control(split.net, split.X_known, split.y_known)))
    return records, defended
