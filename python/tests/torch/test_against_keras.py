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


class Block(nn.Module):
    """That of a transformer, pre-norm."""

    def __init__(self, size=8, heads=2):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(size, eps=1e-3), nn.LayerNorm(size, eps=1e-3)
        self.norm3 = nn.RMSNorm(size, eps=1e-6)
        self.attn = nn.MultiheadAttention(size, heads, batch_first=True)
        self.up, self.act, self.down = nn.Linear(size, 16), nn.GELU(), nn.Linear(16, size)
        self.head, self.softmax = nn.Linear(size, 3), nn.Softmax(-1)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        x = x + self.down(self.act(self.up(self.norm2(x))))
        return self.softmax(self.head(self.norm3(x)))


def block_in_keras(block, size=8):
    layers = keras.layers
    x = given = keras.Input((5, size))
    y = layers.LayerNormalization(name="norm1")(x)
    y = layers.MultiHeadAttention(block.heads, size // block.heads, name="attn")(y, y)
    x = layers.Add(name="add")([x, y])
    y = layers.Dense(16, name="up")(layers.LayerNormalization(name="norm2")(x))
    y = layers.Dense(size, name="down")(layers.Activation("gelu", name="act")(y))
    x = layers.RMSNormalization(name="norm3")(layers.Add(name="add_1")([x, y]))
    x = layers.Softmax(name="softmax")(layers.Dense(3, name="head")(x))
    model = keras.Model(given, x)

    def of(name):
        layer = getattr(block, name)
        return [p.detach().T for p in (layer.weight, getattr(layer, "bias", None)) if p is not None]

    inside = (block.heads, size // block.heads)
    kernels, biases = block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3)
    attention = []
    for kernel, bias in zip(kernels, biases):
        attention += [kernel.T.reshape(size, *inside), bias.reshape(inside)]
    output = block.attn.out_proj
    attention += [output.weight.T.reshape(*inside, size), output.bias]
    for layer in model.layers:
        if layer.weights:
            numbers = attention if layer.name == "attn" else of(layer.name)
            layer.set_weights([x.detach().numpy() for x in numbers])
    return model


OF_A_BLOCK = {
    "rounded": {"intrinsic": {"re:.*": {"product": "float,8,10", "accumulator": "float,8,13"}}},
    "two accumulators": {"intrinsic": {"re:.*": "deepseek_fp8"}},
    "quantized": {
        "weights": "nearest,8,6",
        "extrinsic": {"norm": "nearest,10,6"},
        "intrinsic": {"re:.*": {"product": "nearest,18,10", "accumulator": "nearest,24,12"}},
    },
}


@pytest.mark.parametrize("name", OF_A_BLOCK)
def test_a_block_of_a_transformer_has_the_same_bits(name):
    torch.manual_seed(3)
    block, x = Block().eval(), torch.randn(3, 5, 8)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    model = block_in_keras(block)
    assert torch.allclose(block(x), model(x), atol=1e-5)
    tqk.quantize_model(model, **OF_A_BLOCK[name])
    tqt.quantize_model(block, **OF_A_BLOCK[name])
    with torch.no_grad():
        found, wanted = block(x), model(x)
    assert hands.same_bits(found, wanted)
