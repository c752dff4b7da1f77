"""MemGuard: noise on the probabilities that makes a membership classifier guess."""

from numbers import Integral, Real

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from skdiffence.defenses._classifier import in_blocks
from skdiffence.defenses.output._base import OutputDefense
from skdiffence.utils._random import mix_seed, torch_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import HasMethods, Interval

# Probabilities are clipped here before the logarithm.
_LOWEST = 1e-30
# Distance of the attack's decision to one half below which it counts as a guess.
_GUESS = 1e-5
_LABEL_WEIGHT = 10.0
_WEIGHTS = 10.0 ** np.arange(-1, 6)
# Searches of this many rows take as long as that of one: what a step costs are calls, not numbers.
_ROWS_AT_ONCE = 128


class MemGuardClassifier(OutputDefense):
    """Add noise to the probabilities under which a membership classifier has to guess.

    A surrogate attack g is trained on the sorted probabilities of members and non-members. For each query the smallest
    noise is searched that moves g's decision across one half and keeps the label. It is added with the probability
    that brings the expected decision of g as close to one half as the budget allows.

    Read more in the :ref:`User Guide <output_defenses>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``. ``FrozenEstimator(net)`` is not trained again.
    distortion_budget : float, default=1.0
        Largest expected L1 distance between the defended and the undefended probabilities; no distance exceeds 2.
    calibration_size : float, default=0.1
        Share of the rows held out as known non-members, in (0, 1), if ``is_member`` is not given to ``fit``.
    max_steps : int, default=300
        Largest number of steps of a search.
    step : float, default=0.1
        Length of a step, in log-probabilities.
    hidden_layer_sizes : tuple of int, default=(64, 32)
        Hidden layers of g, none if it is empty. The paper has (256, 128, 64).
    attack_epochs : int, default=400
        Number of full-batch steps of Adam that train g.
    random_state : int, RandomState instance or None, default=None
        Seeds training, which rows are held out, and which answers get noise. From an integer the latter can be
        computed.

    Attributes
    ----------
    undefended_ : DefendedClassifier
        The fitted classifier with its undefended probabilities.
    attack_ : torch.nn.Module
        g: takes probabilities of shape (n, n_classes) and returns log-odds of membership.
    attack_accuracy_ : float
        Accuracy of g on its training rows. At one half there is no leak that g can find.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, in the order of the columns of ``predict_proba``.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.
    n_samples_fit_ : int or None
        Number of rows that trained the classifier; None if it is frozen.
    not_trained_on_ : RowSet
        Keyed digests of rows given to ``fit`` that did not train it.
    calibrated_on_ : RowSet
        Keyed digests of the rows that trained g, as many members as non-members.

    See Also
    --------
    OutputClassifier : Coarser probabilities.

    Notes
    -----
    It costs one call of the classifier and, for each query, up to ``max_steps`` passes of g for each of at most seven
    weights of the distortion. The rows of a call are searched together, as many as fit in memory.

    The search minimizes ``|g| + 10 relu(best other - label) + w distortion`` over noise on log-probabilities, by steps
    along the normalized gradient, until g's decision is crossed with the label kept; w starts at 0.1 and is
    multiplied by 10 for as long as that succeeds.

    With a = g(answer) - 1/2 and b = g(changed answer) - 1/2 the release probability p minimizes ``|(1 - p) a + p b|``
    subject to p times the distortion being within the budget. The draw is a keyed hash of the row, so that a repeated
    query gets the same answer.

    g is one attack. Another attack, trained on defended answers, is not fooled by construction, and label-only attacks
    are not affected.

    References
    ----------
    Jia, Salem, Backes, Zhang and Gong, "MemGuard: defending against black-box membership inference attacks via
    adversarial examples", CCS 2019, sections 4.2 and 4.3.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from skdiffence.defenses import MemGuardClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = MLPClassifier((32,), alpha=0, max_iter=80, solver="lbfgs", random_state=0)
    >>> guarded = MemGuardClassifier(net, attack_epochs=100, random_state=0).fit(X[:300], y[:300])
    >>> bool((guarded.predict(X) == guarded.estimator_.predict(X)).all())
    True
    >>> bool((guarded.predict_proba(X[:50]) == guarded.predict_proba(X[:50])).all())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "distortion_budget": [Interval(Real, 0, None, closed="left")],
        "calibration_size": [Interval(Real, 0, 1, closed="neither")],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "step": [Interval(Real, 0, None, closed="neither")],
        "hidden_layer_sizes": [tuple, list],
        "attack_epochs": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }
    _needs_members = True

    def __init__(
        self,
        estimator,
        *,
        distortion_budget=1.0,
        calibration_size=0.1,
        max_steps=300,
        step=0.1,
        hidden_layer_sizes=(64, 32),
        attack_epochs=400,
        random_state=None,
    ):
        self.estimator = estimator
        self.distortion_budget = distortion_budget
        self.calibration_size = calibration_size
        self.max_steps = max_steps
        self.step = step
        self.hidden_layer_sizes = hidden_layer_sizes
        self.attack_epochs = attack_epochs
        self.random_state = random_state

    def release(self, X):
        """Return undefended probabilities, probabilities with noise, and how likely the noise is added.

        Only for the owner of the classifier.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Undefended probabilities.
        changed : ndarray of shape (n_samples, n_classes)
            Probabilities with noise.
        probability : ndarray of shape (n_samples,)
            Probability of adding the noise.
        """
        return in_blocks(self._released, self._check_question(X))

    def _released(self, X):
        _, proba = self._answers(X)
        return proba, *self._noisy(proba)

    def _check_params(self):
        if not all(isinstance(size, Integral) and size >= 1 for size in self.hidden_layer_sizes):
            raise ValueError(f"hidden_layer_sizes must hold whole numbers from 1 on. Got {self.hidden_layer_sizes!r}.")

    def _share_to_calibrate(self):
        return self.calibration_size

    def _calibrate(self, members, non_members, seed):
        with torch_seed(mix_seed(seed, "attack")):
            self.attack_ = train_attack(members[0], non_members[0], self.hidden_layer_sizes, self.attack_epochs)
        decisions = [self._decide(side[0]) for side in (members, non_members)]
        self.attack_accuracy_ = float(np.mean(np.concatenate((decisions[0] > 0, decisions[1] <= 0))))

    def _decide(self, proba):
        with torch.no_grad():
            return torch.sigmoid(self.attack_(torch.from_numpy(proba))).numpy() - 0.5

    def _noisy(self, proba):
        changed = search_noise(self.attack_, proba, self.step, self.max_steps)
        distortion = np.abs(changed - proba).sum(axis=1)
        decisions = self._decide(proba), self._decide(changed)
        return changed, release_probability(*decisions, distortion, self.distortion_budget)

    def _change(self, proba, X):
        changed, probability = self._noisy(proba)
        return np.where((uniform_of_rows(X, self.key_) < probability)[:, None], changed, proba)


class SortedAttack(nn.Module):
    """A network on sorted probabilities that returns log-odds of membership.

    Parameters
    ----------
    n_classes : int
        Number of probabilities.
    hidden : sequence of int
        Layer sizes.
    """

    def __init__(self, n_classes, hidden):
        super().__init__()
        sizes = (n_classes, *hidden)
        layers = [part for pair in zip(sizes[:-1], sizes[1:], strict=True) for part in (nn.Linear(*pair), nn.ReLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1)).double()

    def forward(self, proba):
        """Return log-odds of shape (n,)."""
        return self.layers(proba.sort(dim=1, descending=True).values).squeeze(1)


def train_attack(members, non_members, hidden, epochs):
    """Train the surrogate attack on as many answers of each side.

    Parameters
    ----------
    members, non_members : ndarray of shape (n, n_classes)
        Probabilities.
    hidden : sequence of int
        Layer sizes.
    epochs : int
        Steps of Adam over all rows.

    Returns
    -------
    attack : SortedAttack
    """
    X = torch.from_numpy(np.concatenate((members, non_members)))
    is_member = (torch.arange(len(X)) < len(members)).double()
    attack = SortedAttack(X.shape[1], hidden)
    optimizer = torch.optim.Adam(attack.parameters(), lr=1e-3)
    for _ in range(epochs):
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(attack(X), is_member).backward()
        optimizer.step()
    return attack.requires_grad_(False)


def search_noise(attack, proba, step, max_steps):
    """Search the smallest noise of each row that changes the attack's decision and keeps the label.

    Parameters
    ----------
    attack : torch.nn.Module
        Takes probabilities and gives log-odds.
    proba : ndarray of shape (n, n_classes), dtype float64
        Answers.
    step : float
        Length of a step in log-probabilities.
    max_steps : int
        Largest number of steps for each weight of the distortion.

    Returns
    -------
    changed : ndarray of shape (n, n_classes)
        Probabilities with noise; ``proba`` in rows where none was found or the attack already guesses.
    """
    changed = proba.copy()
    with torch.no_grad():
        before = attack(torch.from_numpy(proba)).numpy()
    rows = np.flatnonzero(np.abs(1 / (1 + np.exp(-before)) - 0.5) > _GUESS)
    weights = _WEIGHTS
    while len(rows) and len(weights):
        # Few rows try the next weights beforehand, whether or not they come to need them.
        together, weights = np.split(weights, [max(1, _ROWS_AT_ONCE // len(rows))])
        given = torch.from_numpy(np.tile(proba[rows], (len(together), 1)))
        found, answers = _search(attack, given, torch.from_numpy(np.repeat(together, len(rows))), step, max_steps)
        found, answers = found.reshape(len(together), -1), answers.reshape(len(together), len(rows), -1)
        n_found = np.logical_and.accumulate(found).sum(axis=0)
        some = n_found > 0
        changed[rows[some]] = answers[n_found[some] - 1, some]
        rows = rows[n_found == len(together)]
    return changed


def _search(attack, proba, weight, step, max_steps):
    """Search with a weight of the distortion for each row, and return which rows succeeded and their probabilities."""
    label = proba.argmax(dim=1)
    start = proba.clamp(min=_LOWEST).log()
    # Not proba itself: rounding errors would set the direction of the first step, whose distortion is zero.
    origin = torch.softmax(start, dim=1)
    side = torch.sign(attack(proba))
    noise, answers = torch.zeros_like(proba), proba.clone()
    active = torch.arange(len(proba))
    for n_steps in range(max_steps + 1):
        given = (part[active] for part in (origin, start, noise, label, weight))
        decision, now, direction = _evaluate(attack, *given, with_direction=n_steps < max_steps)
        crossed = (torch.sign(decision) != side[active]) & (now.argmax(dim=1) == label[active])
        if n_steps == 0:
            crossed[:] = False
        answers[active[crossed]] = now[crossed]
        active = active[~crossed]
        if n_steps == max_steps or not len(active):
            break
        noise[active] -= step * direction[~crossed]
    found = torch.ones(len(proba), dtype=torch.bool)
    found[active] = False
    return found.numpy(), answers.numpy()


def _evaluate(attack, origin, start, noise, label, weight, *, with_direction):
    """Return decisions, probabilities and the normalized gradient of each row's loss, zero where it vanishes."""
    noise = noise.requires_grad_(with_direction)
    logits = start + noise
    answer = torch.softmax(logits, dim=1)
    decision = attack(answer)
    if not with_direction:
        return decision, answer, None
    at_label = logits.gather(1, label[:, None]).squeeze(1)
    others = logits.scatter(1, label[:, None], -torch.inf).max(dim=1).values
    distortion = (answer - origin).abs().sum(dim=1)
    loss = decision.abs() + _LABEL_WEIGHT * torch.relu(others - at_label) + weight * distortion
    (gradient,) = torch.autograd.grad(loss.sum(), noise)
    return decision.detach(), answer.detach(), gradient / gradient.norm(dim=1, keepdim=True).clamp(min=1e-12)


def release_probability(before, after, distortion, budget):
    """Return the probability of noise under which the expected decision is closest to a guess within the budget.

    Parameters
    ----------
    before, after : ndarray of shape (n,)
        The attack's membership probability less one half, without and with noise.
    distortion : ndarray of shape (n,)
        L1 norm of the noise.
    budget : float
        Largest expected distortion.

    Returns
    -------
    probability : ndarray of shape (n,)
        The minimizer of ``|(1 - p) before + p after|`` over p in [0, 1] with p distortion <= budget.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # On different sides of zero the mean vanishes in between; on one side, the nearer end is best.
        best = np.where(before * after < 0, before / (before - after), np.abs(after) < np.abs(before))
        allowed = np.where(distortion > 0, budget / distortion, 1.0)
    return np.minimum(best, np.minimum(allowed, 1.0))


def uniform_of_rows(X, key):
    """Return a number in [0, 1) for each row, a keyed hash of its content.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Rows.
    key : bytes
        Of the hash.

    Returns
    -------
    uniform : ndarray of shape (n,)
    """
    digests = row_digests(X, key, as_float32=True)
    return np.array([int.from_bytes(bytes(digest)[:8].ljust(8, b"\0"), "little") >> 11 for digest in digests]) / 2**53
