"""A LeNet-5 with scales everywhere, its images and its logits: what C++, Keras and PyTorch must give.

The weights and images are numbers of a generator; logits.json has what the command line wrote. Needs Python's standard
library alone.
"""

import json
import pathlib
import random
import struct

FOLDER = pathlib.Path(__file__).resolve().parent
IMAGES = 3
SHAPES = {
    "conv1.weight": (6, 1, 5, 5), "conv1.bias": (6,),
    "conv2.weight": (16, 6, 5, 5), "conv2.bias": (16,),
    "conv3.weight": (120, 16, 5, 5), "conv3.bias": (120,),
    "fc1.weight": (84, 120), "fc1.bias": (84,),
    "fc2.weight": (10, 84), "fc2.bias": (10,),
}
# Of the layers' outputs those that dot products read.
READ = "re:input|relu\\d"
MAPS = {
    "int8": {
        "weights": "int,8,per=channel,scale=max",
        "extrinsic": {READ: "int,8,unsigned,scale=range"},
        "intrinsic": "int8_int32",
    },
    "mx": {
        "weights": {"": {"weight": "mxfp8_e4m3", "bias": None}},
        "extrinsic": {READ: "int,8,scale=max"},
        "intrinsic": "mx",
    },
}


def parameters():
    """Lists of numbers by name, multiples of 2^-12 in (-0.5, 0.5)."""
    numbers = {}
    for name, shape in SHAPES.items():
        count = 1
        for size in shape:
            count *= size
        source = random.Random(name)
        numbers[name] = [source.randrange(-2047, 2048) / 4096 for _ in range(count)]
    return numbers


def pixels():
    """Bytes of (IMAGES, 28, 28)."""
    source = random.Random("images")
    return bytes(source.randrange(256) for _ in range(IMAGES * 28 * 28))


def logits():
    """(IMAGES, 10) numbers as bytes of float32, by the names of MAPS."""
    found = json.loads((FOLDER / "logits.json").read_text())
    return {name: bytes.fromhex(text) for name, text in found.items()}


def write_files(folder):
    """A checkpoint and a folder of data for the command line; returns their paths."""
    folder = pathlib.Path(folder)
    header, data = {}, b""
    for name, numbers in parameters().items():
        body = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": list(SHAPES[name]), "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    checkpoint = folder / "lenet5.safetensors"
    checkpoint.write_bytes(struct.pack("<Q", len(text)) + text + data)
    images = folder / "images"
    images.mkdir()
    (images / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, IMAGES, 28, 28) + pixels())
    (images / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, IMAGES) + bytes(IMAGES))
    return checkpoint, images
