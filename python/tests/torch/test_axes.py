"""Blocks, rows and channels run along the axes that each layer gives its weights and outputs."""

import operator
from typing import ClassVar

import hands
import models
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.torch as tqt

SPECS = [
    "int,4,scale=max",
    "int,4,per=channel,scale=max",
    "int,4,per=row,scale=max",
    "int,4,block=3,scale=max",
    "nvfp4,block=2",
]
VECTOR = (0, 0)
FIRST, SWAPPED = (1, 0), (0, 1)  # axes of the reduction and of the channels


def recurrent(names):
    return {name: VECTOR if "bias" in name else FIRST for name in names.split()}


PARAMETERS = {
    "linear": (lambda: nn.Linear(7, 5), {"weight": FIRST, "bias": VECTOR}),
    "bilinear": (lambda: nn.Bilinear(4, 3, 2), {"weight": FIRST, "bias": VECTOR}),
    "embedding": (lambda: nn.Embedding(6, 5), {"weight": FIRST}),
    "conv1d": (lambda: nn.Conv1d(5, 4, 3), {"weight": FIRST, "bias": VECTOR}),
    "conv2d": (lambda: nn.Conv2d(5, 4, 3), {"weight": FIRST, "bias": VECTOR}),
    "conv3d": (lambda: nn.Conv3d(5, 4, 2), {"weight": FIRST, "bias": VECTOR}),
    "grouped": (lambda: nn.Conv2d(8, 6, 2, groups=2), {"weight": FIRST, "bias": VECTOR}),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4), {"weight": FIRST, "bias": VECTOR}),
    "transposed1d": (lambda: nn.ConvTranspose1d(5, 4, 3), {"weight": SWAPPED, "bias": VECTOR}),
    "transposed2d": (lambda: nn.ConvTranspose2d(5, 4, 3), {"weight": SWAPPED, "bias": VECTOR}),
    "transposed3d": (lambda: nn.ConvTranspose3d(5, 4, 2), {"weight": SWAPPED, "bias": VECTOR}),
    "batch norm": (lambda: nn.BatchNorm2d(5), {"weight": VECTOR, "bias": VECTOR}),
    "prelu": (lambda: nn.PReLU(5), {"weight": VECTOR}),
    "lstm": (
        lambda: nn.LSTM(5, 3, proj_size=2),
        recurrent("weight_ih_l0 weight_hh_l0 bias_ih_l0 bias_hh_l0 weight_hr_l0"),
    ),
    "gru cell": (lambda: nn.GRUCell(5, 3), recurrent("weight_ih weight_hh bias_ih bias_hh")),
    "attention": (
        lambda: nn.MultiheadAttention(6, 2),
        {
            "in_proj_weight": FIRST,
            "in_proj_bias": VECTOR,
            "out_proj.weight": FIRST,
            "out_proj.bias": VECTOR,
        },
    ),
}


def numpys(x, spec, reduction, channel):
    return hands.quantized(x, spec, reduction_axis=reduction, channel_axis=channel)


def read_inside(layer, names):
    """Parameters of a layer as its forward reads them."""
    plan = vars(layer)["_tensorquant"]

    def look(layer):
        found.update({name: operator.attrgetter(name)(layer) for name in names})

    found = {}
    plan.call(layer, look, (), {})
    return found


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_has_the_axes_of_its_layer(name, spec):
    make, axes = PARAMETERS[name]
    layer = make()
    models.leave_the_grid(layer)
    assert {name for name, _ in layer.named_parameters()} == set(axes)
    float_values = {key: layer.get_parameter(key).detach().clone() for key in axes}
    tqt.quantize_model(layer, weights=spec)
    for key, found in read_inside(layer, axes).items():
        assert hands.same_bits(found, numpys(float_values[key], spec, *axes[key])), key


OUTPUTS = {
    "linear": (lambda: nn.Linear(3, 4), [(2, 5, 3), (3,)], -1),
    "embedding": (lambda: nn.Embedding(5, 4), [(2, 3)], -1),
    "layer norm": (lambda: nn.LayerNorm(4), [(2, 3, 4)], -1),
    "lstm": (lambda: nn.LSTM(3, 4), [(5, 2, 3), (5, 3)], -1),
    "conv1d": (lambda: nn.Conv1d(3, 4, 2), [(2, 3, 5), (3, 5)], -2),
    "conv2d": (lambda: nn.Conv2d(3, 4, 2), [(2, 3, 5, 4), (3, 5, 4)], -3),
    "conv3d": (lambda: nn.Conv3d(3, 4, 2), [(2, 3, 3, 4, 2), (3, 3, 4, 2)], -4),
    "average pool": (lambda: nn.AvgPool2d(2), [(2, 3, 4, 4), (3, 4, 4)], -3),
    "batch norm": (lambda: nn.BatchNorm2d(3), [(2, 3, 4, 4)], -3),
    "batch norm of rows": (lambda: nn.BatchNorm1d(3), [(4, 3), (4, 3, 5)], 1),
    "relu": (nn.ReLU, [(2, 3, 4, 4), (2, 3)], 1),
    "relu of a vector": (nn.ReLU, [(5,)], 0),
    "average pool of rows": (lambda: nn.AdaptiveAvgPool1d(2), [(3, 4)], -2),
}


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_the_axes_of_its_layer(name, spec):
    make, shapes, axis = OUTPUTS[name]
    for shape in shapes:
        layer = make()
        x = torch.randint(5, shape) if name == "embedding" else torch.randn(shape)
        wanted = [numpys(y, spec, axis, axis) for y in hands.tensors(layer(x))]
        assert hands.same_bits(tqt.quantize_model(layer, extrinsic=spec)(x), wanted)


def test_a_layer_may_tell_its_axes_itself():
    class Transposed(nn.Linear):
        """As transformers' Conv1D: (inputs, outputs)."""

        quantizer_axes: ClassVar = {
            "weight": {"reduction_axis": 0, "channel_axis": 1},
            "output": {"reduction_axis": 0, "channel_axis": 0},
        }

    spec = SPECS[1]
    layer, x = Transposed(3, 4), torch.randn(2, 3)
    weight = numpys(layer.weight, spec, 0, 1)
    tqt.quantize_model(layer, weights={"": {"weight": spec}}, extrinsic=spec)
    wanted = numpys(nn.functional.linear(x, weight, layer.bias), spec, 0, 0)
    assert hands.same_bits(layer(x), wanted)


def test_wrong_axes_are_an_error_before_anything_runs():
    layer = nn.Linear(3, 4)
    layer.quantizer_axes = {"weight": {"reduction": 0}}
    with pytest.raises(tq.Error, match="its quantizer_axes have 'reduction' for 'weight'"):
        tqt.quantize_model(nn.Sequential(layer), weights=SPECS[2])


def test_a_lazy_layer_has_no_axes_yet():
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(tq.Error, match=r"'0' \(LazyLinear\): its parameter 'weight' has no shape"):
        tqt.quantize_model(model, weights=SPECS[1])


def test_inputs_are_images_or_rows_with_the_channels_at_1():
    model, x = nn.Sequential(nn.Identity()), torch.randn(2, 3, 4)
    tqt.quantize_model(model, extrinsic={"=input": SPECS[1]})
    assert hands.same_bits(model(x), numpys(x, SPECS[1], 1, 1))
