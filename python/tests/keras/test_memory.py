"""Outputs may be quantized in their own memory, which nobody must see."""

import keras
import numpy as np
import pytest

import tensorquant as tq
import tensorquant.keras as tqk

SPEC = "nearest,4,1"
X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32) * 3


class Keeps(keras.layers.Layer):
    """Remembers what it returned."""

    def call(self, x):
        y = x * 2
        self.last = y
        return y


class Shares(keras.layers.Layer):
    """Returns what it holds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.held = self.add_weight(shape=(3, 4), initializer="ones", name="held")
        self.held.assign(X)

    def call(self, x):
        return keras.ops.convert_to_tensor(self.held)


def _call(layer, x=X):
    """In inference, where PyTorch records nothing."""
    x = keras.ops.convert_to_tensor(x)
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            return keras.ops.convert_to_numpy(layer(x)), keras.ops.convert_to_numpy(x)
    return keras.ops.convert_to_numpy(layer(x)), keras.ops.convert_to_numpy(x)


def test_what_a_layer_keeps_stays_float():
    layer = tqk.quantize_model(Keeps(name="it"), extrinsic={"it": SPEC})
    y, _ = _call(layer)
    assert y.tobytes() == tq.Quantizer(SPEC)(2 * X).tobytes()
    assert keras.ops.convert_to_numpy(layer.last).tobytes() == (2 * X).tobytes()


def test_what_a_layer_holds_stays_float():
    layer = tqk.quantize_model(Shares(name="it"), extrinsic={"it": SPEC})
    y, _ = _call(layer)
    assert y.tobytes() == tq.Quantizer(SPEC)(X).tobytes()
    assert keras.ops.convert_to_numpy(layer.held).tobytes() == X.tobytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.Activation("linear", name="it"),
        lambda: keras.layers.Dropout(0.5, name="it"),
        lambda: keras.layers.Flatten(name="it"),
        lambda: keras.layers.Reshape((2, 2), name="it"),
        lambda: keras.layers.Permute((1,), name="it"),
        lambda: keras.layers.Identity(name="it"),
    ],
)
def test_what_goes_through_a_layer_stays_float(make):
    layer = tqk.quantize_model(make(), extrinsic={"it": SPEC})
    y, x = _call(layer)
    assert x.tobytes() == X.tobytes()
    assert y.tobytes() == tq.Quantizer(SPEC)(X).tobytes()


def test_two_layers_read_one_float_tensor():
    """One of them gives its input on as it is."""
    x = keras.Input((4,))
    doubled = keras.layers.Rescaling(2.0, name="doubled")(x)
    same = keras.layers.Identity(name="same")(doubled)
    model = keras.Model(x, [same, keras.layers.Rescaling(1.0, name="float")(doubled)])
    tqk.quantize_model(model, extrinsic={"same": SPEC})
    quantized, floats = model.predict(X, verbose=0)
    assert quantized.tobytes() == tq.Quantizer(SPEC)(2 * X).tobytes()
    assert floats.tobytes() == (2 * X).tobytes()
