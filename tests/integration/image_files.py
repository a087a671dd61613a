"""Files of images as MNIST's, for tests."""

import struct


def write_idx(folder, split, pixels, labels):
    """Images of 28 x 28 bytes, one behind the other, and a byte of label for each."""
    (folder / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, len(labels), 28, 28) + pixels)
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, len(labels)) + labels)


def write_images(folder, split, count):
    """Images in which each of ten classes has rows of its own."""
    pixels, labels = bytearray(), bytearray()
    for image in range(count):
        labels.append(image % 10)
        pixels += bytes(200 if p // 56 % 10 == image % 10 else image * p % 50 for p in range(784))
    write_idx(folder, split, pixels, labels)
