"""What every regenerator must do, as functions of one that is fitted on digits. A broken one fails at least one."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier


def check_shape_and_range(regenerator, X, y):
    """Answers have the shape of X, are finite float32 and lie in the value range of X."""
    answer = regenerator.regenerate(X, 0)
    assert answer.shape == X.shape and answer.dtype == np.float32
    assert np.isfinite(answer).all()
    assert answer.min() >= X.min() and answer.max() <= X.max()


def check_changes_every_row(regenerator, X, y):
    """No row comes back as it was: what is particular to it must go."""
    change = np.abs(regenerator.regenerate(X, 0) - X).reshape(len(X), -1).mean(axis=1)
    assert change.min() > 0.01 * np.ptp(X)


def check_candidates_differ(regenerator, X, y):
    """Another candidate number is another answer, on every row."""
    first, second = (regenerator.regenerate(X, candidate) for candidate in (0, 1))
    assert np.abs(first - second).reshape(len(X), -1).max(axis=1).min() > 0.01 * np.ptp(X)


def check_depends_on_row(regenerator, X, y):
    """An answer is mostly nearest to its own row, of all rows."""
    answer = regenerator.regenerate(X, 0).reshape(len(X), -1)
    distances = ((answer[:, None] - X.reshape(1, len(X), -1)) ** 2).mean(axis=2)
    assert np.mean(distances.argmin(axis=1) == np.arange(len(X))) > 0.5


def check_keeps_labels(regenerator, X, y):
    """A classifier that never saw regenerated rows gives most of them the label of the original."""
    classifier = KNeighborsClassifier(5).fit(X.reshape(len(X), -1), y)
    labels = classifier.predict(X.reshape(len(X), -1))
    kept = classifier.predict(regenerator.regenerate(X, 0).reshape(len(X), -1)) == labels
    assert kept.mean() > 0.85


def check_removes_noise(regenerator, X, y):
    """The answer is nearer to the original than the noisy input is: the denoiser works.

    Scaled back, the noisy input is off by sqrt((1 - abar) / abar) standard normals in [-1, 1]. Clamped to the range,
    this is what a denoiser that sees no noise would answer.
    """
    abar = float(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[regenerator.timestep])
    spread = np.sqrt((1 - abar) / abar) * np.ptp(X) / 2
    noisy = np.clip(X + np.random.default_rng(0).normal(scale=spread, size=X.shape), X.min(), X.max())
    error = np.mean((regenerator.regenerate(X, 0) - X) ** 2)
    assert error < 0.6 * np.mean((noisy - X) ** 2)


def check_any_batch_and_order(regenerator, X, y):
    """An answer is that of the row, whatever is asked for with it and in which order."""
    answer = regenerator.regenerate(X, 3)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(regenerator.regenerate(X[order], 3), answer[order], atol=1e-5 * np.ptp(X))
    np.testing.assert_allclose(regenerator.regenerate(X[5:6], 3), answer[5:6], atol=1e-5 * np.ptp(X))


def check_candidate_per_row(regenerator, X, y):
    """A candidate number for each row gives what each number gives."""
    candidates = np.arange(len(X)) % 3
    answer = regenerator.regenerate(X, candidates)
    for candidate in range(3):
        rows = candidates == candidate
        expected = regenerator.regenerate(X[rows], candidate)
        np.testing.assert_allclose(answer[rows], expected, atol=1e-5 * np.ptp(X))


def check_transform_is_candidate_zero(regenerator, X, y):
    """``transform`` regenerates with candidate 0."""
    np.testing.assert_array_equal(regenerator.transform(X), regenerator.regenerate(X, 0))


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
