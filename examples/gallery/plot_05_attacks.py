"""
Which attack finds what?
========================

An audit runs attacks of several kinds, because a defense that stops one may leave another. Some read the whole answer,
some look at labels only; the strongest of the latter is the floor of a defense that keeps labels.
"""

import warnings

import matplotlib.pyplot as plt
from digits import defend, load_rows

from skdiffence.inspection import audit

rows = load_rows()
members = rows.X[rows.is_member], rows.y[rows.is_member]
others = rows.X[~rows.is_member][:300], rows.y[~rows.is_member][:300]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the key of an example is no secret
    attacks = ["confidence", "entropy", "non_monotone", "reference", "correctness", "label_only_noise"]
    report = audit(defend(), members, others, attacks=attacks, random_state=0)

# %%
# One line an attack. ``audited`` is the classifier behind its defense, and the audit has attacked it without the
# defense as well.

frame = report.to_frame()
print(frame[["target", "attack", "auc", "auc_low", "auc_high"]].round(3).to_string(index=False))

# %%
# What the defense takes away, attack by attack, with 95 % intervals. Attacks on labels stay where they were.

order = frame[frame.target == "undefended"].sort_values("auc").attack
figure, ax = plt.subplots(figsize=(8, 4.5))
for shift, (target, lines) in zip((-0.15, 0.15), frame.groupby("target"), strict=True):
    lines = lines.set_index("attack").loc[order]
    place = [position + shift for position in range(len(lines))]
    ax.errorbar(lines.auc, place, xerr=[lines.auc - lines.auc_low, lines.auc_high - lines.auc], fmt="o", label=target)
ax.set_yticks(range(len(order)), order)
ax.axvline(0.5, color="gray", linestyle=":")
ax.set_xlabel("area under the ROC curve")
ax.legend()
figure.tight_layout()
plt.show()
