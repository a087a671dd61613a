"""Models notice layers that come after their quantizers, and look for them only where some may have."""

import cases
import keras
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant.keras import container

X = cases.normal(2, 4)


class _Holding(keras.Model):
    """A model of a user's class that calls what it is given, in order."""

    def __init__(self, *inside):
        super().__init__(name="holding")
        self.inside = list(inside)

    def call(self, x):
        for layer in self.inside:
            x = layer(x)
        return x


class _Attention(L.Layer):
    """Attention over an axis that is added; its weights are made when it is built."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = L.MultiHeadAttention(1, 2, name="attention")

    def call(self, x):
        x = x[:, None]
        return self.attention(x, x)[:, 0]


class _Late(keras.Model):
    def build(self, shape):
        self.late = L.Dense(2, name="late")
        self.late.build(shape)

    def call(self, x):
        return self.late(x)


def test_a_model_that_makes_layers_when_built_must_be_built_first():
    model = tqk.quantize_model(_Late(name="m"), extrinsic={"input": "nearest,8,4"})
    with pytest.raises(tq.Error, match="_Late 'm' made layers after its quantizers were chosen"):
        model(X)


@pytest.mark.parametrize("change", ["adds", "exchanges"])
def test_a_sequential_model_inside_that_gets_a_layer_later_is_noticed(change):
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4), L.Dense(4)], name="inner")
    x = keras.Input((4,))
    model = keras.Model(x, inner(x), name="m")
    tqk.quantize_model(model, extrinsic={"input": "nearest,8,4"})
    model(X)
    if change == "exchanges":
        inner.pop()
    inner.add(L.ReLU())
    with pytest.raises(tq.Error, match="'m' made layers after its quantizers were chosen"):
        model(X)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Dense(3, name="a"),
        lambda: keras.Sequential([L.Dense(3), L.Dense(2)], name="s"),
        lambda: _Attention(name="attention"),
    ],
    ids=["layer", "sequential", "attention"],
)
def test_what_layers_make_for_themselves_when_built_is_nothing_new(make):
    model = tqk.quantize_model(_Holding(make()), extrinsic="nearest,8,4")
    assert cases.same_bits(cases.outputs(model, X)[0], cases.outputs(model, X)[0])


@pytest.mark.parametrize("case", ["subclassed", "nested"])
def test_a_call_does_not_walk_the_model(monkeypatch, case):
    model, x = cases.make(case)
    tqk.quantize_model(model, extrinsic={"input": "nearest,8,4", "": "nearest,8,5"})
    model(x)

    def walk(_):
        raise AssertionError("a call walks the model")

    monkeypatch.setattr(container, "walk", walk)
    model(x)
