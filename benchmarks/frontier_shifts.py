"""The attacker of ``frontier.py`` who asks about shifted copies of an image."""

import numpy as np
from scipy.special import logit, xlogy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skdiffence._demo._engine import shift_images
from skdiffence.metrics import auc_difference_interval

REACH = 2
SHIFTS = [(dy, dx) for dy in range(-REACH, REACH + 1) for dx in range(-REACH, REACH + 1)]
RIDGES = (1e-3, 1e-2, 1e-1)
CLIP = 1e-6


class ShiftedQueries:
    """Copies of some scored rows, shifted by up to two pixels along both axes, and what labels say of them.

    Parameters
    ----------
    split : Split
        With its scored rows drawn.
    own : classifier
        The attacker's own model, fitted.
    n_rows : int
        Number of rows a side.
    """

    def __init__(self, split, own, n_rows):
        scored = split.scored
        rows = np.concatenate([np.flatnonzero(side)[:n_rows] for side in (scored.is_member, ~scored.is_member)])
        self.X, self.columns = scored.X[rows], np.searchsorted(split.net.classes_, scored.y[rows])
        self.is_member, self.seed = scored.is_member[rows], split.seed
        proba = own.predict_proba(self.X)
        self.own = np.column_stack([self.log_odds(proba), -xlogy(proba, proba).sum(axis=1)])
        right = np.column_stack([split.net.predict(X) == scored.y[rows] for X in self.copies()]).astype(float)
        self.right = right
        self.labels = self.scores(right[:, len(SHIFTS) // 2], right)

    def copies(self):
        """Yield the rows at each shift."""
        return (shift_images(self.X, *step) if any(step) else self.X for step in SHIFTS)

    def log_odds(self, proba):
        """Return the clipped log-odds of the true labels."""
        return logit(np.clip(proba[np.arange(len(proba)), self.columns], CLIP, 1 - CLIP))

    def scores(self, answer, further):
        """Return scores of membership, learned from one half of the rows for the other."""
        first = PolynomialFeatures(2, include_bias=False).fit_transform(np.column_stack([answer, self.own]))
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        grid = {"logisticregression__C": np.logspace(-3, 1, 5)}
        search = GridSearchCV(model, grid, scoring="roc_auc", cv=5)
        halves = StratifiedKFold(2, shuffle=True, random_state=self.seed)
        features = np.column_stack([first, further])
        return cross_val_predict(search, features, self.is_member, cv=halves, method="decision_function")

    def attack(self, classifier):
        """Return the area of the attack on answers, of that on labels, and their difference with its interval."""
        phi = np.column_stack([self.log_odds(classifier.predict_proba(X)) for X in self.copies()])
        undone = np.column_stack([1 / (1 + np.exp(-phi)) @ weights for weights in inverse_blurs()])
        scores = self.scores(phi[:, len(SHIFTS) // 2], np.column_stack([phi, undone, self.right]))
        answers, labels = (roc_auc_score(self.is_member, each) for each in (scores, self.labels))
        low, high = auc_difference_interval(self.is_member, scores, self.labels)
        named = {"shifted": answers, "shifted_labels": labels, "shifted_beyond": answers - labels}
        return {name: float(value) for name, value in (named | {"sb_low": low, "sb_high": high}).items()}


def inverse_blurs():
    """Yield the weights of answers at all shifts that undo an average over neighboring shifts, as far as they can.

    If g = A f, with the mean over 3x3 shifts as A, f is estimated by ridge regression, and read at no shift.
    """
    wide = [(dy, dx) for dy in range(-REACH - 1, REACH + 2) for dx in range(-REACH - 1, REACH + 2)]
    A = np.array([[max(abs(a - c), abs(b - d)) <= 1 for c, d in wide] for a, b in SHIFTS]) / 9
    for ridge in RIDGES:
        yield np.linalg.solve(A @ A.T + ridge * np.eye(len(A)), A)[:, wide.index((0, 0))]
