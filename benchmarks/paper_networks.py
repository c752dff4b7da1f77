"""Accuracy against time of small networks on two cores: the choice of the target of ``paper_table.py --preset paper``.

    python benchmarks/paper_networks.py --data cifar10.tar.xz

25,000 members of one shuffle of all images; the accuracy on others is that on 5,000 rows that no part of the table
attacks. Seconds are those of a processor, with one thread.
"""

import time

import numpy as np
import torch
from _common import make_parser, save
from paper.networks import SHAPES, QuickResNet, quick_training
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence._demo._digits import trained_net
from skdiffence._demo._table import format_means
from skdiffence.datasets import load_images

N_MEMBERS, N_OTHERS = 25_000, 5_000
COLUMNS = [("members", "members", 3), ("others", "others", 3), ("seconds", "CPU s", 0)]


def main():
    """Train, measure and print."""
    parser = make_parser(__doc__, seed=0)
    parser.add_argument("--data", required=True, help="photographs, as load_images takes them")
    parser.add_argument("--shapes", nargs="+", default=["small", "wide"], choices=SHAPES)
    parser.add_argument("--epochs", type=int, nargs="+", default=[12, 24])
    parser.add_argument("--plain", type=float, nargs="+", default=[0.0, 0.25, 1.0], help="share of plain epochs")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--highest-lr", type=float, default=0.1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = load_images(options.data)
    rows = np.random.default_rng(options.seed).permutation(len(images.target))[: N_MEMBERS + N_OTHERS]
    X = images.data[rows].astype(np.float32) / 255
    classes, y = np.unique(images.target[rows], return_inverse=True)
    records = []
    for shape in options.shapes:
        for epochs in options.epochs:
            for plain in options.plain:
                net = NeuralNetClassifier(
                    QuickResNet,
                    **quick_training(shape, epochs, plain, options.batch_size, options.highest_lr),
                    module__n_classes=len(classes),
                    criterion=nn.CrossEntropyLoss,
                    iterator_train__shuffle=True,
                    iterator_valid__batch_size=512,
                    train_split=None,
                    verbose=0,
                )
                start = time.process_time()
                net = trained_net(net, X[:N_MEMBERS], y[:N_MEMBERS], options.seed)
                seconds = time.process_time() - start
                right = net.predict(X) == y
                record = {"name": f"{shape}, {epochs} epochs, {plain:.0%} plain", "seconds": seconds}
                record |= {"members": float(right[:N_MEMBERS].mean()), "others": float(right[N_MEMBERS:].mean())}
                records.append(record)
                print(record, flush=True)
    print(format_means(records, COLUMNS, "network"))
    save(options, "paper_networks.json", records=records)


if __name__ == "__main__":
    main()
