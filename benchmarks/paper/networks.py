"""The targets' networks: ResNet-18 for small images, and a narrow ResNet for a CPU."""

from torch import nn
from torch.nn import functional


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
    n_channels, n_classes : int
        Of the images and the answer.
    """

    def __init__(self, widths, blocks, stem_stride=1, n_channels=3, n_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(n_channels, widths[0], 3, stem_stride, 1, bias=False)
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


# Widths, blocks and the stride of the stem.
SHAPES = {
    "small": {"widths": (32, 64, 128), "blocks": 1, "stem_stride": 2},
    "resnet18": {"widths": (64, 128, 256, 512), "blocks": 2},
}
