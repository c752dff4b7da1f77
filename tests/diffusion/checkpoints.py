"""The UNets of pytorch-ddpm and guided-diffusion as functions of their weights, written from their descriptions."""

import math

import torch
from torch.nn import functional

# --- pytorch-ddpm: section 1.2 of the paper's setting -------------------------------------------------


def ddpm_weights(width=32, multipliers=(1, 2, 2), n_blocks=2, attends=(1,), n_levels=60, seed=0):
    """Return random weights of a UNet of pytorch-ddpm, with its names."""
    generator, weights = None if seed is None else torch.Generator().manual_seed(seed), {}

    def layer(name, n_out, n_in, side=None):
        shape = (n_out, n_in) if side is None else (n_out, n_in, side, side)
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))
        weights[f"{name}.bias"] = 0.1 * torch.randn(n_out, generator=generator)

    def norm(name, n):
        weights[f"{name}.weight"] = 1 + 0.1 * torch.randn(n, generator=generator)
        weights[f"{name}.bias"] = 0.1 * torch.randn(n, generator=generator)

    def block(name, n_in, n_out, attend):
        norm(f"{name}.block1.0", n_in)
        layer(f"{name}.block1.2", n_out, n_in, 3)
        layer(f"{name}.temb_proj.1", n_out, 4 * width)
        norm(f"{name}.block2.0", n_out)
        layer(f"{name}.block2.3", n_out, n_out, 3)
        if n_in != n_out:
            layer(f"{name}.shortcut", n_out, n_in, 1)
        if attend:
            norm(f"{name}.attn.group_norm", n_out)
            for part in ("proj_q", "proj_k", "proj_v", "proj"):
                layer(f"{name}.attn.{part}", n_out, n_out, 1)

    angles = torch.arange(n_levels)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    table = torch.zeros(n_levels, width)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
    weights["time_embedding.timembedding.0.weight"] = table
    layer("time_embedding.timembedding.1", 4 * width, width)
    layer("time_embedding.timembedding.3", 4 * width, 4 * width)
    layer("head", width, 3, 3)
    kept, now, k = [width], width, 0
    for level, multiplier in enumerate(multipliers):
        for _ in range(n_blocks):
            block(f"downblocks.{k}", now, width * multiplier, level in attends)
            now, k = width * multiplier, k + 1
            kept.append(now)
        if level < len(multipliers) - 1:
            layer(f"downblocks.{k}.main", now, now, 3)
            k += 1
            kept.append(now)
    block("middleblocks.0", now, now, True)
    block("middleblocks.1", now, now, False)
    k = 0
    for level, multiplier in reversed(list(enumerate(multipliers))):
        for _ in range(n_blocks + 1):
            block(f"upblocks.{k}", now + kept.pop(), width * multiplier, level in attends)
            now, k = width * multiplier, k + 1
        if level:
            layer(f"upblocks.{k}.main", now, now, 3)
            k += 1
    norm("tail.0", now)
    layer("tail.2", 3, now, 3)
    return weights


def swish(x):
    """Return x sigmoid(x)."""
    return x * torch.sigmoid(x)


class Layers:
    """Layers by name, of a dictionary of weights."""

    def __init__(self, weights):
        self.weights = weights

    def norm(self, x, name):
        """Return x normalized in 32 groups."""
        n, c = x.shape[:2]
        groups = x.reshape(n, 32, -1)
        spread = groups.var(dim=2, unbiased=False, keepdim=True)
        x = ((groups - groups.mean(dim=2, keepdim=True)) / (spread + 1e-5).sqrt()).reshape(x.shape)
        ones = (1, c) + (1,) * (x.ndim - 2)
        return x * self.weights[f"{name}.weight"].reshape(ones) + self.weights[f"{name}.bias"].reshape(ones)

    def linear(self, x, name):
        """Return a linear layer of x."""
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def conv(self, x, name, stride=1):
        """Return a convolution of x that keeps its size, or halves it."""
        weight = self.weights[f"{name}.weight"]
        return functional.conv2d(x, weight, self.weights[f"{name}.bias"], stride, padding=weight.shape[-1] // 2)

    def __contains__(self, name):
        return f"{name}.weight" in self.weights


def ddpm_forward(weights, x, t):
    """Return the noise that the UNet of pytorch-ddpm predicts."""
    f = Layers(weights)
    time = f.linear(weights["time_embedding.timembedding.0.weight"][t], "time_embedding.timembedding.1")
    time = f.linear(swish(time), "time_embedding.timembedding.3")

    def block(x, name):
        h = f.conv(swish(f.norm(x, f"{name}.block1.0")), f"{name}.block1.2")
        h = h + f.linear(swish(time), f"{name}.temb_proj.1")[:, :, None, None]
        h = f.conv(swish(f.norm(h, f"{name}.block2.0")), f"{name}.block2.3")
        h = h + (f.conv(x, f"{name}.shortcut") if f"{name}.shortcut" in f else x)
        return attention(h, f"{name}.attn") if f"{name}.attn.proj_q" in f else h

    def attention(x, name):
        h = f.norm(x, f"{name}.group_norm")
        q, k, v = (f.conv(h, f"{name}.proj_{part}").flatten(2) for part in "qkv")
        shares = torch.softmax(torch.einsum("nci,ncj->nij", q, k) * x.shape[1] ** -0.5, dim=2)
        return x + f.conv(torch.einsum("nij,ncj->nci", shares, v).reshape(x.shape), f"{name}.proj")

    x = f.conv(x, "head")
    kept, k = [x], 0
    while f"downblocks.{k}.main" in f or f"downblocks.{k}.block1.2" in f:
        name = f"downblocks.{k}"
        x = f.conv(x, f"{name}.main", stride=2) if f"{name}.main" in f else block(x, name)
        kept.append(x)
        k += 1
    x, k = block(block(x, "middleblocks.0"), "middleblocks.1"), 0
    while f"upblocks.{k}.main" in f or f"upblocks.{k}.block1.2" in f:
        name = f"upblocks.{k}"
        if f"{name}.main" in f:
            x = f.conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), f"{name}.main")
        else:
            x = block(torch.cat([x, kept.pop()], dim=1), name)
        k += 1
    return f.conv(swish(f.norm(x, "tail.0")), "tail.2")


# --- guided-diffusion: residual blocks that resize, scale and shift, heads, learned variance -----------


def guided_weights(width=64, multipliers=(1, 1, 2), n_blocks=2, attends=(1, 2), resizing=True, shifting=True, seed=0):
    """Return random weights of a UNet of guided-diffusion, with its names."""
    generator, weights = None if seed is None else torch.Generator().manual_seed(seed), {}

    def layer(name, n_out, n_in, *sides):
        shape = (n_out, n_in, *sides)
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))
        weights[f"{name}.bias"] = 0.1 * torch.randn(n_out, generator=generator)

    def norm(name, n):
        weights[f"{name}.weight"] = 1 + 0.1 * torch.randn(n, generator=generator)
        weights[f"{name}.bias"] = 0.1 * torch.randn(n, generator=generator)

    def block(name, n_in, n_out):
        norm(f"{name}.in_layers.0", n_in)
        layer(f"{name}.in_layers.2", n_out, n_in, 3, 3)
        layer(f"{name}.emb_layers.1", n_out * (2 if shifting else 1), 4 * width)
        norm(f"{name}.out_layers.0", n_out)
        layer(f"{name}.out_layers.3", n_out, n_out, 3, 3)
        if n_in != n_out:
            layer(f"{name}.skip_connection", n_out, n_in, 1, 1)

    def attention(name, n):
        norm(f"{name}.norm", n)
        layer(f"{name}.qkv", 3 * n, n, 1)
        layer(f"{name}.proj_out", n, n, 1)

    layer("time_embed.0", 4 * width, width)
    layer("time_embed.2", 4 * width, 4 * width)
    layer("input_blocks.0.0", width, 3, 3, 3)
    kept, now, k = [width], width, 1
    for level, multiplier in enumerate(multipliers):
        for _ in range(n_blocks):
            block(f"input_blocks.{k}.0", now, width * multiplier)
            now = width * multiplier
            if level in attends:
                attention(f"input_blocks.{k}.1", now)
            kept.append(now)
            k += 1
        if level < len(multipliers) - 1:
            block(f"input_blocks.{k}.0", now, now) if resizing else layer(f"input_blocks.{k}.0.op", now, now, 3, 3)
            kept.append(now)
            k += 1
    block("middle_block.0", now, now)
    attention("middle_block.1", now)
    block("middle_block.2", now, now)
    k = 0
    for level, multiplier in reversed(list(enumerate(multipliers))):
        for i in range(n_blocks + 1):
            block(f"output_blocks.{k}.0", now + kept.pop(), width * multiplier)
            now, place = width * multiplier, 1
            if level in attends:
                attention(f"output_blocks.{k}.1", now)
                place = 2
            if level and i == n_blocks:
                name = f"output_blocks.{k}.{place}"
                block(name, now, now) if resizing else layer(f"{name}.conv", now, now, 3, 3)
            k += 1
    norm("out.0", now)
    layer("out.2", 6, now, 3, 3)
    return weights


def guided_forward(weights, x, t, head_channels=64):
    """Return the noise and the variance that the UNet of guided-diffusion predicts."""
    f = Layers(weights)
    width = weights["time_embed.0.weight"].shape[1]
    angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2))
    time = f.linear(swish(f.linear(torch.cat([angles.cos(), angles.sin()], dim=1), "time_embed.0")), "time_embed.2")

    def halved(x):
        return (x[..., 0::2, 0::2] + x[..., 1::2, 0::2] + x[..., 0::2, 1::2] + x[..., 1::2, 1::2]) / 4

    def doubled(x):
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    def block(x, name, resize=lambda x: x):
        h = f.conv(resize(swish(f.norm(x, f"{name}.in_layers.0"))), f"{name}.in_layers.2")
        x = resize(x)
        told = f.linear(swish(time), f"{name}.emb_layers.1")[:, :, None, None]
        if told.shape[1] == 2 * h.shape[1]:
            scale, offset = told[:, : h.shape[1]], told[:, h.shape[1] :]
            h = f.norm(h, f"{name}.out_layers.0") * (1 + scale) + offset
        else:
            h = f.norm(h + told, f"{name}.out_layers.0")
        h = f.conv(swish(h), f"{name}.out_layers.3")
        return h + (f.conv(x, f"{name}.skip_connection") if f"{name}.skip_connection" in f else x)

    def attention(x, name):
        n, c = x.shape[:2]
        flat = f.norm(x, f"{name}.norm").flatten(2)
        qkv = torch.einsum("oc,ncl->nol", weights[f"{name}.qkv.weight"][..., 0], flat)
        qkv = qkv + weights[f"{name}.qkv.bias"][:, None]
        heads = []
        for head in qkv.split(3 * head_channels, dim=1):  # query, key and value of one head after the other
            q, k, v = head.split(head_channels, dim=1)
            shares = torch.softmax(torch.einsum("nci,ncj->nij", q, k) / math.sqrt(head_channels), dim=2)
            heads.append(torch.einsum("nij,ncj->nci", shares, v))
        out = torch.einsum("oc,ncl->nol", weights[f"{name}.proj_out.weight"][..., 0], torch.cat(heads, dim=1))
        return x + (out + weights[f"{name}.proj_out.bias"][:, None]).reshape(n, c, *x.shape[2:])

    x = f.conv(x, "input_blocks.0.0")
    kept, k, since = [x], 1, 0
    n_inputs = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("input_blocks."))
    n_blocks = 2
    while k < n_inputs:
        name = f"input_blocks.{k}"
        if f"{name}.0.op" in f:
            x, since = f.conv(x, f"{name}.0.op", stride=2), 0
        elif since == n_blocks:
            x, since = block(x, f"{name}.0", halved), 0
        else:
            x, since = block(x, f"{name}.0"), since + 1
            x = attention(x, f"{name}.1") if f"{name}.1.qkv" in f else x
        kept.append(x)
        k += 1
    x = block(attention(block(x, "middle_block.0"), "middle_block.1"), "middle_block.2")
    for k in range(n_inputs):
        name = f"output_blocks.{k}"
        x = block(torch.cat([x, kept.pop()], dim=1), f"{name}.0")
        x = attention(x, f"{name}.1") if f"{name}.1.qkv" in f else x
        for place in (1, 2):
            if f"{name}.{place}.conv" in f:
                x = f.conv(doubled(x), f"{name}.{place}.conv")
            elif f"{name}.{place}.in_layers.2" in f:
                x = block(x, f"{name}.{place}", doubled)
    return f.conv(swish(f.norm(x, "out.0")), "out.2")
