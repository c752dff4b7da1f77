"""Checkpoints of pytorch-ddpm and guided-diffusion, converted and compared with independent forward passes."""

import pickle

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel

from skdiffence.__main__ import main
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion._checkpoints import convert
from tests.diffusion.checkpoints import ddpm_forward, ddpm_weights, guided_forward, guided_weights
from tests.diffusion.test_layouts import _noise

X16 = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def run(content, tmp_path, *options):
    """Save a checkpoint, convert it and return the folder."""
    torch.save(content, tmp_path / "ckpt.pt")
    assert main(["convert", str(tmp_path / "ckpt.pt"), str(tmp_path / "folder"), *options]) == 0
    return tmp_path / "folder"


def check_equal(folder, forward, t):
    unet = DDPMPipeline.from_pretrained(folder).unet.eval()
    with torch.no_grad():
        found, expected = unet(X16, t).sample, forward(X16, t)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"attends": ()},
        {"attends": (0, 2)},
        {"multipliers": (1, 2), "n_blocks": 1},
        {"multipliers": (1, 1, 3), "n_blocks": 3},
    ],
)
def test_pytorch_ddpm(shape, tmp_path):
    """The averaged weights as a UNet2DModel, whatever the levels, blocks and attention."""
    weights = ddpm_weights(**shape)
    content = {"net_model": ddpm_weights(**shape, seed=1), "ema_model": weights, "step": 7, "optim": {"state": {}}}
    folder = run(content, tmp_path, "--image-size", "16")
    check_equal(folder, lambda x, t: ddpm_forward(weights, x, t), torch.tensor([3, 59]))
    scheduler = DDPMPipeline.from_pretrained(folder).scheduler
    assert len(scheduler.betas) == 60 and scheduler.config.prediction_type == "epsilon"


def test_other_weights(tmp_path):
    """The weights that are not averaged, the names of DataParallel, and a file of nothing but weights."""
    first, second = ddpm_weights(multipliers=(1,), seed=1), ddpm_weights(multipliers=(1,), seed=2)
    t = torch.tensor([0, 30])
    folder = run({"net_model": first, "ema_model": second}, tmp_path, "--weights", "net_model", "--image-size", "16")
    check_equal(folder, lambda x, t: ddpm_forward(first, x, t), t)
    folder = run({f"module.{name}": weight for name, weight in second.items()}, tmp_path, "--image-size", "16")
    check_equal(folder, lambda x, t: ddpm_forward(second, x, t), t)


@pytest.mark.parametrize(("timestep", "n_steps"), [(40, 1), (160, 1), (160, 4)])
def test_regeneration_equals_the_formulas(timestep, n_steps, tmp_path):
    """Regeneration with a converted checkpoint is correct DDPM noising and DDIM, computed here from the betas on."""
    weights = ddpm_weights(n_levels=1000, multipliers=(1, 2))
    regenerator = DiffusionRegenerator(
        run({"ema_model": weights}, tmp_path, "--image-size", "16"),
        timestep=timestep,
        n_steps=n_steps,
        value_range=(0, 1),
        key="k",
    )
    X = np.random.default_rng(0).random((4, 3, 16, 16), dtype=np.float32)
    found = regenerator.fit(X).transform(X)
    abar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    x = (X.astype(np.float64) - 0.5) / 0.5
    x = np.sqrt(abar[timestep]) * x + np.sqrt(1 - abar[timestep]) * _noise(regenerator).numpy()
    for step in range(n_steps):
        c, u = (round(timestep * (n_steps - k) / n_steps) for k in (step, step + 1))
        with torch.no_grad():
            e = ddpm_forward(weights, torch.from_numpy(x).float(), torch.tensor([c] * 4)).double().numpy()
        clean = (x - np.sqrt(1 - abar[c]) * e) / np.sqrt(abar[c])
        x = np.sqrt(abar[u]) * clean + np.sqrt(1 - abar[u]) * e
    np.testing.assert_allclose(found, np.clip(clean * 0.5 + 0.5, 0, 1), atol=1e-5)


@pytest.mark.parametrize("shifting", [False, True])
@pytest.mark.parametrize("resizing", [False, True])
def test_guided_diffusion(resizing, shifting, tmp_path):
    """Heads one after the other, scale and shift, residual blocks that resize, and the variance after the mean."""
    weights = guided_weights(resizing=resizing, shifting=shifting)
    folder = run(weights, tmp_path, "--image-size", "16")
    check_equal(folder, lambda x, t: guided_forward(weights, x, t), torch.tensor([0, 777]))
    pipeline = DDPMPipeline.from_pretrained(folder)
    assert pipeline.scheduler.config.variance_type == "learned_range" and len(pipeline.scheduler.betas) == 1000
    X = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)
    assert DiffusionRegenerator(folder, timestep=40).fit(X).transform(X).shape == X.shape


def test_sizes_of_the_published_networks():
    """The paper's UNet has 35,746,307 weights; every layer of the 256x256 one of guided-diffusion has a place."""
    with torch.device("meta"):
        paper = ddpm_weights(128, (1, 2, 2, 2), n_levels=1000, seed=None)
        guided = guided_weights(256, (1, 1, 2, 2, 4, 4), attends=(3, 4, 5), seed=None)
    angles = torch.arange(1000)[:, None] / 10000 ** (torch.arange(0, 128, 2) / 128)
    paper["time_embedding.timembedding.0.weight"] = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
    for weights, n_parameters in ((paper, 35_746_307), (guided, sum(weight.numel() for weight in guided.values()))):
        config, renamed, _ = convert(weights)
        with torch.device("meta"):
            expected = UNet2DModel(**config).state_dict()
        assert {name: weight.shape for name, weight in renamed.items()} == {
            name: weight.shape for name, weight in expected.items()
        }
        assert sum(weight.numel() for weight in expected.values()) == n_parameters
    assert n_parameters > 550_000_000


def without(weights, name):
    return {key: value for key, value in weights.items() if key != name}


SMALL = {"multipliers": (1, 2), "n_blocks": 1}
BAD = {
    "class-conditional": ({**guided_weights(), "label_emb.weight": torch.zeros(10, 256)}, "conditional on classes"),
    "other layout": ({"conv1.weight": torch.zeros(3)}, "neither pytorch-ddpm"),
    "no weights": ({"step": 3}, "has no weights"),
    "no dictionary": ([torch.zeros(3)], "must hold a dictionary"),
    "a layer missing": (without(ddpm_weights(**SMALL), "downblocks.0.block2.3.weight"), "lacks downblocks.0.block2.3"),
    "a bias missing": (without(ddpm_weights(**SMALL), "head.bias"), "fits no UNet2DModel"),
    "first level of another width": (ddpm_weights(multipliers=(2, 1)), "fits no UNet2DModel"),
    "a layer too many": (
        {**ddpm_weights(**SMALL), "extra.weight": torch.zeros(3)},
        "layers that UNet2DModel lacks: extra",
    ),
    "another embedding": (
        {**ddpm_weights(**SMALL), "time_embedding.timembedding.0.weight": torch.ones(60, 32)},
        "embeds timesteps by another table",
    ),
    "attention of heads of another width": (guided_weights(32, (1, 1, 1)), "Give --head-channels"),
    "nothing but the ends of pytorch-ddpm": (
        {"head.weight": torch.zeros(8, 3, 3, 3), "tail.2.weight": torch.zeros(3, 8, 3, 3)},
        "lacks time_embedding.timembedding.0.weight",
    ),
    "no width of a level": (
        without(ddpm_weights(**SMALL), "downblocks.0.block1.2.weight"),
        "lacks downblocks.0.block1.2.weight",
    ),
    "embeddings of another shape": (
        {**ddpm_weights(**SMALL), "time_embedding.timembedding.0.weight": torch.ones(60)},
        "other names or shapes",
    ),
    "attention of another shape": (
        {**ddpm_weights(**SMALL), "middleblocks.0.attn.proj_q.weight": torch.ones(2, 2, 2, 2)},
        "other names or shapes",
    ),
    "blocks without numbers": ({**ddpm_weights(**SMALL), "downblocks.a.b": torch.ones(1)}, "other names or shapes"),
    "nothing but the first block": ({"input_blocks.0.0.weight": torch.zeros(8, 3, 3, 3)}, "levels cannot be told"),
    "no width of a level of guided-diffusion": (
        without(guided_weights(), "input_blocks.1.0.out_layers.3.weight"),
        "lacks input_blocks.1.0.out_layers.3.weight",
    ),
    "nothing but a downsampling": (
        {"input_blocks.0.0.weight": torch.zeros(8, 3, 3, 3), "input_blocks.1.0.op.weight": torch.zeros(8, 8, 3, 3)},
        "no residual block before",
    ),
    "a downsampling elsewhere": ({**guided_weights(), "middle_block.0.op.x": torch.ones(1)}, "the checkpoint"),
    "levels that cannot be told": (guided_weights(attends=()), "levels cannot be told apart"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case, tmp_path, capsys):
    """What is no such checkpoint ends with status 2 and one line, and writes nothing."""
    content, reason = BAD[case]
    torch.save(content, tmp_path / "ckpt.pt")
    assert main(["convert", str(tmp_path / "ckpt.pt"), str(tmp_path / "folder")]) == 2
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt.pt"]


class Harmful:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ["objects", "pickle", "text", "missing", "folder"])
def test_files_that_are_no_checkpoints(kind, tmp_path, capsys):
    """No code in a file is run, nor is it advised how; a file that is none is named."""
    path = tmp_path / "ckpt.pt"
    if kind == "objects":
        torch.save({"ema_model": ddpm_weights(**SMALL), "config": Harmful(str(tmp_path / "harm"))}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Harmful(str(tmp_path / "harm"))))
    elif kind == "text":
        path.write_text("text")
    elif kind == "folder":
        path.mkdir()
    assert main(["convert", str(path), str(tmp_path / "folder")]) == 2
    said = capsys.readouterr().err
    assert "ckpt.pt" in said
    assert "Re-running" not in said and "can still be loaded" not in said
    assert not (tmp_path / "harm").exists() and not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    "options", [("--n-levels", "100"), ("--beta-end", "5"), ("--beta-start", "nan"), ("--weights", "ema")]
)
def test_bad_options(options, tmp_path):
    """Options that contradict the file or make no schedule are refused."""
    torch.save({"ema_model": ddpm_weights(**SMALL)}, tmp_path / "ckpt.pt")
    assert main(["convert", str(tmp_path / "ckpt.pt"), str(tmp_path / "folder"), *options]) == 2
    assert not (tmp_path / "folder").exists()
