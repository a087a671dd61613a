#!/usr/bin/env python3
"""Writes arithmetic_values.jsonl: cases of layers that work on values, and what arithmetic_values.py makes of them.

    python3 make_value_vectors.py            # writes the file
    python3 make_value_vectors.py --check    # computes it anew and says whether it differs
"""

import math
import pathlib
import sys

import arithmetic_values
from elements import TYPES
from make_arithmetic_vectors import FORMATS, MODES, P3109, POSITS, Cases

OUT = pathlib.Path(__file__).resolve().parent / "arithmetic_values.jsonl"

FINE = ["none", "none", "float,8,23", "bf16", "fp16", "fp16,overflow=saturate", "nearest,16,8", "even,24,16", "stochastic,16,8", "float,8,13,rounding=zero",
        "float,8,23,rounding=down", "float,8,23,rounding=up", "posit,16", "nearest,16,10,overflow=wrap"]
ALL = [*FORMATS, *POSITS, *P3109, *FINE]
EDGES = {"exp": [88.72, 88.73, -87.3, -103.9, 709.7, 1000.0, 1001.0, 2.0**-30, -(2.0**-30)], "log": [1 - 2.0**-24, 1 + 2.0**-23, 2.0, 0.5, 2.0**-149],
         "sqrt": [4.0, 2.25, 2.0, 1 + 2.0**-23], "rsqrt": [4.0, 0.25, 2.0, 2.0**-148, 1 - 2.0**-24], "reciprocal": [3.0, 2.0**-140, 2.0**127, 7.0],
         "erf": [9.9, 10.1, 5.9, 2.0**-70], "tanh": [9.0, 20.0, 79.9, 80.1, 2.0**-59, 2.0**-61, 2.0**-13],
         "sigmoid": [16.6, 79.9, 80.1, -88.0, -103.9, -999.0, -1001.0, 2.0**-114, 2.0**-116], "silu": [89.9, 90.1, -95.0, -1099.0, -1101.0, 2.0**-116],
         "gelu": [13.9, 14.1, -13.9, -14.5, -39.0, -41.0, 2.0**-116, 2.0**-24], "gelu_tanh": [13.9, 14.1, -10.0, -20.0, -39.0, -41.0, 2.0**-116],
         "softplus": [89.9, 90.1, -88.0, -103.9, -999.0, -1001.0, 2.0**-60], "hardsigmoid": [3.0, -3.0, 2.9999998, -2.9999998, 1.0, 0.0, 2.0**-116],
         "hardswish": [3.0, -3.0, 2.9999998, -2.9999998, 1.0, 0.5, 2.0**-116]}


class ValueCases(Cases):
    outputs = staticmethod(arithmetic_values.outputs)

    def __init__(self):
        super().__init__()
        self.random.seed(20261126)

    def type(self):
        return TYPES[self.random.choice(["float32", "float32", "float32", "float64"])]

    def bits(self, type, numbers):
        return "".join(f"{self.from_float(type, x):0{2 * type.size}x}" for x in numbers)

    def function(self, name):
        r, type = self.random, self.type()
        kind = r.choice(["coarse", "fine", "normal", "normal", "edges", "anything", "signs", "tiny"])
        count = r.choice([3, 8, 20])
        if kind == "edges":
            elements = self.bits(type, [r.choice([1, 1, -1]) * r.choice(EDGES[name]) for _ in range(count)])
        else:
            elements = self.elements(type, count, kind)
        self.add("function", type, {"function": name}, {"a": elements})

    def binary(self, kind):
        type, count = self.type(), self.random.choice([1, 5, 40])
        self.add(kind, type, {}, {"a": self.elements(type, count), "b": self.elements(type, count), **self.levels(exponents=False)})

    def rows(self):
        r = self.random
        return [*r.choice([[], [1], [2], [2, 2]]), r.choice([1, 2, 3, 5, 8, 17])]

    def softmax(self, kind):
        r, type, x = self.random, self.type(), self.rows()
        count = math.prod(x)
        elements = r.choice([
            lambda: self.elements(type, count, r.choice(["coarse", "few", "normal", "signs", "fine"])),
            lambda: self.bits(type, [r.choice([0.0, 1.5, -2.0, 40.0, -math.inf]) for _ in range(count)]),  # masks
            lambda: self.elements(type, count),
        ])()
        self.add(kind, type, {"x": x}, {"a": elements, **self.levels(exponents=False)})

    def norm(self, kind):
        r, type = self.random, self.type()
        shape = {"x": self.rows()}
        if kind == "group_norm":
            groups, each = r.choice([1, 2, 3]), r.choice([1, 2])
            shape = {"x": [r.choice([1, 2]), groups * each, *r.choice([[], [3], [2, 2]])], "groups": groups}
            channels = groups * each
        else:
            shape["dimensions"] = r.choice([1, len(shape["x"])])
            channels = math.prod(shape["x"][-shape["dimensions"] :])
        arrays = {"a": self.elements(type, math.prod(shape["x"]), r.choice(["coarse", "few", "normal", "normal", "fine", "large", "anything"])),
                  "eps": self.bits(type, [r.choice([1e-5, 1e-3, 0.0, 0.5])])}
        if r.random() < 0.8:
            arrays["gamma"] = self.elements(type, channels, r.choice(["coarse", "normal"]))
            if kind != "rms_norm" and r.random() < 0.8:
                arrays["beta"] = self.elements(type, channels, r.choice(["coarse", "normal"]))
        self.add(kind, type, shape, {**arrays, **self.levels(exponents=False)})

    def products(self):
        r, type = self.random, self.type()
        m, k, n = r.choice([0, 1, 2, 3]), r.choice([0, 1, 3, 5, 8]), r.choice([1, 2, 3])
        a, b = r.choice([([2], [2]), ([2], [1]), ([1], [3]), ([2, 2], [2, 2]), ([2, 1], [3]), ([], [2]), ([2], []), ([], []), ([0], [1]), ([3, 1, 2], [2, 1])])
        shape = {"a": [*a, m, k], "b": [*b, k, n]}
        arrays = {key: self.elements(type, math.prod(shape[key])) for key in ("a", "b")}
        self.add("products", type, shape, {**arrays, **self.levels(exponents=True)})

    def all(self):
        for self.formats, some in ((ALL, 2), (FINE, 1)):
            self.modes = [*MODES, "align:4:13"]
            for name in arithmetic_values.FUNCTIONS:
                for _ in range(16 * some):
                    self.function(name)
            for kind in ("add", "sub", "mul", "div"):
                for _ in range(20 * some):
                    self.binary(kind)
            for kind in ("softmax", "log_softmax"):
                for _ in range(60 * some):
                    self.softmax(kind)
            for kind in ("layer_norm", "rms_norm", "group_norm"):
                for _ in range(60 * some):
                    self.norm(kind)
            for _ in range(60 * some):
                self.products()
        return "\n".join(self.lines) + "\n"


def main():
    text = ValueCases().all()
    if "--check" not in sys.argv[1:]:
        OUT.write_text(text)
        print(f"wrote {OUT.name}: {text.count(chr(10))} cases")
        return 0
    same = OUT.read_text() == text
    print(f"{OUT.name}: {'good' if same else 'differs'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
