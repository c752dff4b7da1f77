"""
Are some rows at more risk than others?
=======================================

An average over rows hides the row that is memorized most. *Canaries* are rows that a model can only learn by heart,
such as those with a wrong label. Many models are trained that differ in these rows only, and each is attacked with the
others as shadow models.
"""

# %%
# Sixteen models are few, and enough to see it; an audit for use takes 64 or more.

import matplotlib.pyplot as plt
from digits import load_rows
from sklearn.linear_model import LogisticRegression

from skdiffence.inspection import canary_audit

rows = load_rows()
model = LogisticRegression(C=10.0, max_iter=300)
found = {
    kind: canary_audit(model, rows.X[:300], rows.y[:300], kind=kind, n_shadows=16, random_state=0)
    for kind in ("clean", "mislabeled")
}
print(found["mislabeled"])

# %%
# The average row is found by shadow models (LiRA) and hardly by a threshold for all rows alike. Rows with a wrong label
# are found by both, all but without exception, though it is the same model and the same training.

attacks = {"threshold_logit": "one threshold", "lira_logit": "LiRA"}
figure, ax = plt.subplots(figsize=(7, 3))
for shift, (attack, label) in zip((-0.1, 0.1), attacks.items(), strict=True):
    lines = [result.to_frame().loc[attack] for result in found.values()]
    areas = [line.roc_auc for line in lines]
    low, high = [line.roc_auc_low for line in lines], [line.roc_auc_high for line in lines]
    errors = [[a - b for a, b in zip(areas, low, strict=True)], [b - a for a, b in zip(areas, high, strict=True)]]
    ax.errorbar(areas, [place + shift for place in range(len(found))], xerr=errors, fmt="o", capsize=4, label=label)
ax.set_yticks(range(len(found)), found)
ax.axvline(0.5, color="gray", linestyle=":")
ax.set(ylim=(-0.5, 1.5), xlabel="area under the ROC curve, 95 % interval")
ax.legend()
figure.tight_layout()
plt.show()
