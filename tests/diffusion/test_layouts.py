"""Every layout of a denoiser that diffusers loads: loaded to equal answers, or refused before weights are read."""

import json
import shutil

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from safetensors.torch import load_file, save_file

from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.utils._random import torch_seed

X = np.random.default_rng(0).uniform(size=(4, 3, 16, 16)).astype(np.float32)
# The configurations of repositories on the hub, with fewer channels at a smaller size.
DDPM = {  # google/ddpm-cifar10-32
    "sample_size": 16,
    "block_out_channels": (8, 16, 16, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 8,
}
DDPM_256 = DDPM | {  # google/ddpm-celebahq-256, -cat-256, -church-256, -bedroom-256 and their ema variants
    "block_out_channels": (8, 8, 16, 16, 16, 16),
    "down_block_types": ("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
    "sample_size": 32,  # the side is halved five times
}
SMALL = {
    "sample_size": 16,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 8,
}
NCSNPP = SMALL | {  # google/ncsnpp-ffhq-256
    "time_embedding_type": "fourier",
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
    "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    "block_out_channels": (32, 32),
    "norm_num_groups": None,
}
SCORE = diffusers.ScoreSdeVeScheduler


def unet(config=SMALL, **given):
    with torch_seed(0):
        return UNet2DModel(**{**config, **given}).eval()


def save(folder, network=None, scheduler=None, **how):
    DDPMPipeline(network or unet(), scheduler or DDPMScheduler()).save_pretrained(folder, **how)
    return folder


def flatten(folder):
    """Move what is in sub-folders to the root, as google/ddpm-cifar10-32 keeps it."""
    for path in [*folder.glob("unet/*"), *folder.glob("scheduler/*")]:
        path.rename(folder / path.name)
    for name in ("unet", "scheduler"):
        (folder / name).rmdir()
    return folder


def change(path, **entries):
    """Change entries of a JSON file; those that are ... are removed."""
    content = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


def load(folder, X=X, **params):
    return DiffusionRegenerator(folder, timestep=10, key="k", **params).fit(X)


def check_equal(regenerator, network):
    """The loaded denoiser answers as the network of diffusers does, to 1e-5."""
    x, t = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 700])
    with torch.no_grad():
        expected = network.eval()(x, t).sample
        found = regenerator.denoiser_(x, t).sample
    assert expected.std() > 0.05  # not a comparison of zeros
    assert (found - expected).abs().max() < 1e-5


# --- loaded ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [DDPM, DDPM_256, SMALL], ids=["cifar10", "256", "small"])
@pytest.mark.parametrize("layout", ["root", "sub-folders", "no index", "root without index", "folder of the unet"])
def test_places(layout, config, tmp_path):
    """Files in the root or in sub-folders, with or without an index. Each time the scheduler is found as well."""
    folder = save(tmp_path / "pipeline", unet(config), DDPMScheduler(300, beta_end=0.03))
    expected = DDPMPipeline.from_pretrained(folder)
    if layout.startswith("root"):
        flatten(folder)
        check_equal_folder = DDPMPipeline.from_pretrained(folder)  # diffusers finds them, too
        assert check_equal_folder.scheduler.config.num_train_timesteps == 300
    if "index" in layout:
        (folder / "model_index.json").unlink()
    regenerator = load(folder / "unet" if layout == "folder of the unet" else folder)
    check_equal(regenerator, expected.unet)
    assert torch.equal(regenerator.scheduler_.betas, expected.scheduler.betas)


@pytest.mark.parametrize(
    "how", [{"variant": "fp16"}, {"max_shard_size": "20KB"}, {"variant": "fp16", "max_shard_size": "20KB"}]
)
@pytest.mark.parametrize("flat", [False, True])
def test_files_of_weights(how, flat, tmp_path):
    """Weights of a variant and in shards. Half precision is computed in single precision, as diffusers does."""
    network = unet(DDPM)
    network = network.half() if "variant" in how else network
    folder = save(tmp_path / "pipeline", network, **how)
    folder = flatten(folder) if flat else folder
    assert len(list(folder.rglob("*.safetensors"))) > ("max_shard_size" in how)
    check_equal(load(folder), network.float())


def test_variant_beside_the_weights(tmp_path):
    """Weights without a variant go first, whichever was written last."""
    network = unet()
    save(tmp_path / "p", network)
    other = unet()
    with torch.no_grad():
        other.conv_out.bias += 1
    other.half().save_pretrained(tmp_path / "p" / "unet", variant="fp16")
    check_equal(load(tmp_path / "p"), network)


def test_deprecated_names_of_attention(tmp_path):
    """Weights of attention by the names of 2022 (google/ddpm-*), which diffusers converts when it loads them."""
    network = unet(DDPM)
    folder = flatten(save(tmp_path / "p", network))
    path = folder / "diffusion_pytorch_model.safetensors"
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = load_file(path)
    for new, old in names.items():
        weights = {name.replace(f".{new}.", f".{old}."): weight for name, weight in weights.items()}
    assert any(".query." in name for name in weights)
    save_file(weights, path, metadata={"format": "pt"})
    check_equal(load(folder), network)


SAME_BETAS = [
    "DDIMScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LMSDiscreteScheduler",
    "KDPM2DiscreteScheduler",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by some of their constructors
@pytest.mark.parametrize("name", SAME_BETAS)
@pytest.mark.parametrize(
    "given", [{}, {"num_train_timesteps": 200, "beta_schedule": "scaled_linear", "beta_end": 0.03}]
)
def test_scheduler_classes(name, given, tmp_path):
    """Schedulers of other classes have betas of their own defaults: Heun's do not start where DDPM's do."""
    scheduler = getattr(diffusers, name)(**given)
    save(tmp_path / "p")
    shutil.rmtree(tmp_path / "p" / "scheduler")
    scheduler.save_pretrained(tmp_path / "p" / "scheduler")
    change(tmp_path / "p" / "model_index.json", scheduler=["diffusers", name])
    path = tmp_path / "p" / "scheduler" / "scheduler_config.json"
    left_out = [entry for entry in json.loads(path.read_text()) if entry.startswith("beta_") and entry not in given]
    change(path, **dict.fromkeys(left_out, ...))
    found = load(tmp_path / "p").scheduler_
    assert isinstance(found, DDPMScheduler) and torch.equal(found.betas, scheduler.betas)
    assert found.config.prediction_type == "epsilon"


def test_old_scheduler_names(tmp_path):
    """The class and the entries of the first diffusers: "timesteps" was left out in silence, with 1,000 levels."""
    folder = flatten(save(tmp_path / "p"))
    old = {"_class_name": "GaussianDDPMScheduler", "num_train_timesteps": ..., "timesteps": 77, "clip_sample": ...}
    change(
        folder / "scheduler_config.json", **old, prediction_type=..., predict_epsilon=False, clip_predicted_image=False
    )
    found = load(folder).scheduler_.config
    assert (found.num_train_timesteps, found.prediction_type, found.clip_sample) == (77, "sample", False)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("n_steps", [1, 4])
@pytest.mark.parametrize("clips", [False, True])
def test_steps_equal_those_of_diffusers(prediction_type, n_steps, clips, tmp_path):
    """x0-hat after so many steps is that of diffusers' DDIM, which clips between steps if the scheduler says so."""
    folder = save(tmp_path / "p", None, DDPMScheduler(prediction_type=prediction_type, clip_sample=clips, beta_end=0.2))
    regenerator = DiffusionRegenerator(folder, timestep=160, n_steps=n_steps, value_range=(0, 1), key="k").fit(X)
    network = DDPMPipeline.from_pretrained(folder).unet.eval()
    theirs = DDIMScheduler.from_config(regenerator.scheduler_.config, set_alpha_to_one=True)
    steps = [round(160 * (n_steps - k) / n_steps) for k in range(n_steps)]
    theirs.num_inference_steps, theirs.timesteps = n_steps, torch.tensor(steps)
    x = 2 * torch.from_numpy(X) - 1
    noise = _noise(regenerator)
    noisy = theirs.add_noise(x, noise, torch.tensor([160]))
    with torch.no_grad():
        for step, following in zip(steps, [*steps[1:], -1], strict=True):
            theirs.config.num_train_timesteps, theirs.num_inference_steps = step - following, 1  # one step down to it
            noisy = theirs.step(network(noisy, torch.tensor([step] * len(x))).sample, step, noisy).prev_sample
    expected = (noisy.clamp(-1, 1) + 1) / 2
    np.testing.assert_allclose(regenerator.transform(X), expected.numpy(), atol=1e-5)


def _noise(regenerator):
    from skdiffence.diffusion._noise import Noise

    make = Noise("shared", regenerator.key_, None, np.zeros(len(X), dtype=np.int64), X.shape[1:], torch.device("cpu"))
    return make(slice(None))


def test_learned_variance(tmp_path):
    """A network of twice the channels (guided-diffusion, improved DDPM) answers with the first half, the mean."""
    network = unet(DDPM, out_channels=6)
    folder = save(tmp_path / "p", network, DDPMScheduler(variance_type="learned_range"))
    regenerator = load(folder)
    x, t = torch.rand(2, 3, 16, 16), torch.tensor([10, 10])
    with torch.no_grad():
        mean = network(x, t).sample[:, :3]
        from skdiffence.diffusion._denoisers import call_network

        assert (call_network(regenerator.denoiser_, x, t, 3) - mean).abs().max() < 1e-5
    assert regenerator.transform(X).shape == X.shape


def test_trained_betas_and_zero_terminal_snr(tmp_path):
    """Betas given one by one are used as they are; with zero terminal SNR the last level has no signal."""
    betas = np.linspace(1e-3, 0.05, 60).tolist()
    found = load(save(tmp_path / "a", None, DDPMScheduler(60, trained_betas=betas)))
    np.testing.assert_allclose(found.scheduler_.betas, betas, rtol=1e-6)
    folder = save(tmp_path / "b", None, DDPMScheduler(100, rescale_betas_zero_snr=True, prediction_type="v_prediction"))
    assert torch.equal(load(folder).scheduler_.betas, DDPMScheduler(100, rescale_betas_zero_snr=True).betas)
    with pytest.raises(ValueError, match="timestep=99 leaves no signal"):
        DiffusionRegenerator(folder, timestep=99).fit(X)


@pytest.mark.parametrize("as_module", [False, True])
def test_class_conditional(as_module, tmp_path):
    """A network of classes is called with its unconditional label, exactly; without one it is refused."""
    network = unet(num_class_embeds=11)
    denoiser = network if as_module else save(tmp_path / "p", network)
    with pytest.raises(ValueError, match="is conditional on 11 class labels.*give it as class_label"):
        load(denoiser)
    with pytest.raises(ValueError, match="has class labels 0 to 10. Got class_label=11"):
        load(denoiser, class_label=11)
    regenerator = load(denoiser, class_label=10)
    x, t = torch.rand(2, 3, 16, 16), torch.tensor([10, 600])
    with torch.no_grad():
        expected = network(x, t, class_labels=torch.tensor([10, 10])).sample
        assert (regenerator.denoiser_(x, t).sample - expected).abs().max() < 1e-5
    regenerator.save_pretrained(tmp_path / "again")  # it no longer needs a label
    np.testing.assert_allclose(load(tmp_path / "again").transform(X), regenerator.transform(X), atol=1e-5)


def test_learned_time_embedding(tmp_path):
    """A learned embedding of timesteps ends where its table does."""
    network = unet(time_embedding_type="learned", num_train_timesteps=50)
    check = load(save(tmp_path / "p", network, DDPMScheduler(1000)))
    assert check.max_timestep_ == 49


def test_loading_changes_no_generator(tmp_path, untouched_generators):
    """Weights are drawn before they are read; that must not advance torch's generator."""
    folder = save(tmp_path / "p")
    with_state = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), with_state)


# --- refused, before any weight is read --------------------------------------------------------------


@pytest.fixture
def no_weights_read(monkeypatch):
    """Make reading weights fail the test."""

    def fail(*args, **kwargs):
        pytest.fail("weights were read")

    monkeypatch.setattr(UNet2DModel, "from_pretrained", fail)
    monkeypatch.setattr("safetensors.torch.load_file", fail)
    monkeypatch.setattr("skdiffence.diffusion._loading.load_file", fail)


def with_part(folder, name, model, class_name=None):
    """Add a part to a pipeline."""
    model.save_pretrained(folder / name)
    change(folder / "model_index.json", **{name: ["diffusers", class_name or type(model).__name__]})
    return folder


def vq():
    return VQModel(block_out_channels=(8,), norm_num_groups=8)


def with_scheduler(folder, name, **entries):
    change(folder / "model_index.json", scheduler=["diffusers", name])
    change(folder / "scheduler" / "scheduler_config.json", _class_name=name, **entries)
    return folder


def conditional_unet():
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
        norm_num_groups=8, cross_attention_dim=8, mid_block_type=None,
    )  # fmt: skip


def pickled(folder):
    for path in (folder / "unet").glob("*.safetensors"):
        path.rename(path.with_name("diffusion_pytorch_model.bin"))
    return folder


def without_a_shard(folder):
    unet().save_pretrained(folder / "unet", max_shard_size="20KB")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    next((folder / "unet").glob("*-00002-of-*")).unlink()
    return folder


def in_unet_config(**entries):
    def edit(folder):
        change(folder / "unet" / "config.json", **entries)
        return folder

    return edit


def without_index(folder):
    vq().save_pretrained(folder / "vqvae")
    (folder / "model_index.json").unlink()
    return folder


def unet_of_a_latent_model(folder):
    with_part(folder, "vqvae", vq())
    return folder / "unet"


REFUSED = {
    "latent, VQ (CompVis/ldm-celebahq-256)": (lambda f: with_part(f, "vqvae", vq()), "latent model.*'vqvae' encodes"),
    "latent, KL": (
        lambda f: with_part(f, "vae", AutoencoderKL(block_out_channels=(8,), norm_num_groups=8)),
        "latent model.*'vae' encodes",
    ),
    "latent, without index": (without_index, "latent model"),
    "latent, its unet alone": (unet_of_a_latent_model, "latent model"),
    "other parts": (lambda f: with_part(f, "super_resolution", vq()), "pipeline with super_resolution beside"),
    "text (stable diffusion)": (lambda f: with_part(f, "unet", conditional_unet()), "conditioned on text"),
    "transformer": (in_unet_config(_class_name="DiTTransformer2DModel"), "it is a transformer"),
    "first diffusers": (in_unet_config(_class_name="UNetUnconditionalModel"), "first version of diffusers"),
    "no class": (in_unet_config(_class_name=...), "holds a None, not a UNet2DModel"),
    "score-SDE (google/ncsnpp-*)": (lambda f: with_scheduler(f, "ScoreSdeVeScheduler"), "score-based.*no betas"),
    "NCSN++ by its network": (lambda f: with_part(f, "unet", unet(NCSNPP)), "'fourier'.*score-based"),
    "Karras VE": (lambda f: with_scheduler(f, "KarrasVeScheduler"), "score-based"),
    "consistency": (lambda f: with_scheduler(f, "CMStochasticIterativeScheduler"), "consistency model"),
    "latent consistency": (lambda f: with_scheduler(f, "LCMScheduler"), "consistency model"),
    "TCD": (lambda f: with_scheduler(f, "TCDScheduler"), "consistency model"),
    "EDM, Euler": (lambda f: with_scheduler(f, "EDMEulerScheduler"), "EDM, which scales"),
    "EDM, DPM": (lambda f: with_scheduler(f, "EDMDPMSolverMultistepScheduler"), "EDM, which scales"),
    "EDM by its timesteps": (
        lambda f: with_scheduler(f, "EulerDiscreteScheduler", timestep_type="continuous"),
        "timestep_type='continuous'.*EDM",
    ),
    "flow matching": (lambda f: with_scheduler(f, "FlowMatchEulerDiscreteScheduler"), "flow matching"),
    "flow sigmas": (
        lambda f: with_scheduler(f, "DPMSolverMultistepScheduler", use_flow_sigmas=True),
        "flow matching",
    ),
    "flow prediction": (
        lambda f: with_scheduler(f, "UniPCMultistepScheduler", prediction_type="flow_prediction"),
        "prediction_type='flow_prediction'",
    ),
    "IPNDM, of no betas": (lambda f: with_scheduler(f, "IPNDMScheduler"), "IPNDMScheduler"),
    "unknown scheduler": (lambda f: with_scheduler(f, "MyScheduler"), "has a MyScheduler"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler") or f, "no scheduler_config.json"),
    "class-conditional": (in_unet_config(num_class_embeds=10), "conditional on 10 class labels"),
    "conditional on a number": (in_unet_config(class_embed_type="timestep"), "class_embed_type is 'timestep'"),
    "conditional on a vector": (in_unet_config(class_embed_type="identity"), "class_embed_type is 'identity'"),
    "inpainting channels": (in_unet_config(in_channels=6), "takes 6 channels and gives 3"),
    "pickled": (pickled, "no weights in safetensors form.*can run any code"),
    "part of the shards": (without_a_shard, "lacks 1 files of its weights"),
    "beta_end=5": (lambda f: with_scheduler(f, "DDPMScheduler", beta_end=5), "betas are no noise schedule.*beta_end"),
    "beta NaN": (lambda f: with_scheduler(f, "DDPMScheduler", beta_start=float("nan")), "no noise schedule"),
    "beta negative": (lambda f: with_scheduler(f, "DDIMScheduler", beta_start=-0.1), "no noise schedule"),
    "beta null": (lambda f: with_scheduler(f, "DDPMScheduler", beta_start=None), "makes no DDPMScheduler"),
    "betas of 0": (lambda f: with_scheduler(f, "DDPMScheduler", beta_start=0, beta_end=0), "no noise schedule"),
    "no levels": (lambda f: with_scheduler(f, "DDPMScheduler", num_train_timesteps=0), "no noise schedule"),
    "betas of text": (lambda f: with_scheduler(f, "DDPMScheduler", trained_betas=["a"]), "makes no DDPMScheduler"),
    "unknown schedule": (lambda f: with_scheduler(f, "DDPMScheduler", beta_schedule="?"), "makes no DDPMScheduler"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, tmp_path, no_weights_read):
    """What would be silently wrong is refused by name, with the folder, before a weight is read."""
    make, reason = REFUSED[case]
    folder = make(save(tmp_path / "pipeline"))
    with pytest.raises(ValueError, match=rf"(?s)denoiser='{folder}' .*{reason}"):
        load(folder)


def test_file_is_refused(tmp_path):
    """A checkpoint file is an error that names the command that converts it."""
    (tmp_path / "ckpt.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="is a file, not a folder.*skdiffence convert"):
        load(tmp_path / "ckpt.pt")


# --- damaged, or for other data ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_weights_that_are_no_numbers(value, tmp_path):
    """NaN, infinite or overflowing weights load without a word in diffusers, and answered NaN."""
    network = unet()
    with torch.no_grad():
        network.conv_in.weight.view(-1)[3] = value
    folder = save(tmp_path / "p", network)
    with pytest.raises(ValueError, match=f"denoiser='{folder}'.*(NaN or infinite)"):
        load(folder)
    with pytest.raises(ValueError, match="NaN or infinite"):
        load(network)


NOTES = {
    "n_levels missing": {"n_levels": ...},
    "n_levels null": {"n_levels": None},
    "n_levels 0": {"n_levels": 0},
    "n_levels negative": {"n_levels": -3},
    "n_levels text": {"n_levels": "161"},
    "n_levels too many": {"n_levels": 4000},
    "mean missing": {"mean": ...},
    "mean null": {"mean": None},
    "mean short": {"mean": [0.0, 1.0]},
    "mean with null": {"mean": [0.0, None, 0.0, 0.0, 0.0]},
    "mean NaN": {"mean": [float("nan")] * 5},
    "mean a number": {"mean": 3.0},
    "scale missing": {"scale": ...},
    "scale negative": {"scale": [1.0, -1.0, 1.0, 0.0, 1.0]},
    "scale of zeros": {"scale": [0.0] * 5},
    "scale of other zeros": {"scale": [1.0, 1.0, 1.0, 1.0, 1.0]},
    "scale infinite": {"scale": [1.0, float("inf"), 1.0, 0.0, 1.0]},
    "scale text": {"scale": ["1", "1", "1", "0", "1"]},
}


@pytest.mark.parametrize("case", NOTES)
def test_damaged_notes_of_rows(case, tmp_path, tiny_rows, rows):
    """A regenerator.json that lacks entries or holds no numbers standardized rows by something else, or by NaN."""
    tiny_rows.save_pretrained(tmp_path / "folder")
    change(tmp_path / "folder" / "regenerator.json", **NOTES[case])
    with pytest.raises(ValueError, match=f"denoiser='{tmp_path / 'folder'}'.*regenerator.json"):
        DiffusionRegenerator(tmp_path / "folder").fit(rows)


@pytest.mark.parametrize(
    "entries", [{"n_levels": None}, {"image_size": [8]}, {"image_size": ["8", 8]}, {"mean": [1.0]}]
)
def test_damaged_notes_of_images(entries, tmp_path, tiny_images, digits):
    """The same for images."""
    tiny_images.save_pretrained(tmp_path / "folder")
    change(tmp_path / "folder" / "regenerator.json", **entries)
    with pytest.raises(ValueError, match=r"denoiser='.*regenerator.json"):
        DiffusionRegenerator(tmp_path / "folder").fit(digits[0])


def test_rows_without_notes(tmp_path, tiny_rows, rows):
    """A denoiser of rows without its notes was used with the standardization of whatever rows came."""
    tiny_rows.save_pretrained(tmp_path / "folder")
    (tmp_path / "folder" / "regenerator.json").unlink()
    with pytest.raises(ValueError, match="denoiser='.*regenerator.json"):
        DiffusionRegenerator(tmp_path / "folder").fit(rows)


def test_rows_and_images_exchanged(tmp_path, tiny_rows, tiny_images, rows, digits, no_weights_read):
    """A folder for rows given images, and the reverse, is named; so is a module."""
    tiny_rows.save_pretrained(tmp_path / "rows")
    tiny_images.save_pretrained(tmp_path / "images")
    with pytest.raises(ValueError, match="rows' is a denoiser of rows of 5 features, but X has images"):
        DiffusionRegenerator(tmp_path / "rows").fit(digits[0])
    with pytest.raises(ValueError, match=r"images' is a denoiser of images, but X has rows"):
        DiffusionRegenerator(tmp_path / "images").fit(rows)
    with pytest.raises(ValueError, match="denoiser is a UNet2DModel, for images"):
        DiffusionRegenerator(unet()).fit(rows)
    with pytest.raises(ValueError, match="denoiser can't be called with inputs of shape"):
        DiffusionRegenerator(tiny_rows.denoiser_).fit(digits[0])
