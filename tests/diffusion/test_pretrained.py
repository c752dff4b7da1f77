"""Pretrained denoisers: folders of diffusers, folders of ours, the hub, and damage."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from sklearn.base import clone

from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion._denoisers import make_unet
from skdiffence.utils._files import beside
from tests.diffusion.networks import ZeroNoise

X = np.random.default_rng(0).uniform(size=(10, 3, 8, 8)).astype(np.float32)


def _unet():
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    unet = make_unet((3, 8, 8), {"block_out_channels": (8, 16)})
    torch.set_rng_state(torch_state)
    return unet


def _load(folder, **params):
    return DiffusionRegenerator(folder, key="k", **params).fit(X)


@pytest.mark.parametrize("as_type", [str, lambda path: path])
def test_bare_unet(as_type, tmp_path):
    """A UNet2DModel folder denoises as the model does, with the schedule of the parameters."""
    unet = _unet()
    unet.save_pretrained(tmp_path / "unet")
    regenerator = _load(as_type(tmp_path / "unet"), n_train_timesteps=400)
    expected = DiffusionRegenerator(unet, key="k", n_train_timesteps=400).fit(X)
    np.testing.assert_array_equal(regenerator.transform(X), expected.transform(X))
    assert regenerator.max_timestep_ == 399 and regenerator.denoiser_saw_members_ is None


@pytest.mark.parametrize("scheduler_class", [DDPMScheduler, DDIMScheduler])
def test_pipeline_scheduler_is_used(scheduler_class, tmp_path):
    """A pipeline's betas, number of levels and prediction type take the place of the parameters."""
    scheduler = scheduler_class(300, beta_start=1e-3, beta_end=0.03, prediction_type="v_prediction")
    DDPMPipeline(_unet(), scheduler).save_pretrained(tmp_path / "pipeline")
    regenerator = _load(tmp_path / "pipeline", beta_schedule="squaredcos_cap_v2")
    assert torch.equal(regenerator.scheduler_.betas, scheduler.betas)
    assert regenerator.scheduler_.config.prediction_type == "v_prediction"
    with pytest.raises(ValueError, match="timestep must be below the 300 noise levels"):
        _load(tmp_path / "pipeline", timestep=300)


def test_images_round_trip(tmp_path, tiny_images, digits):
    """What save_pretrained writes, this class and diffusers load; the trained range comes along, the key does not."""
    tiny_images.save_pretrained(tmp_path / "deep" / "folder")
    again = DiffusionRegenerator(tmp_path / "deep" / "folder", random_state=1).fit(digits[0])
    again.key_ = tiny_images.key_
    np.testing.assert_array_equal(again.transform(digits[1]), tiny_images.transform(digits[1]))
    assert again.max_timestep_ == 160 and again.n_parameters_ == tiny_images.n_parameters_
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "deep" / "folder")
    assert isinstance(pipeline.unet, UNet2DModel) and pipeline.scheduler.config.num_train_timesteps == 1000
    written = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {".json", ".safetensors"}
    assert not any(tiny_images.key_ in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_rows_round_trip(tmp_path, tiny_rows, rows):
    """Rows come back with the standardization that the denoiser was trained in, whatever fit sees."""
    tiny_rows.save_pretrained(tmp_path / "folder")
    again = DiffusionRegenerator(str(tmp_path / "folder"), random_state=1).fit(rows[:1])
    again.key_ = tiny_rows.key_
    np.testing.assert_array_equal(again.transform(rows), tiny_rows.transform(rows))
    assert again.denoiser_saw_members_ is None
    with pytest.raises(ValueError, match="was trained on rows of 5 features. X has 4"):
        DiffusionRegenerator(str(tmp_path / "folder")).fit(rows[:, :4])


def test_above_trained_range(tmp_path, tiny_rows, rows):
    """A folder remembers which noise levels were trained."""
    tiny_rows.save_pretrained(tmp_path / "folder")
    with pytest.raises(ValueError, match="timestep=200 is above the trained range.*0 to 160"):
        DiffusionRegenerator(tmp_path / "folder", timestep=200).fit(rows)


def test_clone_of_pretrained_is_silent(tmp_path, tiny_rows, rows, recwarn):
    """A pretrained regenerator is cloned without a warning: nothing will be trained again."""
    tiny_rows.save_pretrained(tmp_path / "folder")
    clone(DiffusionRegenerator(tmp_path / "folder").fit(rows))
    assert not recwarn


def test_replaces_only_denoisers(tmp_path, tiny_rows, tiny_images):
    """An earlier denoiser is replaced as a whole; a folder of anything else is left alone."""
    folder = tmp_path / "folder"
    tiny_images.save_pretrained(folder)
    tiny_rows.save_pretrained(folder)
    assert not (folder / "unet").exists() and (folder / "config.json").exists()
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("text")
    with pytest.raises(FileExistsError, match="exists and is no denoiser"):
        tiny_rows.save_pretrained(other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "thesis"]


def test_load_after_a_killed_save(tmp_path, tiny_rows, rows):
    """The version that a killed save had moved away is found and loaded; once the path led nowhere."""
    folder = tmp_path / "den.v1"
    tiny_rows.save_pretrained(folder)
    folder.rename(beside(folder, "old"))
    assert DiffusionRegenerator(folder).fit(rows).n_parameters_ == tiny_rows.n_parameters_
    assert list(tmp_path.iterdir()) == [folder]


def test_failed_save_leaves_nothing(tmp_path):
    """A denoiser that has no such layout is an error that says what to do, and leaves no folder."""
    regenerator = DiffusionRegenerator(ZeroNoise()).fit(X)
    with pytest.raises(ValueError, match="joblib.dump"):
        regenerator.save_pretrained(tmp_path / "folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["missing", "./missing", "/no/such/folder"])
def test_missing_folder(name):
    """A folder that is not there is an error that names denoiser."""
    with pytest.raises(ValueError, match=r"denoiser='.*' is not a folder here"):
        _load(name)


def test_hub_switched_off(monkeypatch):
    """Without the hub a hub name is an error that says to download it and pass the folder."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"denoiser='owner/name-of-nothing'.*hub.*pass the folder"):
        _load("owner/name-of-nothing")


def test_hub_name_uses_the_same_loader(monkeypatch, tmp_path):
    """A hub name is downloaded, without pickled files, and read by the folder loader."""
    _unet().save_pretrained(tmp_path / "unet")
    asked = []

    def download(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(tmp_path / "unet")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert _load("owner/name").transform(X).shape == X.shape
    assert asked == [("owner/name", ["*.json"]), ("owner/name", ["*.safetensors"])]


@pytest.mark.parametrize("damage", [b"", b"not weights", "half"])
@pytest.mark.parametrize("kind", ["images", "rows"])
def test_corrupt_weights(damage, kind, tmp_path, tiny_rows, tiny_images, rows, digits):
    """A damaged weights file is an error that names denoiser."""
    regenerator, data = (tiny_images, digits[0]) if kind == "images" else (tiny_rows, rows)
    regenerator.save_pretrained(tmp_path / "folder")
    (weights,) = (tmp_path / "folder").rglob("*.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2] if damage == "half" else damage)
    with pytest.raises(ValueError, match="denoiser=.*damaged or incomplete"):
        DiffusionRegenerator(tmp_path / "folder").fit(data)


def test_missing_weights_of_a_layer(tmp_path):
    """Weights that lack a layer are an error, not a denoiser with random numbers in it."""
    from safetensors.torch import load_file, save_file

    _unet().save_pretrained(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    weights = load_file(path)
    del weights["conv_in.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="denoiser=.*damaged or incomplete"):
        _load(tmp_path)


def test_pickled_weights_are_refused(tmp_path):
    """Weights that only come pickled are refused by name."""
    unet = _unet()
    unet.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ValueError, match=r"no weights in safetensors form.*\.bin can run any code"):
        _load(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"_class_name": "AutoencoderKL"})])
def test_bad_config(content, tmp_path):
    """A config that is damaged or of another class is an error that names denoiser."""
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="denoiser="):
        _load(tmp_path)


def test_empty_folder(tmp_path):
    """A folder without a config is an error that says what is expected."""
    with pytest.raises(ValueError, match="no config.json, in it or in its folder unet"):
        _load(tmp_path)


def test_wrong_channels(tmp_path):
    """A denoiser of other channels than the images is an error."""
    _unet().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="denoiser=.* takes 3 channels.*have 2 channels"):
        DiffusionRegenerator(tmp_path).fit(X[:, :2])


def test_learned_variance_is_left_out(tmp_path):
    """A network that also gives a variance answers with its mean."""
    unet = UNet2DModel(**{**_unet().config, "out_channels": 6})
    assert DiffusionRegenerator(unet).fit(X).transform(X).shape == X.shape
