"""Checkpoints of pytorch-ddpm and guided-diffusion as UNet2DModels: other names for the same layers."""

import math

import torch

_GROUPS = 32
# Of the parts of a residual block and of attention, in the names of UNet2DModel.
_DDPM_BLOCK = {
    "norm1": "block1.0",
    "conv1": "block1.2",
    "time_emb_proj": "temb_proj.1",
    "norm2": "block2.0",
    "conv2": "block2.3",
    "conv_shortcut": "shortcut",
}
_DDPM_ATTENTION = {"group_norm": "group_norm", "to_q": "proj_q", "to_k": "proj_k", "to_v": "proj_v", "to_out.0": "proj"}
_GUIDED_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_GUIDED_ATTENTION = {"group_norm": "norm", "to_out.0": "proj_out"}


class LayoutError(ValueError):
    """A checkpoint is not laid out as expected; the message says what is different."""


def read_checkpoint(path, part=None):
    """Return the weights of a network from a checkpoint file, without running any code that is in it.

    Parameters
    ----------
    path : str or path
        File that ``torch.save`` wrote.
    part : str or None, default=None
        Entry of the file that holds the weights. None takes "ema_model" (the averaged weights), then "net_model", then
        the file itself.

    Returns
    -------
    weights : dict of str to float32 tensor

    Raises
    ------
    LayoutError
        If the file is no checkpoint, holds anything but tensors and plain values, or has no such entry.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises errors of all kinds for files that are no checkpoints
        # torch's own message advises to unpickle what it refuses.
        why = "" if "weights_only" in str(error) else f": {str(error).partition(chr(10))[0]}"
        raise LayoutError(
            f"{path} is no checkpoint of tensors, or holds objects that could run code when loaded, and is refused "
            f"({type(error).__name__}{why})."
        ) from error
    if not isinstance(content, dict):
        raise LayoutError(f"{path} must hold a dictionary of weights. Got {type(content).__name__}.")
    parts = ("ema_model", "net_model") if part is None else (part,)
    found = next((content[name] for name in parts if isinstance(content.get(name), dict)), None)
    if found is None and part is not None:
        raise LayoutError(f"{path} has no weights {part!r}. It has {', '.join(map(str, list(content)[:8]))}.")
    weights = content if found is None else found
    weights = {str(name).removeprefix("module."): value for name, value in weights.items()}
    tensors = {name: value.float() for name, value in weights.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise LayoutError(f"{path} has no weights. It has {', '.join(map(str, list(content)[:8]))}.")
    return tensors


def convert(weights, *, head_channels=64):
    """Return the config and the weights of the UNet2DModel that a network of another project is.

    Parameters
    ----------
    weights : dict of str to tensor
        Of the UNet of pytorch-ddpm or of guided-diffusion.
    head_channels : int, default=64
        Channels of an attention head of guided-diffusion, which its weights do not tell.

    Returns
    -------
    config : dict
        Arguments of ``diffusers.UNet2DModel``.
    renamed : dict of str to tensor
        The weights by the names of UNet2DModel.
    n_levels : int or None
        Number of noise levels, if the weights tell.

    Raises
    ------
    LayoutError
        If the weights are laid out in another way, or need a class label.
    """
    try:
        if "head.weight" in weights and "tail.2.weight" in weights:
            return _convert_ddpm(_Weights(weights))
        if "input_blocks.0.0.weight" in weights:
            return _convert_guided(_Weights(weights), head_channels)
    except LayoutError:
        raise
    except (IndexError, RuntimeError, ValueError) as error:  # of names without numbers, and of weights of other shapes
        raise LayoutError(
            "the checkpoint has layers of other names or shapes than those of pytorch-ddpm and guided-diffusion: "
            f"{error}."
        ) from error
    raise LayoutError(
        "the checkpoint is of neither pytorch-ddpm (it has no head.weight) nor guided-diffusion (no "
        f"input_blocks.0.0.weight). It has {', '.join(list(weights)[:5])}."
    )


class _Weights(dict):
    """Weights by name, of which one that is missing is a fault of the checkpoint."""

    def __missing__(self, name):
        raise LayoutError(f"the checkpoint lacks {name}, which the layout of its other layers asks for.")


class _Renamed:
    """Takes layers by their old names and keeps them by their new ones, each once."""

    def __init__(self, weights):
        self.left, self.new = _Weights(weights), {}

    def __contains__(self, name):
        return f"{name}.weight" in self.left

    def take(self, new, old, change=lambda weight: weight):
        """Move one layer, its weight changed by a function."""
        self.new[f"{new}.weight"] = change(self.left[f"{old}.weight"])
        del self.left[f"{old}.weight"]
        if f"{old}.bias" in self.left:
            self.new[f"{new}.bias"] = self.left.pop(f"{old}.bias")

    def block(self, new, old, names):
        """Move a residual block, which may have no shortcut."""
        for ours, theirs in names.items():
            if ours != "conv_shortcut" or f"{old}.{theirs}" in self:
                self.take(f"{new}.{ours}", f"{old}.{theirs}")

    def attention(self, new, old, names):
        """Move attention, whose convolutions of one pixel are linear layers."""
        for ours, theirs in names.items():
            self.take(f"{new}.{ours}", f"{old}.{theirs}", lambda weight: weight.reshape(weight.shape[:2]))

    def finish(self):
        """Return the renamed weights, if none is left."""
        if self.left:
            raise LayoutError(f"the checkpoint has layers that UNet2DModel lacks: {', '.join(list(self.left)[:4])}.")
        return self.new


def _config(widths, n_blocks, attends, **more):
    down = more.pop("plain_down", "DownBlock2D")
    up = more.pop("plain_up", "UpBlock2D")
    return {
        "block_out_channels": tuple(widths),
        "layers_per_block": n_blocks,
        "down_block_types": tuple("AttnDownBlock2D" if attend else down for attend in attends),
        "up_block_types": tuple("AttnUpBlock2D" if attend else up for attend in reversed(attends)),
        "norm_num_groups": _GROUPS,
        "freq_shift": 0,
    } | more


def _n_items(weights, prefix):
    return 1 + max((int(name.split(".")[1]) for name in weights if name.startswith(f"{prefix}.")), default=-1)


def _convert_ddpm(weights):
    table = weights["time_embedding.timembedding.0.weight"]
    _check_table(table)
    layers = _Renamed(
        {name: value for name, value in weights.items() if name != "time_embedding.timembedding.0.weight"}
    )
    levels = _ddpm_levels(layers, _n_items(weights, "downblocks"))
    widths = [weights[f"downblocks.{level[0]}.block1.2.weight"].shape[0] for level in levels]
    attends = [f"downblocks.{level[0]}.attn.proj_q" in layers for level in levels]
    # Sines and cosines alternate there, and are halves of the embedding here.
    layers.take(
        "time_embedding.linear_1",
        "time_embedding.timembedding.1",
        lambda weight: torch.cat([weight[:, 0::2], weight[:, 1::2]], dim=1),
    )
    layers.take("time_embedding.linear_2", "time_embedding.timembedding.3")
    layers.take("conv_in", "head")
    for i, level in enumerate(levels):
        for j, k in enumerate(level):
            _ddpm_block(layers, f"down_blocks.{i}", j, f"downblocks.{k}", attends[i])
        if i < len(levels) - 1:
            layers.take(f"down_blocks.{i}.downsamplers.0.conv", f"downblocks.{level[-1] + 1}.main")
    _ddpm_block(layers, "mid_block", 0, "middleblocks.0", attends=True)
    _ddpm_block(layers, "mid_block", 1, "middleblocks.1", attends=False)
    k = 0
    for i, attend in enumerate(reversed(attends)):
        for j in range(len(levels[0]) + 1):
            _ddpm_block(layers, f"up_blocks.{i}", j, f"upblocks.{k + j}", attend)
        k += len(levels[0]) + 1
        if i < len(levels) - 1:
            layers.take(f"up_blocks.{i}.upsamplers.0.conv", f"upblocks.{k}.main")
            k += 1
    layers.take("conv_norm_out", "tail.0")
    layers.take("conv_out", "tail.2")
    channels = {"in_channels": weights["head.weight"].shape[1], "out_channels": weights["tail.2.weight"].shape[0]}
    config = _config(
        widths,
        len(levels[0]),
        attends,
        flip_sin_to_cos=False,
        attention_head_dim=None,
        downsample_padding=1,
        **channels,
    )
    return config, layers.finish(), len(table)


def _ddpm_block(layers, new, j, old, attends):
    layers.block(f"{new}.resnets.{j}", old, _DDPM_BLOCK)
    if attends:
        layers.attention(f"{new}.attentions.{j}", f"{old}.attn", _DDPM_ATTENTION)


def _ddpm_levels(layers, n_items):
    """Return the numbers of the residual blocks of each level, which end with a downsampling."""
    levels = [[]]
    for k in range(n_items):
        if f"downblocks.{k}.main" in layers:
            levels.append([])
        else:
            levels[-1].append(k)
    if not levels[0] or any(len(level) != len(levels[0]) for level in levels):
        raise LayoutError(
            f"the checkpoint has levels of {[len(level) for level in levels]} blocks. UNet2DModel has equal ones."
        )
    return levels


def _check_table(table):
    half = table.shape[1] // 2
    angles = torch.arange(len(table))[:, None] * torch.exp(-math.log(1e4) * torch.arange(half) / half)
    if table.shape[1] % 2 or not torch.allclose(
        torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1), table, atol=1e-3
    ):
        raise LayoutError("the checkpoint embeds timesteps by another table than that of sines and cosines.")


def _convert_guided(weights, head_channels):
    if "label_emb.weight" in weights:
        raise LayoutError(
            "the checkpoint is conditional on classes (it has label_emb.weight), and no label of guided-diffusion "
            "stands for no class. Take an unconditional one, such as 256x256_diffusion_uncond.pt."
        )
    layers = _Renamed(weights)
    n_items, by_convolution = _n_items(weights, "input_blocks"), any(".0.op." in name for name in weights)
    n_blocks = _guided_blocks(layers, n_items, by_convolution)
    starts = range(1, n_items, n_blocks + 1)
    if n_items % (n_blocks + 1):
        raise LayoutError(
            f"the checkpoint has {n_items} input blocks, which are no levels of {n_blocks} and a downsampling."
        )
    widths = [weights[f"input_blocks.{k}.0.out_layers.3.weight"].shape[0] for k in starts]
    attends = [f"input_blocks.{k}.1.qkv" in layers for k in starts]
    shifts = weights["input_blocks.1.0.emb_layers.1.weight"].shape[0] == 2 * widths[0]
    layers.take("time_embedding.linear_1", "time_embed.0")
    layers.take("time_embedding.linear_2", "time_embed.2")
    layers.take("conv_in", "input_blocks.0.0")
    for i, k in enumerate(starts):
        for j in range(n_blocks):
            _guided_block(layers, f"down_blocks.{i}", j, f"input_blocks.{k + j}", attends[i], head_channels)
        if i < len(widths) - 1:
            _guided_sampler(layers, f"down_blocks.{i}.downsamplers.0", f"input_blocks.{k + n_blocks}.0", "op")
    layers.block("mid_block.resnets.0", "middle_block.0", _GUIDED_BLOCK)
    _guided_attention(layers, "mid_block.attentions.0", "middle_block.1", head_channels)
    layers.block("mid_block.resnets.1", "middle_block.2", _GUIDED_BLOCK)
    for i, attend in enumerate(reversed(attends)):
        for j in range(n_blocks + 1):
            _guided_block(layers, f"up_blocks.{i}", j, f"output_blocks.{i * (n_blocks + 1) + j}", attend, head_channels)
        if i < len(widths) - 1:
            old = f"output_blocks.{(i + 1) * (n_blocks + 1) - 1}.{2 if attend else 1}"
            _guided_sampler(layers, f"up_blocks.{i}.upsamplers.0", old, "conv")
    layers.take("conv_norm_out", "out.0")
    layers.take("conv_out", "out.2")
    types = {} if by_convolution else {"plain_down": "ResnetDownsampleBlock2D", "plain_up": "ResnetUpsampleBlock2D"}
    kind = "conv" if by_convolution else "resnet"
    config = _config(
        widths,
        n_blocks,
        attends,
        flip_sin_to_cos=True,
        attention_head_dim=head_channels,
        attn_norm_num_groups=_GROUPS,
        resnet_time_scale_shift="scale_shift" if shifts else "default",
        downsample_type=kind,
        upsample_type=kind,
        in_channels=weights["input_blocks.0.0.weight"].shape[1],
        out_channels=weights["out.2.weight"].shape[0],
        **types,
    )
    return config, layers.finish(), None


def _guided_blocks(layers, n_items, by_convolution):
    """Return the number of residual blocks of a level, from where downsamplings or attention are."""
    if by_convolution:
        n_blocks = next((k for k in range(1, n_items) if f"input_blocks.{k}.0.op" in layers), 0) - 1
        if n_blocks < 1:
            raise LayoutError("the checkpoint has no residual block before the first of its downsamplings (.0.op).")
        return n_blocks
    # A residual block that shrinks images looks as any other, but has no attention behind it. The last level has none.
    n_blocks = 0
    while f"input_blocks.{n_items - 1 - n_blocks}.1.qkv" in layers:
        n_blocks += 1
    if not n_blocks:
        raise LayoutError("the checkpoint has no attention at its last level, so that its levels cannot be told apart.")
    return n_blocks


def _guided_block(layers, new, j, old, attends, head_channels):
    layers.block(f"{new}.resnets.{j}", f"{old}.0", _GUIDED_BLOCK)
    if attends:
        _guided_attention(layers, f"{new}.attentions.{j}", f"{old}.1", head_channels)


def _guided_sampler(layers, new, old, convolution):
    if f"{old}.{convolution}" in layers:
        layers.take(f"{new}.conv", f"{old}.{convolution}")
    else:
        layers.block(new, old, _GUIDED_BLOCK)


def _guided_attention(layers, new, old, head_channels):
    weight, bias = (layers.left.pop(f"{old}.qkv.{part}", None) for part in ("weight", "bias"))
    if weight is None or bias is None or weight.shape[0] % (3 * head_channels):
        raise LayoutError(
            f"the checkpoint has no {old}.qkv of heads of {head_channels} channels. Give --head-channels."
        )
    # For each head the rows of its query, key and value follow each other.
    parts = zip(
        *(part.reshape(-1, 3, head_channels, *part.shape[1:2]).unbind(1) for part in (weight, bias)), strict=True
    )
    for name, (matrix, offset) in zip(("to_q", "to_k", "to_v"), parts, strict=True):
        layers.new[f"{new}.{name}.weight"] = matrix.reshape(-1, weight.shape[1])
        layers.new[f"{new}.{name}.bias"] = offset.reshape(-1)
    layers.attention(new, old, _GUIDED_ATTENTION)
