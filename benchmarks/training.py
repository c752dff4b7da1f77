"""Training a denoiser: our loop against a bare one, and low noise alone against all noise at equal time.

    python benchmarks/training.py
    python benchmarks/training.py --data images.npz --rows 2048 --only speed
    python benchmarks/training.py --only range --seeds 5

Speed: the same network, rows, batches and optimizer; the bare loop has no moving average, no clipping, no schedule of
rates, and draws timesteps evenly. Range: denoisers of digits that saw the same rows for the same number of updates, of
which one learned the noise levels up to the timestep and the other all of them; means over seeds with half of a 95 %
interval, and paired differences.
"""

import numpy as np
import torch
from _common import interleaved, make_parser, middle, print_table, save
from sklearn.frozen import FrozenEstimator

from skdiffence._demo._digits import DemoSettings, draw_digits, split_digits
from skdiffence._demo._engine import Schedule, Trainer, make_scheduler, make_unet
from skdiffence._demo._table import format_means, mean_and_margin
from skdiffence.datasets import load_digit_images, load_images
from skdiffence.diffusion import DiffusionRegenerator

N_LEVELS = 161
RANGES = {"up to the timestep": "auto", "all 1000": 1000}
COLUMNS = [
    ("retention", "retention", 3),
    ("entropy_roc_auc", "entropy AUC", 3),
    ("confidence_roc_auc", "confid. AUC", 3),
    ("worst_roc_auc", "worst AUC", 3),
    ("nll", "NLL", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("calls", "calls/row", 2),
    ("seconds", "s", 1),
]


def bare_loop(network, rows, batch_size, abar, autocast):
    """One pass over the rows, as short as a training loop can be."""
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, fused=True)
    network.train()
    for index in torch.randperm(len(rows)).to(rows.device).split(batch_size):
        x = rows[index]
        t = torch.randint(N_LEVELS, (len(x),), device=x.device)
        noise = torch.randn_like(x)
        signal = abar[t][:, None, None, None]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
            predicted = network(signal.sqrt() * x + (1 - signal).sqrt() * noise, t).sample
        loss = torch.nn.functional.mse_loss(predicted.float(), noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def measure_speed(options):
    """Time both loops in turns."""
    device = torch.device(options.device)
    images = load_digit_images() if options.data is None else load_images(options.data)
    X = images.data[np.random.default_rng(0).choice(len(images.data), options.rows, replace=False)]
    rows = torch.from_numpy(X / np.float32(X.max())).to(device) * 2 - 1
    schedule = Schedule(make_scheduler(1000, "linear"))
    autocast = device.type == "cuda"
    abar = schedule.alphas_cumprod.float().to(device)
    torch.manual_seed(0)
    networks = [make_unet(X.shape[1:]).to(device) for _ in range(2)]
    trainer = Trainer(
        schedule,
        n_levels=N_LEVELS,
        max_epochs=1,
        batch_size=options.batch_size,
        lr=2e-3,
        ema_decay=0.995,
        autocast=autocast,
        seed=0,
        verbose=0,
    )
    works = {
        "ours": (lambda: trainer.train(networks[0], rows), len(rows)),
        "bare loop": (lambda: bare_loop(networks[1], rows, options.batch_size, abar, autocast), len(rows)),
    }
    times = interleaved(works, options.repeats, device)
    table = [["loop", "rows/s", "wall ms/row", "CPU ms/row"]]
    for name, values in times.items():
        table.append([name, f"{1e3 / np.median(values[:, 0]):.0f}", middle(values[:, 0]), middle(values[:, 1])])
    print_table(table)
    share = times["bare loop"] / times["ours"]
    print(f"throughput, ours / bare: {middle(share[:, 1], 2)} by CPU time, {middle(share[:, 0], 2)} by the clock\n")
    return {name: {"wall_ms": values[:, 0], "cpu_ms": values[:, 1]} for name, values in times.items()}


def measure_range(options):
    """Train on both ranges, put the denoisers in front of the same nets, attack, and print what comes out."""
    settings, records = DemoSettings(), []
    for seed in range(options.seeds):
        digits = draw_digits(settings, seed)
        records += compare_ranges(options, digits.X_public, split_digits(settings, digits, seed))
    print(format_means(records, COLUMNS, "trained on"))
    print_differences(records)
    return records


def compare_ranges(options, X_public, split):
    """Return one record for each range, and one without defense, on one split."""
    records = []
    for name, levels in RANGES.items():
        regenerator = DiffusionRegenerator(
            timestep=options.timestep,
            train_timesteps=levels,
            max_epochs=options.epochs,
            lr=4e-3,
            batch_size=32,
            value_range=(0, 1),
            random_state=split.seed,
        ).fit(X_public)
        if split.scored is None:
            split.draw_scored_rows(split.defend(FrozenEstimator(regenerator), "matched"))
            records.append(split.measure("undefended", split.defend("passthrough", "first")))
        record = split.measure(name, split.defend(FrozenEstimator(regenerator), "first"))
        records.append(record | {"seconds": sum(epoch["seconds"] for epoch in regenerator.history_)})
    return records


def print_differences(records):
    """Print paired differences of the two ranges over seeds."""
    low, full = ([record for record in records if record["name"] == name] for name in RANGES)
    for key, heading, digits in COLUMNS[:-1]:
        mean, margin = mean_and_margin([a[key] - b[key] for a, b in zip(low, full, strict=True)])
        print(f"{heading}, {' minus '.join(RANGES)}: {mean:+.{digits}f}±{margin:.{digits}f}")


def main():
    """Run what was asked for."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=["speed", "range"])
    parser.add_argument("--data", help="folder, tar archive or .npz file of images for the speed; digits if not given")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", type=int, default=1024, help="rows that the speed is measured on")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--timestep", type=int, default=240)
    options = parser.parse_args()
    facts = {}
    if options.only != "range":
        facts["speed"] = measure_speed(options)
    if options.only != "speed":
        facts["range"] = measure_range(options)
    save(options, "training.json", **facts)


if __name__ == "__main__":
    main()
