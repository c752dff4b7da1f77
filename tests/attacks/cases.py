"""Every attack, made ready for the same worlds: a forest that learned its members by heart, and one that saw none."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Bunch

from skdiffence import attacks as offered
from skdiffence.attacks import (
    AnswerCostAttack,
    BoundaryAttack,
    ClassifierAttack,
    CorrectnessAttack,
    FallbackAttack,
    HistogramAttack,
    LabelOnlyAttack,
    LabelOnlyReferenceAttack,
    LiRAAttack,
    NeuralAttack,
    NonMonotoneAttack,
    PrecompensatedQueryAttack,
    QuantileAttack,
    ReferenceAttack,
    RepeatedQueryAttack,
    RMIAAttack,
    SurrogateRegenerationAttack,
    ThresholdAttack,
    train_shadows,
)
from skdiffence.base import MembershipAttack

N_ROWS = 400
N_FEATURES = 6
LEARNED = "learned from examples: what it makes of a signal is not monotone by design"


class Searching(RandomForestClassifier):
    """A forest that says how long it looked for each answer, as a lazy defense would betray."""

    def select(self, X):
        """Look longer the less sure the answer is."""
        proba = self.predict_proba(X)
        return Bunch(proba=proba, n_regenerations=1 + np.rint(20 * (1 - proba.max(axis=1))).astype(int))


class Blur(BaseEstimator):
    """The attacker's own regenerator: pulls rows to the middle and adds noise of the candidate's own."""

    def regenerate(self, X, candidate=0):
        """Return rows nearer to the middle."""
        noise = np.random.default_rng(int(candidate)).normal(scale=0.1, size=np.shape(X)[1:])
        return (0.9 * np.asarray(X) + noise).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """An attack and how the properties are to be read for it.

    ``make`` takes a world and gives an unfitted attack. ``exempt`` maps properties to the reason why they do not apply.
    ``n_rows`` is how many rows of each of the known and the scored an attack of many queries gets; ``of_neighbors`` is
    whether it attacks a 1-nearest-neighbor target, whose labels change less often than a forest's.
    """

    name: str
    make: object
    exempt: dict = field(default_factory=dict)
    n_rows: int = N_ROWS // 2
    of_neighbors: bool = False


def _lira(world, **params):
    return LiRAAttack(world.shadows, pool=(world.X, world.y), **params)


def _rmia(world, **params):
    return RMIAAttack(world.shadows, pool=(world.X, world.y), **params)


OF_SHADOWS = "compares with shadow models, whose answers to rows that the target answers alike are not alike"
OF_LABELS = "looks at labels alone"
OF_ROWS = "looks at the row itself, too"
CASES = [
    *(Case(signal, lambda world, signal=signal: ThresholdAttack(signal)) for signal in
      ("confidence", "entropy", "logit", "loss", "modified_entropy")),
    Case("correctness", lambda world: CorrectnessAttack(), {"monotone": OF_LABELS}),
    Case("non_monotone", lambda world: NonMonotoneAttack(n_estimators=30, random_state=0), {"monotone": LEARNED}),
    Case("classifier", lambda world: ClassifierAttack(random_state=0), {"monotone": LEARNED}),
    Case("histogram", lambda world: HistogramAttack(), {"monotone": LEARNED}),
    Case("neural", lambda world: NeuralAttack(max_epochs=30, random_state=0), {"monotone": LEARNED}),
    Case("quantile", lambda world: QuantileAttack(random_state=0), {"constant": OF_ROWS}),
    Case("reference", lambda world: ReferenceAttack(random_state=0), {"constant": OF_ROWS, "monotone": LEARNED}),
    Case("lira_online", lambda world: _lira(world, mode="online"),
         {"constant": OF_SHADOWS, "monotone": "a ratio of two normal densities of unequal spread has a turning point"}),
    Case("lira_offline", lambda world: _lira(world, mode="offline"), {"constant": OF_SHADOWS}),
    Case("rmia_online", lambda world: _rmia(world, mode="online"), {"constant": OF_SHADOWS}),
    Case("rmia_offline", lambda world: _rmia(world, mode="offline"), {"constant": OF_SHADOWS}),
    Case("lira_labels", lambda world: _lira(world, uses="labels"), {"constant": OF_SHADOWS, "monotone": OF_LABELS}),
    Case("rmia_labels", lambda world: _rmia(world, uses="labels"), {"constant": OF_SHADOWS, "monotone": OF_LABELS}),
    Case("label_only_noise", lambda world: LabelOnlyAttack("noise", random_state=0), {"monotone": OF_LABELS}),
    Case("label_only_reference", lambda world: LabelOnlyReferenceAttack(random_state=0),
         {"monotone": OF_LABELS, "constant": OF_ROWS}),
    Case("label_only_reference_noise", lambda world: LabelOnlyReferenceAttack(n_queries=7, random_state=0),
         {"monotone": OF_LABELS, "constant": OF_ROWS}),
    Case("boundary", lambda world: BoundaryAttack(max_iter=1, max_eval=20, init_eval=10, random_state=0),
         {"monotone": OF_LABELS, "constant": "without another label, gives the distance to the end of the range"},
         n_rows=60, of_neighbors=True),
    *(Case(f"repeated_{neighbor}_{statistic}",
           lambda world, n=neighbor, s=statistic: RepeatedQueryAttack(4, neighbor=n, statistic=s, random_state=0))
      for neighbor, statistic in (("exact", "mean"), ("ulp", "max"), ("quantum", "mean"), ("gray", "max"))),
    Case("precompensated", lambda world: PrecompensatedQueryAttack(Blur(), n_queries=2, n_regenerations=2,
                                                                    random_state=0), {"monotone": OF_ROWS}),
    Case("contrast", lambda world: PrecompensatedQueryAttack(mode="contrast", strength=0.1, random_state=0),
         {"monotone": OF_ROWS}),
    Case("surrogate", lambda world: SurrogateRegenerationAttack(Blur(), n_regenerations=2, random_state=0),
         {"monotone": LEARNED}),
    Case("answer_cost", lambda world: AnswerCostAttack(), {"monotone": "looks at the cost alone"}),
    Case("fallback", lambda world: FallbackAttack(world.target), {"monotone": LEARNED, "constant": OF_ROWS}),
]  # fmt: skip
COVERED = {type(case.make(Bunch(X=None, y=None, shadows=None, target=None))) for case in CASES}
OFFERED = {
    item
    for item in vars(offered).values()
    if isinstance(item, type) and issubclass(item, MembershipAttack) and not item.__abstractmethods__
}


@cache
def world(kind, of_neighbors=False):
    """Return rows, of which half are said to be members, and a target.

    "memorizer" was trained on the members; "null" on other rows of the same kind.
    """
    X, y = _all_rows()
    is_member = np.random.default_rng(1).permutation(np.arange(N_ROWS) % 2 == 0)
    train = np.flatnonzero(is_member) if kind == "memorizer" else np.arange(N_ROWS, 2 * N_ROWS)
    target = KNeighborsClassifier(1) if of_neighbors else Searching(30, random_state=0)
    target.fit(X[train], y[train])
    X, y = X[:N_ROWS], y[:N_ROWS]
    return Bunch(X=X, y=y, is_member=is_member, target=target, shadows=shadows())


@cache
def shadows():
    """Return sixteen small forests, each trained on half of the rows of both worlds."""
    X, y = rows()
    return train_shadows(RandomForestClassifier(10), X, y, n_shadows=16, random_state=0)


def rows():
    """Return the rows and labels of both worlds."""
    X, y = _all_rows()
    return X[:N_ROWS], y[:N_ROWS]


def _all_rows():
    """Return rows of three classes, three in ten with a wrong label, those of both worlds first."""
    X, y = make_blobs(2 * N_ROWS, n_features=N_FEATURES, centers=3, cluster_std=6.0, random_state=0)
    rng = np.random.default_rng(0)
    return X, np.where(rng.random(len(y)) < 0.3, (y + rng.integers(1, 3, len(y))) % 3, y)


def parts(case, kind, *, many=False):
    """Return a world, and the rows that the attacker knows and those to be scored.

    An attack of many queries gets many rows only where statistics need them.
    """
    n_rows = case.n_rows if many or case.n_rows == N_ROWS // 2 else 16
    order = np.arange(N_ROWS)
    return world(kind, case.of_neighbors), order[order % 2 == 0][:n_rows], order[order % 2 == 1][:n_rows]


def fit(case, kind, target=None, y=None, *, many=False):
    """Fit a new attack of a case to a world's target, or to another one."""
    of_kind, known, _ = parts(case, kind, many=many)
    y = of_kind.y if y is None else y
    target = of_kind.target if target is None else target
    return case.make(of_kind).fit(target, of_kind.X[known], y[known], of_kind.is_member[known])
