"""
Does a net tell who was in its training set?
============================================

A net is surer of the rows that it was trained on. The histograms show by how much: phi is the log-odds of the
predicted label's probability, for members and for other rows of the same kind. Behind the defense the two sides lie on
each other, and not one label has changed.
"""

# %%
# 150 noisy digits are the members. The denoiser was trained on other, public ones.

import matplotlib.pyplot as plt
from digits import defend, load_net, load_rows
from sklearn.metrics import roc_auc_score

from skdiffence.inspection import SignalDisplay
from skdiffence.metrics import correctness_signal, entropy_signal

rows, net, defended = load_rows(), load_net(), defend()

assert (defended.predict(rows.X) == net.predict(rows.X)).all()

# %%
# The area under the ROC curve of an attack on entropy says how well members are told from others: 0.5 is a guess, 1 is
# certainty. An attack that looks at nothing but whether the label is right is the *floor*, which no defense that keeps
# labels can lower.

for name, model in [("undefended", net), ("defended", defended)]:
    proba = model.predict_proba(rows.X)
    entropy = roc_auc_score(rows.is_member, entropy_signal(rows.y, proba))
    floor = roc_auc_score(rows.is_member, correctness_signal(rows.y, proba))
    print(f"{name:10}  entropy {entropy:.3f}  labels alone {floor:.3f}")

# %%

display = SignalDisplay.from_estimator(defended, rows.X, rows.y, rows.is_member)
display.figure_.set_size_inches(9, 3.5)
plt.show()
