"""
Does asking again undo the defense?
===================================

If each query drew its noise anew, an attacker could ask many times and average the noise away. Here the noise is a
function of a secret key, so that the same question has the same answer. The attacker then asks about near-duplicates
of the row instead.
"""

# %%
# ``"fresh"`` draws anew, as the paper does. ``"row"`` depends on the key and the row, ``"shared"``, the default, on
# the key alone.

import matplotlib.pyplot as plt
import numpy as np
from digits import defend, load_net, load_rows
from sklearn.metrics import roc_auc_score

from skdiffence.metrics import logit_signal

rows = load_rows()
chosen = np.r_[np.flatnonzero(rows.is_member), np.flatnonzero(~rows.is_member)[:300]]
X, y, is_member = rows.X[chosen], rows.y[chosen], rows.is_member[chosen]
queries = 8
rng = np.random.default_rng(0)


def near_duplicate(X):
    """Change a fifth of the pixels by one of 16 gray levels."""
    step = rng.choice([-1, 0, 1], size=X.shape, p=[0.1, 0.8, 0.1]) / 16
    return np.clip(X + step, 0, 1).astype("float32")


def areas(model):
    """Return the area of phi, averaged over one, two, ... queries."""
    asked = [X] + [near_duplicate(X) for _ in range(queries - 1)]
    phi = np.array([logit_signal(y, model.predict_proba(each)) for each in asked])
    averages = np.cumsum(phi, axis=0) / np.arange(1, queries + 1)[:, None]
    return [roc_auc_score(is_member, average) for average in averages]


# %%
# One candidate for each answer, so that nothing else averages.

curves = {"undefended": areas(load_net())}
curves |= {noise: areas(defend(selection="swap", noise=noise)) for noise in ("fresh", "row", "shared")}

figure, ax = plt.subplots(figsize=(7, 4))
for name, curve in curves.items():
    ax.plot(range(1, queries + 1), curve, "o-", label=name)
ax.set(xlabel="queries about each row", ylabel="AUC of the averaged phi")
ax.legend()
figure.tight_layout()
plt.show()

# %%
# On few rows the curves scatter by some hundredths; :doc:`/benchmarks` has means over splits.
