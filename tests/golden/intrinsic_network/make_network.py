#!/usr/bin/env python3
"""Writes network.json: a small network, maps that round it everywhere, its input and its outputs.

Numbers are those of a generator, multiples of 1/64. The outputs are those of tensorquant.torch, and what the layers of
libtorch and of Keras must give, bit for bit.
"""

import json
import math
import pathlib
import random
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parents[2] / "python" / "tests" / "torch"))
import test_intrinsic_network as of_torch

# (2, 2, 4, 4) -> conv, bn -> as 16 places of 8 numbers -> norm, gelu, attention, fc, softmax
SHAPES = {
    "x": (2, 2, 4, 4),
    "conv.weight": (8, 2, 3, 3), "conv.bias": (8,),
    "bn.weight": (8,), "bn.bias": (8,), "bn.running_mean": (8,), "bn.running_var": (8,),
    "norm.weight": (8,), "norm.bias": (8,),
    "attention.in_proj_weight": (24, 8), "attention.in_proj_bias": (24,),
    "attention.out_proj.weight": (8, 8), "attention.out_proj.bias": (8,),
    "fc.weight": (4, 8), "fc.bias": (4,),
}
FIXED_POINT = {
    "weights": "nearest,6,4",
    "extrinsic": "nearest,12,8",
    "intrinsic": {"": {"product": "even,16,9", "accumulator": "nearest,20,10", "accumulate": "step"}},
}
AT_RANDOM = {
    "weights": "stochastic,6,4",
    "extrinsic": "stochastic,12,8",
    "intrinsic": {"": {"product": "stochastic,16,9", "accumulator": "stochastic,20,10"}},
    "seed": 11,
}
MAPS = {
    "fixed_point": FIXED_POINT,
    "floats": {
        "weights": "bf16",
        "extrinsic": "fp16",
        "intrinsic": {"": {"product": "fp16", "accumulator": "float,8,12", "accumulate": "chunk:4"}},
    },
    "integers": {
        "weights": {"conv": "int,8,scale=max", "fc": "int,8,scale=max", "": "nearest,8,6"},
        "extrinsic": "int,8,scale=max",
        "intrinsic": {"conv": "int8_int32", "fc": "int8_int32", "": {"product": "bf16", "accumulator": "float,8,16"}},
    },
    "at_random": AT_RANDOM,
    "fixed_point_with_weights": FIXED_POINT,
    "at_random_with_weights": AT_RANDOM,
}


def numbers(name, shape):
    source = random.Random(name)
    drawn = [source.randrange(-63, 64) for _ in range(math.prod(shape))]
    return [64 + abs(n) for n in drawn] if name == "bn.running_var" else drawn


def main():
    network = {
        "maps": MAPS,
        # Whether attention is asked for its weights, too: it scales queries then, else scores.
        "with_weights": {name: name.endswith("_with_weights") for name in MAPS},
        "shapes": SHAPES,
        "sixty_fourths": {name: numbers(name, shape) for name, shape in SHAPES.items()},
    }
    network["y"] = {name: of_torch.outputs(network, name).hex() for name in MAPS}
    parts = []
    for key, entries in network.items():
        lines = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
        parts.append(f"{json.dumps(key)}: {{\n  {lines}\n }}")
    (FOLDER / "network.json").write_text("{\n " + ",\n ".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
