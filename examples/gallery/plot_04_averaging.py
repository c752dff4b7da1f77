"""
What does averaging regenerations give?
=======================================

A single regeneration hides by the luck of its draw as well, and that luck costs what confidence is worth. The mean over
several answers gives most of the worth back. What it leaks more than a single one does stands beside it. Four is the
default.
"""

import matplotlib.pyplot as plt
from digits import defend, load_net, load_rows
from sklearn.metrics import roc_auc_score

from skdiffence.defenses import MeanRule
from skdiffence.metrics import entropy_signal, failure_detection_auc

rows = load_rows()


def leak_and_worth(model):
    proba = model.predict_proba(rows.X)
    leak = roc_auc_score(rows.is_member, entropy_signal(rows.y, proba))
    return leak, failure_detection_auc(rows.y[~rows.is_member], proba[~rows.is_member])


calls = [1, 2, 4, 8, 16]
undefended = leak_and_worth(load_net())
defended = [leak_and_worth(defend(selection=MeanRule(n=n, antithetic=n > 1), n_candidates=n)) for n in calls]

# %%
# The lines are the undefended net.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
for column, (ax, title) in enumerate(zip(axes, ("leak: AUC of entropy", "worth: failure detection"), strict=True)):
    ax.plot(calls, [point[column] for point in defended], "o-", label="defended")
    ax.axhline(undefended[column], color="gray", linestyle="--", label="undefended")
    ax.set(xscale="log", xlabel="regenerations of a row", title=title)
    ax.set_xticks(calls, calls)
    ax.minorticks_off()
axes[0].legend()
figure.tight_layout()
plt.show()
