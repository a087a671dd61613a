"""ELU with every operation rounded, against exact fractions."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

import tensorquant.torch as tqt


@pytest.mark.parametrize("alpha", [1.0, 0.7])
def test_an_elu_rounds_the_exact_exponential_then_the_difference_then_the_product(alpha):
    x = torch.tensor([-7.3, -2.1, -1.1, -0.37, -0.004, -0.0, 0.0, 0.3, 5.1])

    def to_grid(value, bits):
        assert (value * 2**bits) % 1 != Fraction(1, 2)  # as no rule of ties is tested
        return Fraction(math.floor(value * 2**bits + Fraction(1, 2)), 2**bits)

    def elu(value):
        if value > 0:
            return value
        with mpmath.workprec(200):
            power = mpmath.exp(mpmath.mpf(value)) * 2**100
            y = to_grid(Fraction(int(mpmath.nint(power)), 2**100), 8) - 1
        y = to_grid(y, 6)
        return float(y if alpha == 1 else to_grid(y * Fraction(float(np.float32(alpha))), 8))

    inside = {"product": "nearest,16,8", "accumulator": "nearest,16,6"}
    model = tqt.quantize_model(nn.Sequential(nn.ELU(alpha)), intrinsic={"": inside})
    assert model(x).tolist() == [elu(value) for value in x.tolist()]
