"""
How is a data frame with categories defended?
=============================================

The regenerator adds noise to numbers, so categories have to become numbers before it. An encoder in front, as the
first step of a pipeline, keeps its columns for the classifier and the defense alike.
"""

# %%
# A table as people have it: numbers and two categories, one of which tells something of the class.

import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.inspection import SignalDisplay

rng = np.random.default_rng(0)
numbers, y = make_classification(1600, 8, n_informative=4, flip_y=0.2, random_state=0)
frame = pd.DataFrame(numbers, columns=[f"measurement {n}" for n in range(8)])
frame["ward"] = np.where(rng.random(1600) < 0.7, np.where(y, "north", "south"), "east")
frame["sex"] = rng.choice(["f", "m"], 1600)
public, members, others = frame[:700], frame[700:1000], frame[1000:]

# %%
# The encoder learns from public rows, as the denoiser does. What is then trained, defended and attacked are its
# numbers.

encoder = make_column_transformer(
    (StandardScaler(), make_column_selector(dtype_include="number")),
    (OneHotEncoder(sparse_output=False), ["ward", "sex"]),
).fit(public)
regenerator = DiffusionRegenerator(timestep=200, max_epochs=60, random_state=0).fit(encoder.transform(public))
folder = tempfile.mkdtemp()
regenerator.save_pretrained(folder)

# %%
# A pipeline of the fitted encoder and the defended classifier takes frames as they are.

defended = DefendedClassifier(
    RandomForestClassifier(50, random_state=0),
    DiffusionRegenerator(folder, timestep=200, random_state=0),
    random_state=0,
)
served = make_pipeline(FrozenEstimator(encoder), defended).fit(members, y[700:1000])
print(served.predict(others[:5]), served.predict_proba(others[:5]).round(2).tolist(), sep="\n")

# %%
# A forest remembers its rows: undefended, members are told from others by far.

rows, is_member = encoder.transform(frame[700:]), np.arange(900) < 300
display = SignalDisplay.from_estimator(served[-1], rows, y[700:], is_member)
display.figure_.set_size_inches(9, 3.5)
plt.show()
