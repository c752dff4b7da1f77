"""
How much noise is enough?
=========================

More noise hides more, and costs more of what confidence is worth. The figure has a point for each timestep: down is
less leak, to the right is more worth.
"""

# %%
# The leak is the area of an attack on entropy among correctly labeled rows. The worth is failure detection: the area
# with which confidence tells right answers from wrong ones, on rows that are no members.

import matplotlib.pyplot as plt
from digits import defend, load_net, load_rows

from skdiffence.inspection import PrivacyUtilityDisplay

rows = load_rows()
models = {"undefended": load_net()} | {f"{timestep}": defend(timestep) for timestep in (60, 120, 180, 240, 300)}
display = PrivacyUtilityDisplay.from_estimator(
    models, rows.X, rows.y, rows.is_member, attack="entropy", reference="undefended", random_state=0
)
display.figure_.set_size_inches(7, 5)
plt.show()

# %%
# Choose the lowest timestep whose leak is small enough for you, on rows that you do not report:
# :class:`~skdiffence.defenses.TunedDefendedClassifier` does so.
