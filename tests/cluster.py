"""Work for a cluster of processes: in a module, where the workers find its classes."""

import os
import signal
from pathlib import Path

import numpy as np
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold, cross_validate
from sklearn.naive_bayes import GaussianNB

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.attacks import LiRAAttack, RMIAAttack, train_shadows
from skdiffence.defenses import SELENAClassifier
from skdiffence.inspection import canary_audit
from skdiffence.model_selection import AttackScorer

ROWS = load_digits(return_X_y=True)
X, y = ROWS[0][:240] / 16, ROWS[1][:240] % 3
MANY = ROWS[0][240:540] / 16


class Mortal(GaussianNB):
    """A classifier whose worker is killed in the third task, once.

    Parameters
    ----------
    folder : path or None, default=None
        Where tasks are counted. None kills nobody.
    method : {"fit", "predict_proba"}, default="fit"
        What is counted.
    survivor : int or None, default=None
        Process that is not killed, nor counted.
    """

    def __init__(self, folder=None, method="fit", survivor=None):
        super().__init__()
        self.folder, self.method, self.survivor = folder, method, survivor

    def fit(self, X, y):
        """Train."""
        self._count("fit")
        return super().fit(X, y)

    def predict_proba(self, X):
        """Answer."""
        self._count("predict_proba")
        return super().predict_proba(X)

    def _count(self, method):
        if self.folder is None or method != self.method or os.getpid() == self.survivor:
            return
        number = 0
        while True:
            try:
                Path(self.folder, str(number)).touch(exist_ok=False)
                break
            except FileExistsError:
                number += 1
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def shadows(classifier):
    """Train shadows; return what they and two attacks with them say."""
    made = train_shadows(classifier, X, y, n_shadows=6, random_state=0)
    target, is_member = GaussianNB().fit(X[:120], y[:120]), np.arange(240) < 120
    attacks = [kind(shadows=made, pool=(X, y)).fit(target, X, y, is_member) for kind in (LiRAAttack, RMIAAttack)]
    scores = [attack.score_samples(X, y) for attack in attacks]
    return np.array([shadow.predict_proba(X) for shadow in made["estimator"]]), *scores


def submodels(classifier):
    """Train SELENA's sub-models; return their answers."""
    selena = SELENAClassifier(classifier, n_estimators=6, n_excluded=2, distill=False, random_state=0)
    return (selena.fit(X, y).predict_proba(X),)


def canaries(classifier):
    """Audit by canaries; return the scores."""
    found = canary_audit(classifier, X, y, n_canaries=8, n_shadows=6, n_resamples=10, random_state=0)
    return tuple(found.scores[name] for name in sorted(found.scores))


def folds(classifier):
    """Attack inside cross-validation, with splits in the form that survives the loss of a worker."""
    cv = [(train.tolist(), test.tolist()) for train, test in KFold(6).split(X)]
    scorer = AttackScorer(["confidence"], pool=(X, y), max_fpr=0.25, random_state=0)
    found = cross_validate(classifier, X, y, cv=cv, scoring=scorer, error_score="raise")
    return tuple(found[name] for name in sorted(found) if not name.endswith("time"))


def answers(classifier):
    """Return regenerations and probabilities of rows that are more than one task."""
    regenerator = DiffusionRegenerator({"width": 16}, max_epochs=1, exact=True, random_state=0)
    defended = DefendedClassifier(classifier, regenerator, random_state=0).fit(X, y)
    return defended.regenerator_.regenerate(MANY, 1), defended.predict_proba(MANY)


STAGES = {stage.__name__: stage for stage in (shadows, submodels, canaries, folds, answers)}


def on_dask(stage, classifier, client):
    """Run a stage on the cluster of a client."""
    if stage != "folds":
        with parallel_config("dask"):
            return STAGES[stage](classifier)
    client.amm.stop()  # which would remove copies of rows from all workers but one
    try:
        with parallel_config("dask", scatter=[X, y]):
            return folds(classifier)
    finally:
        client.amm.start()
