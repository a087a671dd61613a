"""The same network in Keras and in PyTorch, under the same maps: the same bits."""

import os

import hands
import pytest
import torch
from torch import nn

import tensorquant.torch as tqt

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend", allow_module_level=True)
import tensorquant.keras as tqk


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.relu = nn.ReLU()
        self.depth = nn.Conv2d(6, 6, 2, groups=6)
        self.pool = nn.AvgPool2d(2)
        self.all = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = self.pool(self.depth(self.relu(self.conv(x))))
        return self.fc(self.all(x).flatten(1))


def in_keras(net):
    first = {"data_format": "channels_first"}
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((2, 8, 8)),
            layers.Conv2D(6, 3, name="conv", **first),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(2, name="depth", **first),
            layers.AveragePooling2D(2, name="pool", **first),
            layers.GlobalAveragePooling2D(name="all", **first),
            layers.Dense(4, name="fc"),
        ]
    )

    def kernel(layer, *axes):
        return layer.weight.detach().permute(*axes).numpy()

    model.set_weights(
        [
            kernel(net.conv, 2, 3, 1, 0),
            net.conv.bias.detach().numpy(),
            kernel(net.depth, 2, 3, 0, 1),
            net.depth.bias.detach().numpy(),
            kernel(net.fc, 1, 0),
            net.fc.bias.detach().numpy(),
        ]
    )
    return model


NAMES = ["conv", "depth", "pool", "all", "fc"]
INSIDE = {"": {"product": "nearest,16,8", "accumulator": "nearest,18,9", "accumulate": "chunk:4"}}
MAPS = {
    "weights": {
        "weights": "nearest,8,6",
        "intrinsic": {"": {"product": "none", "accumulator": "none"}},  # in a fixed order
    },
    "channels and blocks": {
        "weights": {"conv": "int,4,per=channel,scale=max", "": "int,4,block=2,scale=max"},
        "intrinsic": {"": {**INSIDE[""], "order": "tap"}},
    },
    "outputs": {"weights": "nearest,8,6", "extrinsic": "nearest,10,6", "intrinsic": INSIDE},
    "random outputs": {"extrinsic": "stochastic,8,4", "intrinsic": INSIDE},
    "scaled outputs": {"extrinsic": {"re:conv|depth": "int,8,scale=max"}, "intrinsic": INSIDE},
    "arithmetic": {"intrinsic": INSIDE},
    "random arithmetic": {"intrinsic": "stochastic,16,8"},
    "hardware": {"weights": "float,4,3", "intrinsic": {"": "hopper_fp8"}},
}


@pytest.mark.parametrize("name", MAPS)
def test_the_same_maps_give_the_same_bits(name):
    net, x = Net(), torch.randn(3, 2, 8, 8)
    model = in_keras(net)
    maps = MAPS[name]
    tqk.quantize_model(model, **maps, seed=5)
    tqt.quantize_model(net.eval(), **maps, seed=5)
    with torch.no_grad():
        found, wanted = net(x), model(x)
    assert hands.same_bits(found, wanted)
    mine = {row.layer: row for row in tqt.summary(net, print_fn=None)}
    theirs = {row.layer: row for row in tqk.summary(model, print_fn=None)}
    for layer in NAMES:
        assert mine[layer]._replace(type="") == theirs[layer]._replace(type="")


def test_steps_are_counted_alike():
    net, x = Net(), torch.randn(3, 2, 8, 8)
    model = in_keras(net)
    for quantize_model, one in ((tqk.quantize_model, model), (tqt.quantize_model, net)):
        quantize_model(one, extrinsic="stochastic,8,4", intrinsic=INSIDE, seed=5)
    for _ in range(3):
        found, wanted = net(x), model(x, training=True)
        assert hands.same_bits(found, wanted)
    steps = {name: tqk.layer_steps(model)[name] for name in NAMES}
    assert {name: tqt.layer_steps(net)[name] for name in NAMES} == steps
