"""
May the denoiser have seen the members?
=======================================

A denoiser that was trained on the members may regenerate them better than other rows, and so tell who they are. The
library says so wherever it knows: ``denoiser_saw_members_``, audits and reports.
"""

import matplotlib.pyplot as plt
import numpy as np
from digits import defend, load_denoiser, load_net, load_rows, train_denoiser
from sklearn.metrics import roc_auc_score

from skdiffence.metrics import entropy_signal

rows = load_rows()
folders = {
    "public rows": load_denoiser(),
    "the members": train_denoiser(np.repeat(rows.X[rows.is_member], 3, axis=0)),
}

# %%
# How far is a regeneration from its original? A denoiser that knows the members brings them back more closely than
# others, and this distance alone tells who they are.

for name, folder in folders.items():
    regenerated = defend(denoiser=folder).regenerator_.transform(rows.X)
    distance = np.sqrt(((regenerated - rows.X) ** 2).mean(axis=1))
    found = roc_auc_score(rows.is_member, -distance)
    print(f"trained on {name}: distance {distance[rows.is_member].mean():.3f} for members, ", end="")
    print(f"{distance[~rows.is_member].mean():.3f} for others, AUC {found:.3f}")

# %%
# What answers leak, for both and without a defense.

names, leaks = ["undefended"], [load_net().predict_proba(rows.X)]
for name, folder in folders.items():
    names.append(f"denoiser of {name}")
    leaks.append(defend(denoiser=folder).predict_proba(rows.X))
figure, ax = plt.subplots(figsize=(7, 2.5))
ax.barh(names, [roc_auc_score(rows.is_member, entropy_signal(rows.y, proba)) - 0.5 for proba in leaks], left=0.5)
ax.axvline(0.5, color="gray")
ax.invert_yaxis()
ax.set_xlabel("AUC of entropy")
figure.tight_layout()
plt.show()
