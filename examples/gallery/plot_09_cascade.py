"""
Does it help on top of another defense?
=======================================

A defense that acts in training leaves something for an attacker to find. Diffence needs no more than a classifier that
answers, so it can stand in front of any of them. Each arrow leads from a way of training to the same one behind
Diffence.
"""

import matplotlib.pyplot as plt
import torch
from digits import Net, load_denoiser, load_rows, make_net
from sklearn.frozen import FrozenEstimator

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.defenses import HAMPClassifier, RelaxLossClassifier
from skdiffence.inspection import PrivacyUtilityDisplay

rows = load_rows()
members = rows.X[rows.is_member], rows.y[rows.is_member]
own = {"optimizer": torch.optim.Adam, "lr": 0.005, "batch_size": 32, "max_epochs": 100, "verbose": 0}
trained = {
    "undefended": make_net(),
    "weight decay": make_net(optimizer=torch.optim.AdamW, optimizer__weight_decay=0.3),
    "early end": make_net(max_epochs=10),
    "RelaxLoss": RelaxLossClassifier(Net, random_state=0, **own),
    "HAMP": HAMPClassifier(Net, random_state=0, **own),
}

# %%
# Each is trained on the same members. :class:`~skdiffence.defenses.DefendedClassifier` around a frozen one leaves it
# as it is.


def on_top(classifier):
    regenerator = DiffusionRegenerator(load_denoiser(), timestep=260, value_range=(0, 1), random_state=0)
    return DefendedClassifier(FrozenEstimator(classifier), regenerator, random_state=0).fit(*members)


models, reference = {}, []
for name, classifier in trained.items():
    bare = DefendedClassifier(classifier, "passthrough", random_state=0).fit(*members).estimator_
    models |= {name: bare, f"{name} +": on_top(bare)}
    reference += [name, name]

# %%
# The arrows point down: less leak at the same labels, and so at the same accuracy. HAMP answers values that say little
# of the row, and there is nothing left to take. :doc:`/cascade` has the measurements.

display = PrivacyUtilityDisplay.from_estimator(
    models, rows.X, rows.y, rows.is_member, attack="entropy", plane="accuracy", reference=reference, random_state=0
)
display.figure_.set_size_inches(7, 5)
plt.show()
