"""Activations of several operations, each of which is rounded."""

import math

import hands
import mpmath
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tensorquant.torch as tqt

VALUE = {"product": "float,8,10", "accumulator": "float,8,13"}


def exact(function):
    """Of each number of a tensor, in 60 digits, rounded to float64."""

    def of_tensor(x, *others):
        rows = zip(x.flatten().tolist(), *(o.expand_as(x).flatten().tolist() for o in others))
        with mpmath.workdps(60):
            numbers = [float(function(*map(mpmath.mpf, row))) for row in rows]
        return torch.tensor(numbers, dtype=torch.float64).view(x.shape)

    return of_tensor


def rounded_sum(x):
    return hands.quantized(x, VALUE["accumulator"])


def rounded_product(x):
    return hands.quantized(x, VALUE["product"])


def below_zero(x, factor=1.0, divisor=1.0):
    """What ELU and its kin give there: each step exact, then rounded."""
    if divisor != 1:
        x = rounded_product(exact(lambda x: x / mpmath.mpf(divisor))(x))
    y = rounded_sum(exact(lambda e: e - 1)(rounded_product(exact(mpmath.exp)(x))))
    return y if factor == 1 else rounded_product(exact(lambda y: y * mpmath.mpf(factor))(y))


def float32(x):
    return float(np.float32(x))


SELU_SCALE, SELU_FACTOR = float32("1.0507009873554805"), float32("1.7580993408473766")
SOFTPLUS = exact(lambda x: mpmath.log1p(mpmath.exp(x)))
SEVERAL = {
    "elu": (nn.ELU, lambda x: torch.where(x > 0, x, below_zero(x))),
    "elu of an alpha": (
        lambda: nn.ELU(0.7),
        lambda x: torch.where(x > 0, x, below_zero(x, float32(0.7))),
    ),
    "celu": (nn.CELU, lambda x: torch.where(x > 0, x, below_zero(x))),
    "celu of an alpha": (
        lambda: nn.CELU(0.7),
        lambda x: torch.where(x > 0, x, below_zero(x, float32(0.7), float32(0.7))),
    ),
    "selu": (
        nn.SELU,
        lambda x: torch.where(
            x > 0,
            rounded_product(exact(lambda x: x * mpmath.mpf(SELU_SCALE))(x)),
            below_zero(x, SELU_FACTOR),
        ),
    ),
    "mish": (
        nn.Mish,
        lambda x: rounded_product(
            x * rounded_product(exact(mpmath.tanh)(rounded_product(SOFTPLUS(x))))
        ),
    ),
    "log sigmoid": (nn.LogSigmoid, lambda x: -rounded_product(SOFTPLUS(-x))),
    "softsign": (
        nn.Softsign,
        lambda x: rounded_product(exact(lambda x, d: x / d)(x, rounded_sum(1 + x.abs()))),
    ),
    "tanhshrink": (
        nn.Tanhshrink,
        lambda x: rounded_sum(x - rounded_product(exact(mpmath.tanh)(x))),
    ),
    "softshrink": (
        nn.Softshrink,
        lambda x: torch.where(x.abs() <= 0.5, 0.0, rounded_sum(x - x.sign() / 2)),
    ),
    "prelu": (
        nn.PReLU,
        lambda x: torch.where(x > 0, x, rounded_product(x * 0.25)),
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_activations_of_several_operations_round_each(name):
    """mpmath's numbers, each rounded before the next operation sees it."""
    make, hand = SEVERAL[name]
    x = torch.cat([torch.randn(200) * 3, torch.tensor([0.0, 0.5, -0.5, 1e-6, -1e-6, -30, 30])])
    model = tqt.quantize_model(nn.Sequential(make()), intrinsic={"": VALUE})
    assert hands.same_bits(model(x), hand(x.double()).float())
    limits = torch.tensor([math.inf, -math.inf, math.nan])
    torch.testing.assert_close(model(limits), make()(limits), rtol=0.01, atol=0, equal_nan=True)


def test_a_slope_for_each_channel_and_one_for_all_are_rounded():
    layer, x = nn.PReLU(3), torch.randn(2, 3, 4)
    nn.init.normal_(layer.weight)
    slopes = layer.weight.detach().double().view(3, 1)
    wanted = torch.where(x > 0, x.double(), rounded_product(x.double() * slopes)).float()
    tqt.quantize_model(layer, intrinsic={"": VALUE})
    assert hands.same_bits(layer(x), wanted)
    with pytest.raises(RuntimeError, match="number of parameters|channel"):
        layer(torch.randn(2, 1, 4))


def test_a_softmin_is_the_softmax_of_the_negative():
    x = torch.randn(2, 5)
    models = (
        tqt.quantize_model(nn.Sequential(make(-1)), intrinsic={"": VALUE})
        for make in (nn.Softmin, nn.Softmax)
    )
    minimum, maximum = models
    assert hands.same_bits(minimum(x), maximum(-x))


def test_a_hard_shrink_has_nothing_to_round():
    model, x = nn.Sequential(nn.Hardshrink()), torch.randn(20)
    tqt.quantize_model(model, intrinsic={"": VALUE})
    assert hands.same_bits(model(x), F.hardshrink(x))
    assert tqt.summary(model, print_fn=None)[0].intrinsic == "nothing to round"


@pytest.mark.parametrize("name", [*SEVERAL, "softmin", "selu in place"])
def test_gradients_are_about_the_float_layers(name):
    """Of the same operations at rounded numbers."""
    others = {
        "softmin": lambda: nn.Softmin(1),
        "selu in place": lambda: nn.Sequential(nn.Linear(4, 4), nn.SELU(inplace=True)),
    }
    layer, x = (SEVERAL[name][0] if name in SEVERAL else others[name])(), torch.randn(3, 4)
    wanted = hands.gradients(layer, x)
    tqt.quantize_model(layer, intrinsic={"": VALUE})
    found = hands.gradients(layer, x)
    assert all(torch.allclose(a, b, atol=0.1, rtol=0.05) for a, b in zip(found, wanted))


@pytest.mark.parametrize("name", ["elu", "celu of an alpha", "selu"])
def test_gradients_of_large_numbers_are_numbers(name):
    """exp overflows there, in a branch that is not taken."""
    x = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    tqt.quantize_model(nn.Sequential(SEVERAL[name][0]()), intrinsic={"": VALUE})(x).sum().backward()
    wanted = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    SEVERAL[name][0]()(wanted).sum().backward()
    assert torch.allclose(x.grad, wanted.grad, atol=0.01)


@pytest.mark.parametrize(
    "how, operation",
    [
        (F.elu, "elu"),
        (F.selu, "selu"),
        (torch.selu_, "selu"),
        (lambda x: F.mish(x, inplace=True), "mish"),
        (F.logsigmoid, "log_sigmoid"),
        (F.softsign, "softsign"),
        (F.tanhshrink, "tanhshrink"),
        (F.softshrink, "softshrink"),
        (lambda x: F.softmin(x, -1), "softmin"),
        (lambda x: F.prelu(x, torch.tensor([0.25])), "prelu"),
    ],
)
def test_functions_are_operations_that_rules_hit(how, operation):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x):
            return how(self.inner(x).clone())

    model, x = Own(), torch.randn(3, 4)
    wanted = model(x)
    tqt.quantize_model(model, extrinsic={f"op:{operation}": "nearest,8,3"}, strict=True)
    assert hands.same_bits(model(x), hands.quantized(wanted, "nearest,8,3"))
    tqt.quantize_model(model, intrinsic={f"op:{operation}": VALUE}, strict=True)
    y = model(x)
    assert torch.allclose(y, wanted, atol=0.05) and not hands.same_bits(y, wanted)
