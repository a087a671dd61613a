"""Fashion-MNIST from the files of Debian's package dataset-fashion-mnist, so that nothing is downloaded."""

import argparse
import gzip
from pathlib import Path

import numpy as np

FOLDER = Path("/usr/share/datasets/fashion-mnist")


def _read(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def load(folder=FOLDER, count=None):
    """Images and labels.

    Args:
        folder: With the four MNIST-style files, gzipped.
        count: How many training images; a sixth as many test images. All if left out.

    Returns:
        (train images, train labels), (test images, test labels): float32 images of shape
        (n, 28, 28, 1) with values from 0 to 1, and integers from 0 to 9.
    """
    folder = Path(folder)
    parts = []
    for name, most in (("train", count), ("t10k", count and count // 6)):
        images = _read(folder / f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)[:most]
        labels = _read(folder / f"{name}-labels-idx1-ubyte.gz", 8)[:most]
        parts.append((images.astype(np.float32) / 255, labels.astype(np.int64)))
    return tuple(parts)


def arguments(description):
    """The command line that all examples have: --data FOLDER and --quick."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", default=FOLDER, help="folder with MNIST-style files, gzipped")
    parser.add_argument("--quick", action="store_true", help="few images: shows that it runs")
    return parser.parse_args()
