"""Sizes of a run: a check of the code, a run for two cores, and the paper's own sizes for a GPU."""

from dataclasses import dataclass, replace

from paper.networks import quick_in_bfloat16

# The UNet of the paper (Ho et al.'s for CIFAR-10).
PAPER_UNET = {
    "block_out_channels": (128, 256, 256, 256),
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
}


@dataclass(frozen=True)
class Preset:
    """The sizes of a run.

    Parameters
    ----------
    meaningful : bool
        Whether conclusions may be drawn from it.
    calibration : int
        Rows of each side that rules and timesteps are chosen on. As many members again are kept beside these, because
        no defense calibrates on more than half of the members that it is given.
    known, scored : int
        Rows of each side that the attacker knows, and that are scored.
    reference : int
        Further non-members, for adversarial regularization alone.
    public : int
        Rows for the denoiser.
    network : {"small", "resnet18"}
        The targets' network.
    epochs, batch_size : int
        Of the targets.
    private_epochs : int
        Of DP-SGD, which needs its own.
    denoiser : dict
        Arguments of the regenerator that decide how the denoiser is made and trained.
    member_denoiser_epochs : int
        Passes over the members, for the second denoiser.
    n_candidates : int
        N.
    timesteps : tuple of int
        Of the curve, from which one is chosen on calibration rows.
    noise_timesteps : tuple of int
        Of the control that leaves the noise in.
    curve_candidates : int
        Candidates of a row in the curve.
    sub_models : tuple of int
        Sub-models of SELENA, and how many of them each row is kept from.
    n_shadows : int
        Shadow models of LiRA.
    lira_targets : tuple of str
        Targets that LiRA is run against; "all" for every one.
    floor_rows, asked_rows : int
        Scored rows of each side for label-only attacks, and for attacks that ask many times.
    recipe : {"adam", "one cycle"}, default="adam"
        How the targets are trained: with the paper's optimizer, or quickly, on flipped and shifted images.
    plain_share : float, default=0.25
        Share of the epochs, at the end, in which a quick training does not change images.
    further : int, default=0
        Members that only train.
    short_denoiser_epochs : int or None, default=None
        Passes over the public rows, for a denoiser of less training; None for none.
    """

    meaningful: bool
    calibration: int
    known: int
    scored: int
    reference: int
    public: int
    network: str
    epochs: int
    batch_size: int
    private_epochs: int
    denoiser: dict
    member_denoiser_epochs: int
    n_candidates: int
    timesteps: tuple
    noise_timesteps: tuple
    curve_candidates: int
    sub_models: tuple
    n_shadows: int
    lira_targets: tuple
    floor_rows: int
    asked_rows: int
    recipe: str = "adam"
    plain_share: float = 0.25
    further: int = 0
    short_denoiser_epochs: int | None = None

    @property
    def members(self):
        """Number of rows that train a target."""
        return 2 * self.calibration + self.known + self.scored + self.further

    @property
    def private(self):
        """Sizes of the parts that are not public."""
        return {
            "member_calibration": 2 * self.calibration,
            "member_known": self.known,
            "member_scored": self.scored,
            "other_calibration": self.calibration,
            "other_known": self.known,
            "other_scored": self.scored,
            "reference": self.reference,
            **({"member_further": self.further} if self.further else {}),
        }


_SMOKE = Preset(
    meaningful=False,
    calibration=50,
    known=50,
    scored=100,
    reference=100,
    public=500,
    network="small",
    epochs=6,
    batch_size=32,
    private_epochs=3,
    denoiser={"denoiser": {"block_out_channels": (16, 32)}, "max_epochs": 1, "batch_size": 64},
    member_denoiser_epochs=1,
    n_candidates=4,
    timesteps=(160,),
    noise_timesteps=(40,),
    curve_candidates=2,
    sub_models=(3, 1),
    n_shadows=4,
    lira_targets=("undefended",),
    floor_rows=10,
    asked_rows=8,
    further=40,
)
_CPU = replace(
    _SMOKE,
    meaningful=True,
    calibration=250,
    known=250,
    scored=2250,
    reference=500,
    public=40000,
    epochs=20,
    batch_size=64,
    private_epochs=15,
    denoiser={"denoiser": {"block_out_channels": (16, 32, 64)}, "max_epochs": 7, "batch_size": 16, "ema_decay": 0.998},
    member_denoiser_epochs=25,
    n_candidates=30,
    timesteps=(40, 80, 120, 160, 200, 240),
    noise_timesteps=(10, 20, 40, 80, 120, 160, 200, 240),
    curve_candidates=8,
    sub_models=(8, 3),
    n_shadows=16,
    floor_rows=500,
    asked_rows=250,
    further=0,
)
_PAPER = replace(
    _CPU,
    calibration=500,
    known=1500,
    scored=5000,
    further=17500,
    reference=1000,
    public=25000,
    recipe="one cycle",
    plain_share=0.5,
    epochs=16,
    batch_size=128,
    private_epochs=8,
    denoiser=_CPU.denoiser | {"max_epochs": 4, "precision": "bfloat16" if quick_in_bfloat16() else "float32"},
    short_denoiser_epochs=1,
    member_denoiser_epochs=4,
    n_candidates=10,
    timesteps=(40, 80, 120, 160, 200),
    noise_timesteps=(20, 40, 80),
    curve_candidates=4,
    sub_models=(5, 2),
    floor_rows=1000,
    asked_rows=250,
)
_GPU = replace(
    _CPU,
    calibration=1000,
    known=2500,
    scored=10000,
    reference=10000,
    public=15000,
    network="resnet18",
    epochs=100,
    batch_size=128,
    private_epochs=100,
    denoiser={
        "max_epochs": 400,
        "batch_size": 128,
        "lr": 2e-4,
        "ema_decay": 0.9999,
        "denoiser": PAPER_UNET | {"dropout": 0.1},
    },
    member_denoiser_epochs=400,
    timesteps=(*_CPU.timesteps, 300),
    noise_timesteps=(*_CPU.noise_timesteps, 300),
    curve_candidates=30,
    sub_models=(25, 10),
    n_shadows=64,
    lira_targets=("all",),
    floor_rows=10000,
    asked_rows=2500,
)
PRESETS = {"smoke": _SMOKE, "cpu": _CPU, "paper": _PAPER, "gpu": _GPU}
