#!/usr/bin/env python3
"""Writes arithmetic.jsonl: cases of rounded arithmetic and what arithmetic_oracle.py and arithmetic_layers.py make of them.

    python3 make_arithmetic_vectors.py            # writes the file
    python3 make_arithmetic_vectors.py --check    # computes it anew and says whether it differs
"""

import json
import math
import pathlib
import random
import struct
import sys

import arithmetic_layers
from elements import TYPES

OUT = pathlib.Path(__file__).resolve().parent / "arithmetic.jsonl"

EVERYDAY_PRODUCTS = ["nearest,8,4", "nearest,16,8", "even,16,8", "down,16,8", "zero,16,8", "up,16,8", "fp16", "float,4,3",
                     "stochastic,16,8", "stochastic,16,8,random_bits=8", "none"]
EVERYDAY_SUMS = ["nearest,12,4", "nearest,24,12", "even,20,8", "nearest,16,8", "even,16,6", "nearest,16,6", "zero,16,6", "fp16",
                 "nearest,10,4,overflow=wrap", "stochastic,16,8", "none"]
FORMATS = (
    [f"{r},{w}" for r in ("nearest", "even", "zero", "down", "up", "stochastic")
     for w in ("8,4", "16,8", "6,-2", "1,0", "32,20", "32,64", "24,30", "4,1,overflow=wrap", "16,10,overflow=wrap")]
    + ["stochastic,12,5,random_bits=1", "stochastic,16,8,random_bits=8", "stochastic,16,8,random_bits=16",
       "stochastic,20,9,random_bits=17", "stochastic,32,16,random_bits=24"]
    + [f"{f}{k}" for f in ("float,4,3", "float,5,2", "fp16", "bf16", "float,8,23")
       for k in ("", ",overflow=saturate", ",rounding=zero", ",rounding=down", ",rounding=up", ",rounding=nearest",
                 ",rounding=stochastic")]
    + ["logarithmic", "logarithmic,down", "logarithmic,min=-4,max=3", "none", "none", "none"]
)
# The roundings and overflows of ap_fixed beside those, unsigned, and the widest that arithmetic rounds to.
FORMATS_LIKE_HARDWARE = (
    [f"{r},{w}" for r in ("nearest_up", "nearest_down", "nearest_zero", "odd", "even", "stochastic")
     for w in ("8,4", "16,8", "6,-2", "8,4,unsigned", "16,8,overflow=symmetric", "12,6,overflow=zero", "9,4,unsigned,overflow=zero",
               "10,4,unsigned,overflow=wrap", "8,3,overflow=sign_magnitude", "53,20", "52,30,unsigned", "53,12,overflow=wrap")]
    + [f"{f},rounding={r}" for f in ("float,4,3", "fp16", "float,8,23") for r in ("nearest_up", "nearest_down", "nearest_zero", "odd")]
    + ["nearest,24,12", "none"]
)
FLOATS_WITH_SPECIAL_CODES = ["e4m3fn", "e4m3fn", "e4m3fn,overflow=nan", "e4m3fn,rounding=stochastic", "e5m2,overflow=propagate", "e4m3fnuz",
                             "e4m3fnuz,overflow=nan", "e5m2fnuz", "e4m3b11fnuz", "e3m2", "e2m3", "e2m1", "e2m1,rounding=odd",
                             "float,5,10,bias=20,special=fn", "float,8,13", "float,8,7,bias=130", "float,8,23,rounding=zero", "none"]
# What tensor cores and their software round sums to.
TENSOR_CORE_SUMS = ["float,8,13,rounding=zero", "float,8,13,rounding=zero", "float,8,23,rounding=zero", "float,8,23,rounding=zero", "fp16",
                    "bf16", "float,8,23", "none", "nearest,16,6", "even,32,0,overflow=wrap", "stochastic,16,8", "float,5,2,rounding=down",
                    "logarithmic", "float,4,3,overflow=saturate", "e4m3fnuz", "down,20,10,overflow=wrap"]
OUTER_SUMS = [None, "none", "float,8,23", "float,8,23", "bf16", "fp16", "fp16,overflow=saturate", "nearest,24,12", "even,16,6,overflow=wrap",
              "stochastic,16,8", "float,8,7,rounding=stochastic", "zero,12,4", "logarithmic,down"]
POSITS = ["posit,8", "posit,8", "posit,16", "posit,16", "posit,32", "posit,8,0", "posit,6,1", "posit,5", "posit,5,3", "posit,3", "posit,4,5",
          "posit,16,1", "posit,17,3", "posit,32,0", "none", "none"]
P3109 = ["p3109,8,3", "p3109,8,4", "p3109,8,1", "p3109,8,3,unsigned", "p3109,8,3,unsigned,overflow=saturate", "p3109,8,3,overflow=propagate",
         "p3109,6,3,overflow=saturate", "p3109,8,1,unsigned,rounding=odd", "p3109,16,9", "p3109,2,1", "p3109,8,4,rounding=odd",
         "p3109,8,1,rounding=nearest_up", "p3109,8,3,rounding=nearest_zero", "p3109,8,1,rounding=down", "p3109,8,3,rounding=up",
         "p3109,12,5,rounding=stochastic", "p3109,8,1,random_bits=8,rounding=stochastic", "p3109,8,4,domain=finite", "none", "nearest,16,8"]
POSIT_OUTER_SUMS = ["posit,8", "posit,16", "posit,32", "posit,6,1", "p3109,8,3", "none"]
ALIGNED_MODES = ["align:4:23", "align:8:24", "align:16:13", "align:16:25", "align:32:13", "align:32:25", "align:1:1", "align:3:2", "align:5:64",
                 "align:2:10"]
# Smallest normal exponents: E4M3's, binary16's and E5M2's, the type's.
MIN_EXPONENTS = [-6, -6, -14, None, None]
MODES = ["step", "step", "once", "fused", "chunk:1", "chunk:2", "chunk:3", "chunk:7"]


class Cases:
    outputs = staticmethod(arithmetic_layers.outputs)

    def __init__(self):
        self.random = random.Random(20261124)
        self.lines = []
        self.formats = FORMATS
        self.sums = None  # formats of accumulators, where not all
        self.outer_sums = OUTER_SUMS
        self.kinds = self.KINDS
        self.modes = MODES

    # Elements, as bits of a type.

    def from_float(self, type, x):
        x = struct.unpack("<f", struct.pack("<f", x))[0] if type.size == 4 else x
        return type.from_float(x)

    def element(self, type, kind):
        r = self.random
        if kind == "coarse":  # many ties of formats with fewer bits, sums that saturate
            return self.from_float(type, r.randint(-128, 127) / 16)
        if kind == "few":
            return self.from_float(type, r.randint(-8, 7) / 4)
        if kind == "integers":
            return self.from_float(type, float(2 * r.randint(-10, 10)))
        if kind == "fine":
            return self.from_float(type, r.randint(-4096, 4096) / 1024)
        if kind == "normal":
            return self.from_float(type, r.gauss(0, 1.5))
        if kind == "large":
            return self.from_float(type, r.gauss(0, 1) * 2.0 ** r.randint(4, 40))
        if kind == "tiny":
            return self.from_float(type, r.gauss(0, 1) * 2.0 ** r.randint(-140, -60))
        if kind == "fp8":  # values of E4M3, many of them subnormal
            return self.from_float(type, r.choice([-1, 1]) * r.randint(0, 15) * 2.0 ** r.choice([-9, -9, -8, -6, -3, 0, 3, 5]))
        if kind == "cancel":  # large numbers that go, small ones that stay
            return self.from_float(type, r.choice([1.0, -1.0]) * 2.0 ** r.choice([20, 20, 24, 12, 0, -1, -3, -13, -24]) * r.choice([1, 1, 1.5]))
        if kind == "regimes":  # powers of two of all sizes, between which posits have few bits or none, and ties near them
            return self.from_float(type, r.choice([-1, 1]) * r.choice([1, 1, 1, 1.5, 17 / 16, 19 / 16, 1 + 2.0**-11]) * 2.0 ** r.choice([
                0, 0, 1, -1, 2, -2, 11, 12, r.randint(-30, 30), r.randint(-60, 60)]))
        if kind == "borders":  # of posit,8, and what lies just beside them
            return self.from_float(type, r.choice([1, 1, 1, 1, -1, 17 / 16, 2.0**-4, 2.0**17, 2.0**22, 2.0**-22, 2.0**-70, -(2.0**-70)]))
        if kind == "signs":  # sums that cancel, zeros of both signs
            return self.from_float(type, r.choice([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0**-20, -(2.0**-20)]))
        bits = r.getrandbits(8 * type.size)  # anything, but what is not finite is rare
        magnitude = bits & ~type.sign_bit
        if magnitude >= type.inf_bits and r.random() < 0.7:
            return bits & type.sign_bit
        return type.inf_bits | (bits & type.sign_bit) if magnitude > type.inf_bits and r.random() < 0.5 else bits

    KINDS = ["coarse", "coarse", "few", "integers", "fine", "normal", "large", "tiny", "signs", "anything"]

    def elements(self, type, count, kind=None):
        kind = kind or self.random.choice(self.KINDS)
        digits = 2 * type.size
        return "".join(f"{self.element(type, kind):0{digits}x}" for _ in range(count))

    # Cases.

    def add(self, kind, type, shape, arrays, everyday=False):
        r = self.random
        case = {
            "kind": kind,
            "type": type.name,
            "product": r.choice(EVERYDAY_PRODUCTS if everyday else self.formats),
            "accumulator": r.choice(EVERYDAY_SUMS if everyday else self.sums or self.formats),
            "accumulate": r.choice(self.modes),
            "seed": r.getrandbits(64),
            "product_stream": r.getrandbits(32),
            "accumulator_stream": r.getrandbits(32),
            "step": r.getrandbits(10),
            "shape": shape,
            **arrays,
        }
        digits = 2 * type.size
        case["y"] = "".join(f"{bits:0{digits}x}" for bits in self.outputs(case))
        self.lines.append(json.dumps(case, separators=(",", ":")))

    def matmul(self, type, everyday):
        r = self.random
        m, k, n = r.choice([1, 1, 2, 3, 5]), r.choice([0, 1, 2, 3, 4, 5, 7, 9]), r.choice([0, 1, 2, 3, 5])
        wide = r.random()
        if wide < 0.06:
            m, k, n = r.choice([1, 2]), r.choice([2, 3]), r.choice([17, 33, 70])
        elif wide < 0.1:
            m, k, n = 1, 40, 2
        elif wide < 0.13:
            m, k, n = r.choice([9, 17]), 2, 2
        kinds = ["coarse", "few", "fine", "integers"] if everyday else self.kinds
        arrays = {"a": self.elements(type, m * k, r.choice(kinds)), "b": self.elements(type, k * n, r.choice(kinds)),
                  "bias": self.elements(type, n) if r.random() < 0.4 and n else None}
        self.add("matmul", type, {"m": m, "k": k, "n": n}, arrays, everyday)

    def convolution(self, transposed, keys=None):
        r, type = self.random, TYPES[self.random.choice(["float32"] * 5 + ["float64"])]
        d = r.choice([1, 1, 2, 2, 2, 3])
        while True:
            groups = r.choice([1, 1, 2, 3])
            ins, outs = groups * r.choice([1, 2]), groups * r.choice([1, 2])
            size = [r.randint(1, {1: 9, 2: 4, 3: 3}[d]) for _ in range(d)]
            kernel = [r.randint(1, 3 if d < 3 else 2) for _ in range(d)]
            stride = [r.randint(1, 3) for _ in range(d)]
            padding = [r.randint(0, 2) for _ in range(d)]
            dilation = [r.randint(1, 2) for _ in range(d)]
            extra = [r.randint(0, max(s, l) - 1) for s, l in zip(stride, dilation)]
            reach = [l * (k - 1) for l, k in zip(dilation, kernel)]
            if transposed:
                output = [(n - 1) * s - 2 * p + q + e + 1 for n, s, p, q, e in zip(size, stride, padding, reach, extra)]
            else:
                output = [(n + 2 * p - q - 1) // s + 1 if n + 2 * p > q else 0
                          for n, p, q, s in zip(size, padding, reach, stride)]
            if all(n >= 1 for n in output) and math.prod(output) * outs <= 60:
                break
        batch = r.choice([1, 1, 2])
        x = [batch, ins, *size]
        w = [ins, outs // groups, *kernel] if transposed else [outs, ins // groups, *kernel]
        shape = {"x": x, "w": w, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        if transposed:
            shape["output_padding"] = extra
        arrays = {"a": self.elements(type, math.prod(x)), "b": self.elements(type, math.prod(w)),
                  "bias": self.elements(type, outs) if r.random() < 0.5 else None, **(keys or {})}
        self.add("conv_transpose" if transposed else "conv", type, shape, arrays, r.random() < 0.5)

    def avg_pool(self, keys=None):
        r, type = self.random, TYPES[self.random.choice(["float32", "float32", "float64"])]
        d = r.choice([1, 2, 2, 3])
        size = [r.randint(2, 5) for _ in range(d)]
        kernel = [r.randint(1, min(3, n)) for n in size]
        padding = [r.randint(0, k // 2) for k in kernel]
        x = [r.choice([1, 2]), r.choice([1, 2]), *size]
        shape = {"x": x, "kernel": kernel, "stride": [r.randint(1, 2) for _ in range(d)], "padding": padding,
                 "divisor": r.choice([math.prod(kernel), math.prod(kernel), 7])}
        self.add("avg_pool", type, shape, {"a": self.elements(type, math.prod(x)), **(keys or {})}, r.random() < 0.5)

    def batch_norm(self):
        r, type = self.random, TYPES[self.random.choice(["float32", "float32", "float32", "float64"])]
        x = [r.choice([1, 2]), r.choice([1, 2, 3]), *r.choice([[], [3], [2, 2]])]
        c = x[1]
        digits = 2 * type.size
        variance = "".join(f"{self.from_float(type, v):0{digits}x}" for v in
                           (r.choice([0.0, 1.0, 4.0, 0.25, abs(r.gauss(0, 3)), abs(r.gauss(0, 1e-3))]) for _ in range(c)))
        arrays = {"a": self.elements(type, math.prod(x)),
                  "gamma": self.elements(type, c, r.choice(["coarse", "normal"])) if r.random() < 0.8 else None,
                  "beta": self.elements(type, c, r.choice(["coarse", "normal"])) if r.random() < 0.8 else None,
                  "mean": self.elements(type, c, r.choice(["coarse", "normal"])), "var": variance,
                  "eps": f"{self.from_float(type, r.choice([1e-5, 1e-3, 0.0])):0{digits}x}"}
        self.add("batch_norm", type, {"x": x}, arrays, r.random() < 0.5)

    def sum(self):
        type = TYPES[self.random.choice(["float32", "float32", "float64"])]
        count = self.random.choice([1, 5, 40, 70])
        self.add("add", type, {}, {"a": self.elements(type, count), "b": self.elements(type, count)})

    # Two levels, tensor cores, the order of taps.

    def levels(self, exponents):
        """Keys that a case takes beside the others."""
        r = self.random
        keys = {}
        if r.random() < 0.6:
            every, accumulator = r.choice([0, 1, 2, 3, 4, 4, 5, 8]), r.choice(self.outer_sums)
            keys["outer"] = {"every": every} if every else {"accumulator": "none"}
            if accumulator is not None:
                keys["outer"]["accumulator"] = accumulator
        if exponents:
            keys["data_min_exponent"], keys["weight_min_exponent"] = r.choice(MIN_EXPONENTS), r.choice(MIN_EXPONENTS)
        return keys

    def scales(self, type, lines, taps):
        """Of a matrix along its lines: None, one, one a line, or one a block."""
        r = self.random
        kind = r.choice(["none", "tensor", "line", "block", "block", "block"])
        if kind == "none" or not lines or not taps:
            return None
        block = r.choice([1, 2, 3, 4, 8]) if kind == "block" else taps
        blocks = -(-taps // block)
        stride = {"tensor": 0, "line": 1, "block": blocks}[kind]
        count = (lines - 1) * stride + blocks
        power = r.random() < 0.5
        values = [2.0 ** r.randint(-6, 6) if power else abs(r.gauss(0, 1)) * 2.0 ** r.randint(-8, 3) + 2.0**-20 for _ in range(count)]
        bits = [self.from_float(type, v) for v in values]
        if r.random() < 0.05:
            bits[r.randrange(count)] = type.quiet_nan_bits
        if r.random() < 0.03:
            bits[r.randrange(count)] = r.choice([1, type.inf_bits - 1, type.inf_bits])
        return {"values": "".join(f"{b:0{2 * type.size}x}" for b in bits), "block": block, "stride": stride}

    def linear(self, type, everyday):
        r = self.random
        m, k, n = r.choice([1, 2, 3]), r.choice([0, 1, 3, 4, 8, 9, 13, 17, 40]), r.choice([1, 2, 3])
        kinds = ["coarse", "few", "fine", "integers", "normal", "fp8", "fp8", "signs"] if everyday else [*self.kinds, "fp8", "cancel"]
        arrays = {"a": self.elements(type, m * k, r.choice(kinds)), "b": self.elements(type, k * n, r.choice(kinds)),
                  "bias": self.elements(type, n, r.choice(kinds)) if r.random() < 0.4 else None}
        levels = self.levels(exponents=r.random() < 0.5)
        if r.random() < 0.6:
            levels["scales"] = {"data": self.scales(type, m, k), "weights": self.scales(type, n, k)}
        self.add("linear", type, {"m": m, "k": k, "n": n}, {**arrays, **levels}, False)

    def all_of_hardware(self):
        self.formats = ["none", "none", "none", "nearest,16,8", "float,8,7", "e4m3fn", "stochastic,16,8"]
        self.sums = TENSOR_CORE_SUMS
        self.modes = ALIGNED_MODES
        for i in range(700):
            self.linear(TYPES["float64" if i % 7 == 0 else "float32"], i % 2 == 0)
        self.modes = ["step", "step", "once", "once", "fused", "chunk:2", "chunk:3", "align:4:13"]
        for i in range(500):
            self.linear(TYPES["float64" if i % 7 == 0 else "float32"], i % 2 == 0)
        for i in range(60):
            self.convolution(False, {"order": "tap", **self.levels(exponents=False)})
            self.convolution(True, {"order": "tap", **self.levels(exponents=False)})
        for i in range(20):
            self.convolution(False, self.levels(exponents=True))
            self.avg_pool(self.levels(exponents=True))

    def all_of_posits(self):
        self.sums = None
        self.outer_sums = POSIT_OUTER_SUMS
        self.kinds = ["regimes", "regimes", "regimes", "regimes", "coarse", "normal", "signs", "tiny", "large", "anything"]
        self.modes = [*MODES, "once", "chunk:2", "align:4:13"]
        for self.formats, count in ((POSITS, 500), (P3109, 350)):
            for i in range(count):
                self.matmul(TYPES["float64" if i % 7 == 0 else "float32"], False)
            for i in range(100):
                self.linear(TYPES["float64" if i % 7 == 0 else "float32"], False)
            for _ in range(20):
                self.convolution(False)
                self.avg_pool(self.levels(exponents=False))
                self.batch_norm()
                self.sum()
        self.formats, self.sums, self.kinds, self.modes = ["none"], ["posit,8"], ["borders"], ["once", "chunk:3", "fused"]
        for i in range(80):
            self.matmul(TYPES["float64" if i % 7 == 0 else "float32"], False)

    def all(self):
        for i in range(2600):
            self.matmul(TYPES["float32"], i % 2 == 0)
        for i in range(300):
            self.matmul(TYPES["float64"], i % 3 == 0)
        for _ in range(160):
            self.convolution(False)
        for _ in range(90):
            self.convolution(True)
        for _ in range(80):
            self.avg_pool()
        for _ in range(80):
            self.batch_norm()
        for _ in range(40):
            self.sum()
        self.formats = FORMATS_LIKE_HARDWARE
        for i in range(700):
            self.matmul(TYPES["float64" if i % 7 == 0 else "float32"], False)
        for _ in range(20):
            self.avg_pool()
        for _ in range(30):
            self.batch_norm()
            self.sum()
        self.formats = FLOATS_WITH_SPECIAL_CODES
        for i in range(500):
            self.matmul(TYPES["float64" if i % 7 == 0 else "float32"], False)
        for _ in range(20):
            self.batch_norm()
            self.sum()
        # An end below zero that float32 rounds away from it.
        self.formats = ["even,32,24,overflow=symmetric", "nearest,28,20,overflow=symmetric", "zero,40,30,overflow=symmetric"]
        for _ in range(120):
            self.matmul(TYPES["float32"], False)
        self.all_of_hardware()
        self.all_of_posits()
        return "\n".join(self.lines) + "\n"


def main():
    text = Cases().all()
    if "--check" not in sys.argv[1:]:
        OUT.write_text(text)
        print(f"wrote {OUT.name}: {text.count(chr(10))} cases")
        return 0
    same = OUT.read_text() == text
    print(f"{OUT.name}: {'good' if same else 'differs'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
