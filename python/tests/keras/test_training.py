"""model.fit with Keras' default settings."""

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk


def _network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(4, 3, name="conv"),
            L.BatchNormalization(name="norm"),
            L.ReLU(name="relu"),
            L.Flatten(name="flatten"),
            L.Dropout(0.1, name="drop"),
            L.Dense(3, name="fc"),
        ]
    )


def _data():
    numbers = cases.rng()
    y = numbers.integers(0, 3, 48)
    x = numbers.normal(size=(48, 8, 8, 1)) * 0.3
    x[np.arange(48), y * 2 + 1] += 1
    return x.astype(np.float32), y


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    "maps",
    [
        {"weights": "nearest,8,6", "extrinsic": "nearest,12,6"},
        {"weights": "stochastic,8,6", "extrinsic": "stochastic,12,6"},
        {"weights": "nearest,8,6,grad=clipped", "extrinsic": "float,4,3,grad=clipped"},
        {"intrinsic": {"norm": None, "": "nearest,16,8"}},
    ],
    ids=["straight-through", "random", "clipped", "rounded"],
)
def test_fit_learns_through_quantizers(maps):
    model = _network()
    model.compile(keras.optimizers.Adam(0.02), LOSS, metrics=["accuracy"])
    optimizer = model.optimizer
    x, y = _data()
    model.fit(x, y, batch_size=16, verbose=0)  # a trace of the float model
    tqk.quantize_model(model, **maps)
    assert model.compiled and model.optimizer is optimizer
    history = model.fit(x, y, batch_size=16, epochs=6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.evaluate(x, y, verbose=0)[1] > 0.6
    moving = keras.ops.convert_to_numpy(model.get_layer("norm").moving_mean)
    assert np.any(moving)


def test_a_compiled_model_computes_with_its_quantizers_at_once():
    model = _network()
    x, _ = _data()
    wanted = model.predict(x, verbose=0)
    tqk.quantize_model(model, extrinsic={"fc": "nearest,8,4"})
    q = tq.Quantizer("nearest,8,4")
    assert np.array_equal(model.predict(x, verbose=0), q(model.predict(x, verbose=0)))
    tqk.strip(model)
    assert cases.same_bits(model.predict(x, verbose=0), wanted)


def test_clipped_gradients_are_zero_out_of_range():
    model, x = cases.make("dense")
    tqk.quantize_model(model, weights="nearest,3,2,grad=clipped")
    kernel = keras.ops.convert_to_numpy(model.weights[0])
    outside = (kernel < -1) | (kernel > 0.75)
    assert outside.any()
    gradient, _ = cases.gradients(model, x)
    assert not gradient[outside].any() and gradient[~outside].any()


def test_a_clipped_output_may_be_overwritten_before_the_way_back():
    if keras.backend.backend() != "torch":
        pytest.skip("tensors of this backend never change")
    import torch

    layer = L.Dense(3, kernel_initializer="ones", name="it")
    tqk.quantize_model(
        keras.Sequential([keras.Input((1,)), layer]), extrinsic="nearest,8,4,grad=clipped"
    )
    x = torch.tensor([[0.5], [9.0]], requires_grad=True)
    torch.nn.functional.relu(layer(x), inplace=True).sum().backward()
    assert x.grad.tolist() == [[3], [0]]


@tq.register_quantizer("halved_in_keras_test")
class Halved(tq.UserQuantizer):
    def quantize(self, x):
        return np.round(x * 4) / 4

    def gradient(self, x, y, dy):
        return dy / 2


def test_a_quantizer_s_own_gradient_is_used():
    model, x = cases.make("dense")
    tqk.quantize_model(model, weights="nearest,32,2")  # the same numbers
    wanted = cases.gradients(model, x)
    tqk.quantize_model(model, weights="halved_in_keras_test")
    found = cases.gradients(model, x)
    assert all(cases.same_bits(a * 2, b) for a, b in zip(found, wanted))


def test_frozen_layers_are_quantized_too():
    model, x = cases.make("dense")
    wanted = cases.outputs(tqk.quantize_model(model, weights="nearest,4,2"), x)
    tqk.strip(model)
    model.trainable = False
    tqk.quantize_model(model, weights="nearest,4,2")
    assert all(map(cases.same_bits, cases.outputs(model, x), wanted))
