"""The cost of an answer: ours, the paper's procedure, a diffusers loop, and the bare forward pass as the limit.

    python benchmarks/regeneration.py
    python benchmarks/regeneration.py --data images.npz --public 20000 --rows 256 --denoiser-epochs 3
    python benchmarks/regeneration.py --paper-unet --device cuda --rows 8192
    python benchmarks/regeneration.py --compile
    python benchmarks/regeneration.py --memory 50000
    python benchmarks/regeneration.py --sides 64 128 256

All in one process, on the same weights and rows, in turns. The paper's procedure is written plainly, with what costs
nothing in its favor: our batch size, the classifier called as a bare module, noise from torch's generator. "Limit" is
the time of as many bare forward passes of both networks in full batches, without noise, validation and search.
"""

import multiprocessing
import resource

import numpy as np
import torch
from _common import interleaved, make_parser, middle, print_table, save
from paper.presets import PAPER_UNET
from selection_data import make_image_net
from sklearn.frozen import FrozenEstimator

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence._demo._digits import DemoSettings, make_net
from skdiffence._demo._engine import make_unet, rows_per_batch, uses_bfloat16
from skdiffence.datasets import load_digit_images, load_images, membership_partition

N_CANDIDATES = 30
# Pixels that the net is given at a time when it answers. Small images go faster many at a time, large ones a few.
NET_PIXELS = 1 << 15
N_KNOWN = 200
RULES = ("swap", "mean", "first", "matched")
DDIM_STEPS = 50
# Calls of a regeneration; None for the bare network.
SIDE_WORKS = {"UNet alone": None, "UNet alone, channels last": None, "transform": 1, "transform, n_steps=4": 4}


def load(options):
    """Return images and labels, random ones for the paper's UNet where none are given."""
    if options.data is None and options.paper_unet:
        rng = np.random.default_rng(options.seed)
        n = options.public + options.members + N_KNOWN + options.rows
        return rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, n)
    images = load_digit_images() if options.data is None else load_images(options.data)
    return images.data, images.target


def prepare(options):
    """Return the trained net, the fitted regenerator, calibration rows and rows to be timed."""
    X, y = load(options)
    sizes = {"public": options.public, "members": options.members, "known": N_KNOWN, "timed": options.rows}
    parts = membership_partition(len(X), sizes, random_state=options.seed)
    images = {
        name: X[rows] / np.float32(255 if X.dtype == np.uint8 else 1) for name, rows in parts.items() if name in sizes
    }
    net = make_classifier(options, X.shape[1:], int(y.max()) + 1)
    torch.manual_seed(options.seed)
    net.fit(images["members"], y[parts.members].astype(np.int64))
    is_member = np.arange(options.members + N_KNOWN) < options.members
    known = np.concatenate((images["members"], images["known"])), np.concatenate((y[parts.members], y[parts.known]))
    return net, make_regenerator(options, images["public"]), (*known, is_member), images["timed"]


def make_classifier(options, shape, n_classes):
    """Return an unfitted skorch net: the demo's for digits, one that memorizes other images."""
    if options.data is None and not options.paper_unet:
        net = make_net(DemoSettings())
    else:
        net = make_image_net().set_params(max_epochs=options.net_epochs, device=options.device)
        net.set_params(module__n_channels=shape[0], module__n_classes=n_classes)
        net.set_params(iterator_train__shuffle=True)  # a file's images may be sorted by class
    return net.set_params(iterator_valid__batch_size=max(1, NET_PIXELS // (shape[1] * shape[2])))


def make_regenerator(options, X):
    """Train the denoiser on public rows, or make the paper's with random weights."""
    denoiser = paper_unet() if options.paper_unet else options.denoiser
    regenerator = DiffusionRegenerator(
        denoiser,
        timestep=options.timestep,
        max_epochs=options.denoiser_epochs,
        lr=4e-3 if options.data is None else 2e-3,
        batch_size=32 if options.data is None else 16,
        value_range=(0, 1),
        device=options.device,
        random_state=options.seed,
        verbose=denoiser is None,
    )
    return regenerator.fit(X)


def paper_unet():
    """Return the paper's UNet, with random weights."""
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    attention = {"attention_head_dim": 256, "downsample_padding": 0}
    return UNet2DModel(sample_size=32, in_channels=3, out_channels=3, **PAPER_UNET, **attention)


class Bare:
    """The two networks, called as modules in batches of one size, with the precision that ours use."""

    def __init__(self, net, regenerator, device, *, compiled=False):
        self.device = device
        self.unet, self.classifier = regenerator.denoiser_.to(device), net.module_.to(device).eval()
        self.unet = torch.compile(self.unet, dynamic=False) if compiled else self.unet
        self.bf16 = uses_bfloat16(regenerator.precision, device)
        self.abar = torch.cumprod(1 - regenerator.scheduler_.betas.double(), 0).float().to(device)
        self.scheduler, self.timestep = regenerator.scheduler_, regenerator.timestep
        self.size = rows_per_batch(regenerator.denoiser_, regenerator.space_.shape, device)

    def eps(self, x, t):
        """Call the UNet."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.unet(x, torch.full((len(x),), t, device=self.device)).sample.float()

    def batches(self, X):
        """Yield batches of X on the device, in [-1, 1], channels last."""
        for batch in torch.from_numpy(X).split(self.size):
            yield (batch.to(self.device) * 2 - 1).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def unet_alone(self, X):
        """One forward pass of the UNet for each row."""
        for x in self.batches(X):
            self.eps(x, self.timestep)

    @torch.inference_mode()
    def classifier_alone(self, X):
        """One forward pass of the classifier for each row."""
        for x in self.batches(X):
            self.classifier(x)

    @torch.inference_mode()
    def paper(self, X, interval):
        """Peng et al.: all candidates of a batch, two calls each, the selection afterwards."""
        answers = []
        for x in self.batches(X):
            original = self.classifier((x + 1) / 2)
            candidates = [self.classifier(self._regenerated(x)) for _ in range(N_CANDIDATES)]
            answers.append(_select(torch.stack([*candidates, original], dim=1).double().cpu(), interval))
        return torch.cat(answers)

    def _regenerated(self, x):
        t = self.timestep
        noisy = self.abar[t].sqrt() * x + (1 - self.abar[t]).sqrt() * torch.randn_like(x)
        for target in (t, 0):
            eps = self.eps(noisy, t)
            clean = (noisy - (1 - self.abar[t]).sqrt() * eps) / self.abar[t].sqrt()
            noisy = self.abar[target].sqrt() * clean + (1 - self.abar[target]).sqrt() * eps
        return (noisy / 2 + 0.5).clamp(0, 1)

    @torch.inference_mode()
    def diffusers_loop(self, X):
        """Image to image as a pipeline of diffusers does it: 50 DDIM steps over the schedule, once for each row."""
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(DDIM_STEPS)
        steps = [int(t) for t in scheduler.timesteps if t <= self.timestep]
        for x in self.batches(X):
            x = scheduler.add_noise(x, torch.randn_like(x), torch.tensor(steps[:1], device=x.device))
            for t in steps:
                x = scheduler.step(self.eps(x, t), t, x).prev_sample
            self.classifier((x / 2 + 0.5).clamp(0, 1))
        return len(steps)


def _select(logits, interval):
    """Keep candidates with the original's label; take the first with phi in the interval, or the nearest to it."""
    proba = logits.softmax(dim=-1)
    label = proba[:, -1].argmax(dim=-1)
    confidence = proba.max(dim=-1).values
    phi = torch.log(confidence + 1e-45) - torch.log(1 - confidence + 1e-45)
    low, high = interval
    outside = torch.where((phi >= low) & (phi <= high), 0.0, (phi - (low + high) / 2).abs() + 1e-9)
    outside = outside.masked_fill(proba.argmax(dim=-1) != label[:, None], torch.inf)
    return proba[torch.arange(len(proba)), outside.argmin(dim=1)]


def compare(options):
    """Time all procedures and print what each costs."""
    net, regenerator, (X_known, y_known, is_member), X = prepare(options)
    device = torch.device(options.device)
    bare = Bare(net, regenerator, device, compiled=options.compile)
    regenerator.set_params(compile=options.compile)
    defended = {}
    for rule in RULES:
        shell = DefendedClassifier(FrozenEstimator(net), FrozenEstimator(regenerator), selection=rule, random_state=0)
        defended[rule] = shell.fit(X_known, y_known, is_member=is_member)
    interval = defended["matched"].interval_
    few = X[: options.paper_rows]
    works = {
        "UNet alone": (lambda: bare.unet_alone(X), len(X)),
        "classifier alone": (lambda: bare.classifier_alone(X), len(X)),
        **{rule: ((lambda rule=rule: defended[rule].predict_proba(X)), len(X)) for rule in RULES},
        "paper": (lambda: bare.paper(few, interval), len(few)),
        "diffusers loop": (lambda: bare.diffusers_loop(few), len(few)),
        "transform": (lambda: regenerator.transform(X), len(X)),
        "net.predict": (lambda: net.predict(X), len(X)),
        "predict": (lambda: defended["swap"].predict(X), len(X)),
    }
    times = interleaved(works, options.repeats, device)
    calls = {rule: float(defended[rule].select(X).n_regenerations.mean()) for rule in RULES}
    calls |= {"paper": 2.0 * N_CANDIDATES, "diffusers loop": bare.diffusers_loop(X[:1]), "transform": 1.0}
    report(options, times, calls, regenerator, bare)


def report(options, times, calls, regenerator, bare):
    """Print the table, the ratios and, for the paper's UNet, the arithmetic reached; write all as JSON."""
    print(
        f"{regenerator.n_parameters_:,} parameters, images of shape {regenerator.image_shape_}, batches of {bare.size}"
    )
    unet, classifier = (times[name] for name in ("UNet alone", "classifier alone"))
    rows, figures = [["procedure", "calls/row", "wall ms/row", "CPU ms/row", "limit", "x paper"]], {}
    for name, values in times.items():
        n = calls.get(name)
        line = [name, "-" if n is None else f"{n:.2f}", middle(values[:, 0]), middle(values[:, 1]), "-", "-"]
        if name in (*RULES, "transform"):
            limit = n * unet + (0 if name == "transform" else n + 1) * classifier
            line[4] = middle((limit / values)[:, 1], 2)
        if name in RULES:
            line[5] = middle((times["paper"] / values)[:, 1], 1)
        rows.append(line)
        figures[name] = {"calls": n, "wall_ms": values[:, 0], "cpu_ms": values[:, 1]}
    print_table(rows)
    print(f"\npredict / net.predict: {middle((times['predict'] / times['net.predict'])[:, 1], 2)}")
    print("limit: share of the speed that as many bare passes of both networks would allow, by CPU time")
    if options.paper_unet:
        print_arithmetic(regenerator, bare, times)
    save(options, "regeneration.json", figures=figures)


def print_arithmetic(regenerator, bare, times):
    """Print TFLOP/s of a bare forward and of our regenerations."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        row = torch.zeros(1, *regenerator.space_.shape, device=bare.device)
        regenerator.denoiser_(row, torch.zeros(1, device=bare.device))
    tera = counter.get_total_flops() / 1e12
    print(f"{1000 * tera:.2f} GFLOP a call")
    for name in ("UNet alone", "transform", "swap"):
        print(f"{name}: {tera / np.median(times[name][:, 0]) * 1e3:.3f} TFLOP/s")


def measure_memory(options):
    """Send rows of shape 3x32x32 through transform and print the peak of the process."""
    shape = (options.memory, 3, 32, 32)
    rng = np.random.default_rng(0)
    regenerator = DiffusionRegenerator(
        {"block_out_channels": (4, 4), "add_attention": False},
        max_epochs=1,
        value_range=(0, 1),
        device=options.device,
        random_state=0,
    ).fit(rng.random((64, *shape[1:]), dtype=np.float32))
    regenerator.transform(rng.random((64, *shape[1:]), dtype=np.float32))
    before = peak_bytes()
    X = rng.random(shape, dtype=np.float32)
    answer = regenerator.transform(X)
    both, peak = X.nbytes + answer.nbytes, peak_bytes()
    facts = {"before_mb": before / 1e6, "input_and_output_mb": both / 1e6, "peak_mb": peak / 1e6}
    print_table([["", "MB"], *([name, f"{value:.0f}"] for name, value in facts.items())])
    print(
        f"beyond input and output: {(peak - both) / 1e6:.0f} MB, of which {before / 1e6:.0f} before there was any input"
    )
    save(options, "memory.json", figures=facts)


def measure_sides(options):
    """Time transform beside bare forward passes for large images, with default networks of random weights."""
    rows, figures = [["side", "parameters", "rows", "procedure", "calls/row", "CPU ms/row", "peak MB"]], {}
    for side in options.sides:
        for name, n_calls in SIDE_WORKS.items():
            # A process of its own, because the peak of a process never falls.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                facts = pool.apply(time_side, (side, name, n_calls, options))
            figures[f"{name}, {side}"] = facts
            print(f"{name}, {side}: {facts}", flush=True)  # slow at large sides
            times = middle(np.array(facts["cpu_ms"]))
            rows.append([str(side), f"{facts['parameters']:,}", str(facts["rows"]), name, str(n_calls or 1), times])
            rows[-1].append(f"{facts['peak_mb']:.0f}")
    print_table(rows)
    print("peak: of the process beyond what it held before there was a network; fit calls it once, with two rows")
    save(options, "sides.json", figures=figures)


def time_side(side, name, n_calls, options):
    """Return CPU milliseconds a row of one kind of work on random color images, and the peak of the process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    before = peak_bytes()
    n = max(2, 2 * 64**2 // side**2) if options.side_rows is None else options.side_rows
    X = np.random.default_rng(0).random((n, 3, side, side), dtype=np.float32)
    network = make_unet((3, side, side))
    regenerator = DiffusionRegenerator(network, timestep=160, n_steps=n_calls or 1, value_range=(0, 1), device="cpu")
    regenerator.fit(X[:1])
    size = rows_per_batch(regenerator.denoiser_, regenerator.space_.shape, torch.device("cpu"))

    @torch.inference_mode()
    def bare():
        for x in torch.from_numpy(X).split(size):
            last = x.contiguous(memory_format=torch.channels_last)
            regenerator.denoiser_(last if name.endswith("last") else x, torch.full((len(x),), 160))

    work = (lambda: regenerator.transform(X)) if n_calls else bare
    times = interleaved({name: (work, n)}, options.repeats, torch.device("cpu"))[name]
    peak = (peak_bytes() - before) / 1e6
    return {"parameters": regenerator.n_parameters_, "rows": n, "cpu_ms": times[:, 1].tolist(), "peak_mb": peak}


def peak_bytes():
    """Return the most memory that this process has held so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    """Run what was asked for."""
    parser = make_parser(__doc__, seed=0)
    parser.add_argument("--data", help="folder, tar archive or .npz file of images; digits if not given")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", type=int, default=512, help="rows that are timed")
    parser.add_argument("--paper-rows", type=int, default=128, help="rows that the slow procedures are timed on")
    parser.add_argument("--public", type=int, default=700, help="rows that train the denoiser")
    parser.add_argument("--members", type=int, default=200, help="rows that train the classifier")
    parser.add_argument("--net-epochs", type=int, default=20, help="epochs of the classifier, with --data")
    parser.add_argument("--denoiser", help="folder of a trained denoiser")
    parser.add_argument("--denoiser-epochs", type=int, default=45)
    parser.add_argument("--timestep", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="compile the denoiser, for all procedures")
    parser.add_argument("--paper-unet", action="store_true", help="the paper's UNet with random weights")
    parser.add_argument("--memory", type=int, help="measure the peak memory of so many rows instead")
    parser.add_argument("--sides", type=int, nargs="+", help="time images of these sides instead")
    parser.add_argument("--side-rows", type=int, help="rows of each side; as many pixels each if not given")
    options = parser.parse_args()
    if options.sides:
        measure_sides(options)
    elif options.memory:
        measure_memory(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
