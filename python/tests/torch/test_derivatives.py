"""PyTorch's transforms of functions: derivatives in both modes, and samples one by one."""

import copy

import hands
import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import tensorquant as tq
import tensorquant.torch as tqt

WEIGHTS = {"weights": "nearest,8,6"}
OUTPUTS = {**WEIGHTS, "extrinsic": "nearest,12,8"}
INSIDE = {"product": "nearest,16,9", "accumulator": "nearest,18,9"}
LAYERS = {
    "linear": (lambda: nn.Linear(4, 3), (2, 4)),
    "convolution": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 2, 4, 4)),
    "batch norm": (lambda: nn.BatchNorm2d(2).eval(), (2, 2, 3, 3)),
    "layer norm": (lambda: nn.LayerNorm(4), (2, 4)),
    "softmax": (lambda: nn.Softmax(-1), (2, 4)),
    "GELU": (nn.GELU, (2, 4)),
    "pool": (lambda: nn.AvgPool2d(2), (2, 2, 4, 4)),
}


def net():
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def loss(model):
    return lambda x: model(x).square().sum()


@pytest.mark.parametrize(
    "derivative",
    [
        lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),)),
        lambda f, x: torch.func.vjp(f, x)[1](torch.ones(3)),
        lambda f, x: torch.func.jacfwd(f)(x),
        lambda f, x: torch.func.jacrev(f)(x),
        lambda f, x: torch.func.hessian(f)(x),
    ],
)
def test_derivatives_with_quantized_weights_are_those_of_a_copy_quantized_by_hand(derivative):
    model, x = net(), torch.randn(4)
    wanted = derivative(hands.quantized_copy(model, "nearest,8,6"), x)
    tqt.quantize_model(model, **WEIGHTS)
    assert hands.same_bits(derivative(model, x), wanted)


@pytest.mark.parametrize(
    "maps", [OUTPUTS, {**OUTPUTS, "gradients": {"": {"error": "nearest,30,24"}}}]
)
def test_both_modes_give_one_jacobian_and_hessian_at_the_quantized_numbers(maps):
    model, x = net(), torch.randn(4)
    tqt.quantize_model(model, **maps)
    forward, reverse = torch.func.jacfwd(model)(x), torch.func.jacrev(model)(x)
    assert torch.allclose(forward, reverse, atol=1e-6) and forward.abs().max() > 0.1
    y, _ = torch.func.jvp(model, (x,), (torch.ones(4),))
    assert hands.same_bits(y, model(x))
    hessian = torch.func.hessian(loss(model))(x)
    rows = torch.func.jacfwd(torch.func.grad(loss(model)))(x)
    assert torch.allclose(hessian, rows, atol=1e-5) and hessian.abs().max() > 0.1


def test_tangents_of_parameters_reach_the_output():
    model, x = nn.Linear(4, 3), torch.randn(4)
    tqt.quantize_model(model, weights="nearest,8,6")
    parameters = dict(model.named_parameters())
    tangents = {name: torch.ones_like(p) for name, p in parameters.items()}

    def call(parameters):
        return torch.func.functional_call(model, parameters, (x,))

    y, dy = torch.func.jvp(call, (parameters,), (tangents,))
    assert hands.same_bits(y, model(x))
    assert torch.allclose(dy, (x.sum() + 1).expand(3))


@pytest.mark.parametrize("name", LAYERS)
def test_a_rounded_layer_has_the_tangents_and_gradients_of_the_float_one(name):
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape)
    dx = torch.randn(shape)
    floats = copy.deepcopy(layer)
    tqt.quantize_model(layer, intrinsic={"": INSIDE})
    wanted = layer(x).detach()
    for tangents in (lambda f: torch.func.jvp(f, (x,), (dx,)), lambda f: dual(f, x, dx)):
        assert hands.same_bits(tangents(layer), (wanted, tangents(floats)[1]))
    assert not hands.same_bits(wanted, floats(x))
    cotangent = torch.randn(wanted.shape)
    found, of_float = (torch.func.vjp(f, x)[1](cotangent) for f in (layer, floats))
    assert hands.same_bits(found, of_float)


def dual(function, x, dx):
    with forward_ad.dual_level():
        return tuple(forward_ad.unpack_dual(function(forward_ad.make_dual(x, dx))))


@pytest.mark.parametrize("name", LAYERS)
def test_a_rounded_layer_mapped_over_samples_has_the_bits_of_each(name):
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(3, *shape)
    tqt.quantize_model(layer, intrinsic={"": INSIDE})
    wanted = torch.stack([layer(one) for one in x])
    assert hands.same_bits(torch.vmap(layer)(x), wanted)
    gradient = torch.func.grad(lambda x: layer(x).sum())
    found = torch.vmap(gradient)(x)
    assert torch.allclose(found, torch.stack([gradient(one) for one in x]), atol=1e-6)


def test_what_a_rounded_layer_clips_has_no_tangent():
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 4.0], [0.25, 0.5]])
    with torch.no_grad():
        layer.weight.fill_(1)
    inside = {"product": "nearest,16,9", "accumulator": "nearest,6,2,grad=clipped"}
    tqt.quantize_model(layer, intrinsic={"": inside}, weights="none")
    y, dy = torch.func.jvp(layer, (x,), (torch.ones_like(x),))
    assert (y.tolist(), dy.tolist()) == ([[7.0], [0.75]], [[2.0], [2.0]])
    y, dy = torch.func.jvp(layer, (2 * x,), (torch.ones_like(x),))
    assert (y.tolist(), dy.tolist()) == ([[7.75], [1.5]], [[0.0], [2.0]])


@tq.register_quantizer("halves_gradients")
class HalvesGradients(tq.UserQuantizer):
    def quantize(self, x):
        return np.floor(x)

    def gradient(self, x, y, dy):
        return dy / 2


@pytest.mark.parametrize(
    "how", [lambda f, x: torch.func.jvp(f, (x,), (x,)), lambda f, x: dual(f, x, x)]
)
def test_a_gradient_of_ones_own_says_that_it_has_no_forward_mode(how):
    model, x = nn.Sequential(nn.ReLU()), torch.ones(2)
    tqt.quantize_model(model, extrinsic={"=0": "halves_gradients"})
    with pytest.raises(
        tq.Error, match="layer '0'.*'halves_gradients'.* not in forward mode .*jacrev"
    ):
        how(model, x)
    assert torch.func.jacrev(model)(x).diagonal().tolist() == [0.5, 0.5]
