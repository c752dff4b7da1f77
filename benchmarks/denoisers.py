"""Shapes of a UNet at equal training time: error, labels kept and milliseconds per call; and what makes a call cheap.

    python benchmarks/denoisers.py --seconds 30
    python benchmarks/denoisers.py --data images.npz --seconds 120
    python benchmarks/denoisers.py --data images.npz --only calls
    python benchmarks/denoisers.py --data images.npz --side 64 --public 12000 --members 3000 --only shapes

Digits without ``--data``. Denoisers are trained on public rows for the same CPU time each. A small convolutional net,
trained on private rows, says which labels regenerations of members and of non-members keep. "half size" is a UNet that
takes blocks of 2x2 pixels for channels. "blur" is what no network is needed for: a Gaussian blur of the noisy image.
"""

import math
import time
from functools import partial

import numpy as np
import torch
from _common import make_parser, print_table, save
from scipy.ndimage import gaussian_filter
from selection_data import ImageNet
from torch import nn
from torch.nn import functional

from skdiffence._demo._engine import Schedule, Trainer, call_network, make_scheduler, make_unet
from skdiffence.datasets import load_digit_images, load_images, membership_partition

TIMESTEPS = (120, 160)
LONGEST_SIDE = 48  # of "photographs"; the default network of larger images has other widths
BLURS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
WIDTHS = {
    "large photographs": {
        "8-16-32-64": (8, 16, 32, 64),
        "32-64-128-128": (32, 64, 128, 128),
    },
    "photographs": {
        "16-32-64": (16, 32, 64),
        "16-32-64-128": (16, 32, 64, 128),
        "24-48-96": (24, 48, 96),
        "32-64-128": (32, 64, 128),
        "half size, 32-64": (32, 64),
        "half size, 48-96": (48, 96),
    },
    "digits": {
        "16-32": (16, 32),
        "8-16": (8, 16),
        "24-48": (24, 48),
        "32-64": (32, 64),
        "32": (32,),
        "16-32-64": (16, 32, 64),
    },
}
SCHEDULE = Schedule(make_scheduler(1000, "linear"))


class HalfSize(nn.Module):
    """A UNet that sees blocks of 2x2 pixels as channels."""

    def __init__(self, shape, widths):
        super().__init__()
        channels, height, width = shape
        self.unet = make_unet((4 * channels, height // 2, width // 2), {"block_out_channels": widths})

    def forward(self, x, timesteps):
        """Return the predicted noise."""
        return functional.pixel_shuffle(self.unet(functional.pixel_unshuffle(x, 2), timesteps).sample, 2)


class Blur(nn.Module):
    """A Gaussian blur in the place of a denoiser, at each timestep the one of least error on some rows."""

    def __init__(self, rows):
        super().__init__()
        self.sigma, draws = {}, torch.Generator().manual_seed(0)
        for t in TIMESTEPS:
            noisy = SCHEDULE.add_noise(rows, torch.randn(rows.shape, generator=draws), t)
            errors = {sigma: float((_blurred(noisy, t, sigma) - rows).square().mean()) for sigma in BLURS}
            self.sigma[t] = min(errors, key=errors.get)

    def forward(self, x, timesteps):
        """Return the noise that the blur takes away."""
        t = int(timesteps[0])
        abar = SCHEDULE.alphas_cumprod[t]
        return ((x - abar.sqrt() * _blurred(x, t, self.sigma[t])) / (1 - abar).sqrt()).float()


def _blurred(x, t, sigma):
    blurred = gaussian_filter(x.numpy(), (0, 0, sigma, sigma), mode="nearest")
    return torch.from_numpy(blurred) / SCHEDULE.alphas_cumprod[t].sqrt().float()


def make(name, widths, shape):
    """Return an untrained denoiser of a shape."""
    torch.manual_seed(0)
    return HalfSize(shape, widths) if name.startswith("half") else make_unet(shape, {"block_out_channels": widths})


def train_for(seconds, make_denoiser, rows, batch_size):
    """Train a denoiser for so many CPU seconds; return it with the number of rows that it saw."""

    def train(rows, epochs=1):
        settings = {"n_levels": max(TIMESTEPS) + 1, "max_epochs": epochs, "batch_size": batch_size, "verbose": 0}
        trainer = Trainer(SCHEDULE, lr=2e-3, ema_decay=0.995, autocast=False, seed=0, **settings)
        start = time.process_time()
        averaged, _ = trainer.train(make_denoiser(), rows)
        return averaged, time.process_time() - start

    train(rows[:batch_size])
    n_rows = int(seconds / train(rows[: 4 * batch_size])[1] * 4 * batch_size)
    epochs = math.ceil(n_rows / len(rows))
    averaged, took = train(rows[: n_rows // epochs], epochs)
    return averaged, n_rows // epochs * epochs, took


def train_classifier(X, y, n_updates):
    """Train a small convolutional net for eight epochs, and at least so many updates."""
    torch.manual_seed(0)
    net = ImageNet(X.shape[1], int(y.max()) + 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for _ in range(max(8, n_updates // math.ceil(len(X) / 64))):
        for index in torch.randperm(len(X)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(net(X[index]), y[index]).backward()
            optimizer.step()
    return net.eval()


@torch.inference_mode()
def evaluate(denoiser, classifier, rows):
    """Return the error and the share of kept labels at each timestep, and CPU milliseconds of a call per row."""
    facts, busy, labels = {}, 0.0, classifier(rows).argmax(dim=1)
    for t in TIMESTEPS:
        noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(t))
        clean = []
        for noisy in SCHEDULE.add_noise(rows, noise, t).split(32):
            noisy = noisy.contiguous(memory_format=torch.channels_last)  # as a regenerator calls it
            start = time.process_time()
            predicted = call_network(denoiser, noisy, torch.full((len(noisy),), t), rows.shape[1])
            busy += time.process_time() - start
            clean.append(SCHEDULE.split(noisy, predicted, t)[0])
        clean = torch.cat(clean).clamp(-1, 1)
        facts[f"error, t={t}"] = float((clean - rows).square().mean())
        facts[f"kept, t={t}"] = float((classifier(clean).argmax(dim=1) == labels).float().mean())
    return facts | {"ms/call": 1e3 * busy / len(TIMESTEPS) / len(rows)}


def evaluate_sides(denoiser, classifier, sides):
    """Return what :func:`evaluate` finds on members and on non-members."""
    return {
        f"{key}, {side}": value
        for side, rows in sides.items()
        for key, value in evaluate(denoiser, classifier, rows).items()
    }


def compare_shapes(options, parts, tensor, y):
    """Train and evaluate all shapes and print the table."""
    classifier = train_classifier(tensor(parts.members), torch.from_numpy(y[parts.members]), options.updates)
    public, records = tensor(parts.public), {}
    # Parts are sorted as the data are, perhaps by class.
    some = np.random.default_rng(0).permutation(parts.members)[:600]
    sides = {"members": tensor(some), "non-members": tensor(parts.non_members)}
    records["blur"] = {"parameters": 0, "rows/s": math.nan} | evaluate_sides(Blur(public[:64]), classifier, sides)
    large = max(public.shape[2:]) > LONGEST_SIDE
    kind = "digits" if options.data is None else "large photographs" if large else "photographs"
    for name, widths in WIDTHS[kind].items():
        made = partial(make, name, widths, public.shape[1:])
        denoiser, n_seen, took = train_for(options.seconds, made, public, options.batch_size)
        facts = {"parameters": sum(weight.numel() for weight in denoiser.parameters())}
        facts |= {"rows seen": n_seen, "rows/s": n_seen / took} | evaluate_sides(denoiser, classifier, sides)
        records[name] = facts
        print(name, {key: round(value, 4) for key, value in facts.items()}, flush=True)
    headings = {"parameters": "parameters", "rows/s": "rows/s", "ms/call, non-members": "ms/call"}
    headings[f"error, t={max(TIMESTEPS)}, non-members"] = f"error, t={max(TIMESTEPS)}"
    for t in reversed(TIMESTEPS):
        headings |= {f"kept, t={t}, members": f"kept, t={t}: mem.", f"kept, t={t}, non-members": "non-m."}
    lines = [[name, *(f"{facts[key]:.4g}" for key in headings)] for name, facts in records.items()]
    print_table([["channels by level", *headings.values()], *lines])
    return records


@torch.inference_mode()
def compare_calls(options, shape):
    """Time calls of the default UNet at several batch sizes, layouts and precisions, and print CPU ms per row."""
    network, records = make_unet(shape).eval(), {}
    kinds = {"float32": (False, False), "channels last": (True, False), "bfloat16": (True, True)}
    for n_rows in (1, 4, 8, 16, 32, 64, 128):
        t, best = torch.full((n_rows,), 160), dict.fromkeys(kinds, math.inf)
        for _ in range(options.repeats):
            for kind, (last, half) in kinds.items():
                x = torch.randn(n_rows, *shape)
                x = x.contiguous(memory_format=torch.channels_last) if last else x
                start = time.process_time()
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    network(x, t)
                best[kind] = min(best[kind], 1e3 * (time.process_time() - start) / n_rows)
        records[n_rows] = best
    print_table([["rows", *kinds], *([str(n), *(f"{ms:.3f}" for ms in best.values())] for n, best in records.items())])
    return records


def main():
    """Run what was asked for."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", help="folder, tar archive or .npz file of images; digits if not given")
    parser.add_argument("--side", type=int, help="side that images are enlarged to")
    parser.add_argument("--only", choices=["shapes", "calls"])
    parser.add_argument("--seconds", type=float, default=120, help="CPU time of each training")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--public", type=int, help="rows of the denoisers; 900 digits or 40,000 photographs")
    parser.add_argument("--members", type=int, help="rows of the classifier; 250 digits or 10,000 photographs")
    parser.add_argument("--updates", type=int, default=1000, help="updates of the classifier, at least")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    images = load_digit_images() if options.data is None else load_images(options.data)
    public, members = (900, 250) if options.data is None else (40_000, 10_000)
    sizes = {"public": options.public or public, "members": options.members or members, "non_members": 600}
    parts = membership_partition(len(images.data), sizes, random_state=0)
    facts = {}
    if options.only != "shapes":
        facts["calls"] = compare_calls(options, images.data.shape[1:])
    if options.only != "calls":
        scale = 127.5 if images.data.dtype == np.uint8 else images.data.max() / 2

        def to_tensor(rows):
            x = torch.from_numpy(images.data[rows].astype(np.float32) / np.float32(scale) - 1)
            size = (options.side, options.side)
            return x if options.side is None else functional.interpolate(x, size, mode="bicubic").clamp_(-1, 1)

        facts["shapes"] = compare_shapes(options, parts, to_tensor, images.target)
    save(options, "denoisers.json", **facts)


if __name__ == "__main__":
    main()
