"""
What does a regeneration look like?
===================================

The defense adds noise to an image up to a timestep and has a denoiser remove it. What comes back is an image of the
same kind, without what was particular to this one. The more noise, the less is left of the original.
"""

import matplotlib.pyplot as plt
from digits import defend, load_rows

rows = load_rows()
originals = rows.X[:8]
timesteps = [40, 120, 200, 280]

images = {"original": originals}
for timestep in timesteps:
    images[f"t = {timestep}"] = defend(timestep).regenerator_.transform(originals)

# %%
# Each line is a timestep, each column an image. At 40 the strokes are as they were; at 280 some digits have become
# others.

figure, axes = plt.subplots(len(images), len(originals), figsize=(8, 5))
for line, (name, drawn) in zip(axes, images.items(), strict=True):
    line[0].set_ylabel(name)
    for ax, image in zip(line, drawn, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
figure.tight_layout()
plt.show()

# %%
# *Retention* is the share of candidates that keep the label. ``fit`` measures it and warns where it is poor.

for timestep in timesteps:
    (retention,) = defend(timestep).retention_.values()
    print(f"timestep {timestep:3}: {retention.overall:.0%} of the candidates keep the label")
