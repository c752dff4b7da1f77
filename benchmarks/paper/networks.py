"""The targets' networks: ResNet-18 for small images, narrow ResNets for a CPU, and how these are trained quickly."""

import torch
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional

from skdiffence._demo._engine import computes_bfloat16, resolve_device


def quick_in_bfloat16():
    """Return whether the device of the targets is quicker in bfloat16: GPUs that have it, and processors with AMX.

    A processor that has it for vectors alone was slower in it, in training and in regeneration.
    """
    device = resolve_device("auto")
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return computes_bfloat16(device)


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(n_out)
        self.second = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(n_out)
        same = n_in == n_out and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        )

    def forward(self, x):
        """Return features of shape (n, n_out, height / stride, width / stride)."""
        hidden = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(hidden)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network for images of about 32x32.

    Parameters
    ----------
    widths : tuple of int
        Channels of each stage; each but the first halves the sides.
    blocks : int
        Blocks in a stage.
    stem_stride : int
        2 halves the image at once, which makes the network four times as cheap.
    stem_size : int, default=3
        Side of the filters of the first convolution.
    n_channels, n_classes : int
        Of the images and the answer.
    """

    def __init__(self, widths, blocks, stem_stride=1, stem_size=3, n_channels=3, n_classes=10):
        super().__init__()
        padding = (stem_size - 1) // 2
        self.stem = nn.Conv2d(n_channels, widths[0], stem_size, stem_stride, padding, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        stages, n_in = [], widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stages.append(Block(n_in, width, 2 if stage and not block else 1))
                n_in = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(n_in, n_classes)

    def forward(self, x):
        """Return logits."""
        features = self.stages(functional.relu(self.stem_norm(self.stem(x))))
        return self.head(features.mean(dim=(2, 3)))


class QuickResNet(ResNet):
    """A ResNet that augments images while it is trained, with channels last and, where that is quicker, in bfloat16.

    Answers are given in float32, and so is the last layer in training.

    Parameters
    ----------
    augmented : bool
        Whether training flips images at random, and shifts them by up to four pixels. It may be changed between epochs.
    bfloat16 : bool or None, default=None
        Whether the blocks are trained in bfloat16; None where the machine computes in it.
    **shape : dict
        Of the ResNet.
    """

    def __init__(self, augmented=True, bfloat16=None, **shape):
        super().__init__(**shape)
        self.augmented, self.bfloat16 = augmented, quick_in_bfloat16() if bfloat16 is None else bfloat16

    def forward(self, x):
        """Return logits."""
        if self.training and self.augmented:
            x = flipped_and_shifted(x)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.training and self.bfloat16):
            features = self.stages(functional.relu(self.stem_norm(self.stem(x))))
        return self.head(features.float().mean(dim=(2, 3)))


def flipped_and_shifted(x, most=4):
    """Return images of which each is flipped with probability 1/2 and cut out of its padded self at a random place."""
    n, _, height, width = x.shape
    x = torch.where(torch.rand(n, 1, 1, 1) < 0.5, x.flip(3), x)
    padded = functional.pad(x, (most,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * most + 1, (2, n, 1))
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    return padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class OneCycle(Callback):
    """Warm the learning rate up and cool it down, whatever the number of rows, and stop augmenting before the end.

    Parameters
    ----------
    highest : float
        The highest learning rate.
    plain_share : float
        Share of the epochs, at the end, in which images are not augmented.
    """

    def __init__(self, highest, plain_share=0.0):
        self.highest, self.plain_share = highest, plain_share

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        """Make the schedule, in the first epoch, and stop augmenting, if it is time."""
        epoch = len(net.history)
        if epoch == 1:
            steps = net.max_epochs * -(-len(dataset_train) // net.batch_size)
            self.schedule_ = torch.optim.lr_scheduler.OneCycleLR(net.optimizer_, self.highest, total_steps=steps + 1)
        net.module_.augmented = epoch <= round(net.max_epochs * (1 - self.plain_share))

    def on_batch_end(self, net, training=False, **kwargs):
        """Go on to the next learning rate."""
        if training:
            self.schedule_.step()

    def on_train_end(self, net, **kwargs):
        """Forget the schedule, which holds the optimizer."""
        del self.schedule_


# Widths, blocks and the stride of the stem.
SHAPES = {
    "small": {"widths": (32, 64, 128), "blocks": 1, "stem_stride": 2},
    "lean": {"widths": (64, 128), "blocks": 1, "stem_stride": 4, "stem_size": 6},
    "wide": {"widths": (64, 128, 256), "blocks": 1, "stem_stride": 2},
    "resnet18": {"widths": (64, 128, 256, 512), "blocks": 2},
}


def quick_training(shape, epochs, plain_share, batch_size=64, highest=0.1):
    """Return the arguments of a skorch classifier, but for numbers of channels and classes, that is trained quickly."""
    return {
        **{f"module__{name}": value for name, value in SHAPES[shape].items()},
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "optimizer__nesterov": True,
        "optimizer__weight_decay": 5e-4,
        "lr": highest,
        "max_epochs": epochs,
        "batch_size": batch_size,
        "callbacks": [("schedule", OneCycle(highest, plain_share))],
    }
