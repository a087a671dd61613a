"""Gemm nodes as `tensorquant evaluate` computes them, against exact fractions.

    gemm_nodes_test.py PROGRAM

Needs the package onnx to write models with; is skipped without it.
"""

import json
import math
from fractions import Fraction

from node_models import Model, T, f32, np, run_tests

FACTORS = [1, 1, -1, 0, 2, 0.5, -1.25, 3.375]


class Gemm:
    """One of small random numbers: integers times `step`. Its shapes, and which of a, b, c are constants, are random, too."""

    def __init__(self, rng, constants, step):
        m, k, n = (int(size) for size in rng.integers(1, 6, 3))
        self.alpha, self.beta = (float(rng.choice(FACTORS)) for _ in range(2))
        self.turns = {"transA": int(rng.integers(2)), "transB": int(rng.integers(2))}
        self.a, self.b = rng.integers(-9, 10, (m, k)) * step, rng.integers(-9, 10, (k, n)) * step
        shapes = [None, (), (1,), (n,), (1, 1), (m, 1), (1, n), (m, n)]
        shape = shapes[rng.integers(len(shapes))]
        self.c = None if shape is None else np.asarray(rng.integers(-9, 10, shape) * step)
        self.constants = [name for name in constants if rng.integers(4) > 0]

    def add_to(self, model, expected):
        """`expected` gives an element of fractions: a row of a, a column of b, and an element of c or None."""
        names = []
        for name, turn in (("a", "transA"), ("b", "transB"), ("c", None)):
            array = getattr(self, name)
            if array is None:
                continue
            array = f32(array.T if turn and self.turns[turn] else array)
            port = f"{name}_{len(model.nodes)}"
            is_constant = name in self.constants
            names.append(
                model.constant(array, T.FLOAT) if is_constant else model.input(port, array)
            )
        shape = len(self.a), self.b.shape[1]
        added = [[None] * shape[1]] * shape[0]
        if self.c is not None:
            added = [[*map(Fraction, row)] for row in np.broadcast_to(self.c, shape)]
        y = [
            [
                float(expected([*map(Fraction, row)], [*map(Fraction, col)], c))
                for col, c in zip(self.b.T, cs)
            ]
            for row, cs in zip(self.a, added)
        ]
        factors = {"alpha": self.alpha, "beta": self.beta}
        model.expect(model.node("Gemm", names, **factors, **self.turns), f32(y))


def new_model():
    model = Model(13)
    model.input("aside", f32([1, 2, 3, 4, 5, 6, 7]))  # another number of rows: one run of all
    return model


def test_products_with_factors_and_biases_of_every_shape(program):
    rng = np.random.default_rng(11)
    for constants in ("", "a", "bc", "abc"):
        model = new_model()
        for _ in range(150):
            gemm = Gemm(rng, constants, 1)

            def expected(row, col, c, gemm=gemm):
                total = sum(x * y for x, y in zip(row, col))
                return Fraction(gemm.alpha) * total + Fraction(gemm.beta) * (c or 0)

            gemm.add_to(model, expected)
        model.check(program)


def fixed(x, bits, fraction):
    """nearest,BITS,FRACTION: ties away from zero, saturating."""
    k = math.floor(abs(x) * 2**fraction + Fraction(1, 2)) * (1 if x >= 0 else -1)
    return Fraction(min(max(k, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1), 2**fraction)


ROUNDED = {"product": "nearest,9,3", "accumulator": "nearest,9,2"}
MAPS = [
    "--intrinsic",
    json.dumps({"op:Gemm": ROUNDED}),
    "--weights",
    json.dumps({"": {"bias": "down,8,1"}}),
]


def test_an_intrinsic_rule_rounds_the_sum_then_its_product_with_alpha_then_the_last_sum(program):
    def product(x):
        return fixed(x, 9, 3)

    def accumulator(x):
        return fixed(x, 9, 2)

    rng = np.random.default_rng(12)
    for constants in ("a", "b", "bc", "ac"):
        model = new_model()
        for _ in range(150):
            gemm = Gemm(rng, constants, 0.25)

            def expected(row, col, c, gemm=gemm):
                y = Fraction(0)
                for x, w in zip(row, col):
                    y = accumulator(y + product(x * w))
                if gemm.alpha != 1:
                    y = product(Fraction(gemm.alpha) * y)
                if c is None:
                    return y
                if "c" in gemm.constants:  # the bias is quantized before it gets its factor
                    c = Fraction(math.floor(c * 2), 2)
                return accumulator(y + Fraction(gemm.beta) * c)

            gemm.add_to(model, expected)
        model.check(program, MAPS)


if __name__ == "__main__":
    run_tests(globals())
