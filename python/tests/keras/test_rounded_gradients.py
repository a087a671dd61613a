"""Gradients of rounded layers are those of the function that they compute, by its differences."""

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant.keras as tqk

BACKEND = keras.backend.backend()
EXACT = {"product": "none", "accumulator": "none"}
UNIT = 72  # a multiple of every number of elements that a window here averages: quotients are exact


def _weights(shape):
    return np.random.default_rng(3).integers(-4, 5, shape).astype(np.float32)


def _gradient(layer, x, weights=_weights):
    """Of the sum of the outputs times fixed weights, by x."""

    def loss(x):
        y = layer(x)
        return keras.ops.sum(y * keras.ops.convert_to_tensor(weights(tuple(y.shape))))

    if BACKEND == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = loss(x)
        return tape.gradient(y, x).numpy()
    if BACKEND == "torch":
        import torch

        x = torch.from_numpy(x).requires_grad_()
        loss(x).backward()
        return x.grad.numpy()
    import jax

    return np.asarray(jax.grad(loss)(x))


def _differences(layer, x):
    """The same from the layer's outputs alone, which are linear in x and exact."""

    def outputs(x):
        return keras.ops.convert_to_numpy(layer(x)).astype(np.float64)

    moved = x + UNIT * np.eye(x.size, dtype=np.float32).reshape(x.size, *x.shape[1:])
    change = (outputs(moved) - outputs(x)) / UNIT
    return (change * _weights(change.shape[1:])).reshape(x.size, -1).sum(1).reshape(x.shape)


def _exact(layer, shape, data_format):
    """A layer with exact arithmetic and integer weights, and an input for it."""
    if data_format == "channels_first":
        shape = (shape[0], shape[-1], *shape[1:-1])
    layer = type(layer).from_config({**layer.get_config(), "data_format": data_format})
    layer.build(shape)
    layer.set_weights([np.round(cases.normal(*v.shape) * 3) for v in layer.weights])
    tqk.quantize_model(layer, intrinsic={"": EXACT}, strict=True)
    return layer, np.round(cases.normal(*shape) * 3) * UNIT


POOLS = [
    (L.AveragePooling1D, (9, 2), 3, 2),
    (L.AveragePooling1D, (7, 2), 4, 1),
    (L.AveragePooling1D, (8, 1), 2, 3),
    (L.AveragePooling2D, (5, 5, 1), (3, 2), (1, 2)),
    (L.AveragePooling2D, (5, 4, 2), (2, 3), (2, 1)),
    (L.AveragePooling2D, (6, 5, 2), (4, 3), (3, 3)),
    (L.AveragePooling2D, (4, 4, 1), (2, 2), (1, 1)),
    (L.AveragePooling3D, (3, 4, 3, 2), (3, 2, 2), (1, 2, 1)),
    (L.AveragePooling3D, (4, 3, 2, 1), (2, 2, 1), (2, 1, 2)),
    (L.AveragePooling3D, (3, 3, 4, 1), (2, 3, 2), (1, 1, 3)),
]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind, shape, window, stride", POOLS)
def test_gradients_of_average_pools_are_differences(
    kind, shape, window, stride, padding, data_format
):
    layer, x = _exact(kind(window, stride, padding), (1, *shape), data_format)
    np.testing.assert_allclose(_gradient(layer, x), _differences(layer, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "layer, shape",
    [
        (L.GlobalAveragePooling1D(), (6, 2)),
        (L.GlobalAveragePooling2D(keepdims=True), (2, 3, 2)),
        (L.GlobalAveragePooling3D(), (2, 3, 3, 1)),
    ],
    ids=["1d", "2d", "3d"],
)
def test_gradients_of_global_average_pools_are_differences(layer, shape, data_format):
    layer, x = _exact(layer, (1, *shape), data_format)
    np.testing.assert_allclose(_gradient(layer, x), _differences(layer, x), rtol=1e-6)


CONVOLUTIONS = [
    (L.Conv1D(3, 4, padding="same"), (7, 2)),
    (L.Conv1D(3, 4, padding="same", strides=3), (8, 2)),
    (L.Conv1D(2, 3, dilation_rate=2), (8, 2)),
    (L.Conv2D(2, (2, 3), padding="same", strides=(2, 1)), (5, 4, 2)),
    (L.Conv2D(4, (3, 2), padding="same", groups=2), (4, 3, 4)),
    (L.Conv2D(2, (4, 2), padding="same", strides=2), (5, 5, 1)),
    (L.Conv3D(2, (2, 3, 2), padding="same", strides=(1, 2, 1)), (3, 4, 3, 1)),
    (L.DepthwiseConv1D(4, padding="same", depth_multiplier=2), (5, 2)),
    (L.DepthwiseConv2D((4, 2), padding="same"), (5, 4, 2)),
]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("layer, shape", CONVOLUTIONS)
def test_gradients_of_convolutions_are_differences(layer, shape, data_format):
    layer, x = _exact(layer, (1, *shape), data_format)
    found = _gradient(layer, x)  # of integers, so that every sum is exact
    assert cases.same_bits(found, _differences(layer, x).astype(np.float32))


def test_gradients_of_a_causal_convolution_are_differences():
    layer, x = _exact(L.Conv1D(2, 3, padding="causal", dilation_rate=2), (1, 7, 2), "channels_last")
    assert cases.same_bits(_gradient(layer, x), _differences(layer, x).astype(np.float32))


def test_each_element_of_a_padded_pool_has_its_share_of_its_windows():
    layer, x = _exact(L.AveragePooling2D((3, 2), (1, 2), "same"), (1, 5, 5, 1), "channels_last")
    found = _gradient(layer, x, lambda shape: np.ones(shape, np.float32))[0, :, :, 0]
    # By hand: the windows of rows 1 to 5 have 2, 3, 3, 3, 2 rows, and 2 columns but for the last.
    rows = np.array([1 / 2 + 1 / 3, 1 / 2 + 2 / 3, 1, 1 / 2 + 2 / 3, 1 / 2 + 1 / 3])
    wanted = rows[:, None] * np.array([1 / 2, 1 / 2, 1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def _self_attention(make):
    class SelfAttention(L.Layer):
        def __init__(self):
            super().__init__()
            self.it = make()

        def call(self, x):
            return self.it(x, x, use_causal_mask=True)

    return SelfAttention


def _of_two(make):
    class OfTwo(L.Layer):
        def __init__(self):
            super().__init__()
            self.it = make()

        def call(self, x):
            return self.it([x, keras.ops.flip(x, axis=1)])

    return OfTwo


ON_VALUES = {
    **{
        name: lambda name=name: L.Activation(name)
        for name in ("gelu", "silu", "softmax", "log_softmax", "elu", "glu", "softplus")
    },
    "exponential": lambda: L.Activation("exponential"),
    "leaky relu": lambda: L.LeakyReLU(0.3),
    "prelu": lambda: L.PReLU(),
    "softmax of two axes": lambda: L.Softmax([1, 2]),
    "layer norm": lambda: L.LayerNormalization([1, 2]),
    "rms norm": lambda: L.RMSNormalization(),
    "group norm": lambda: L.GroupNormalization(2),
    "batch norm": lambda: L.BatchNormalization(),
    "unit norm": lambda: L.UnitNormalization(),
    "dense": lambda: L.Dense(3, activation="tanh"),
    "heads": _self_attention(lambda: L.MultiHeadAttention(2, 3)),
    "groups": _self_attention(lambda: L.GroupQueryAttention(3, 4, 2)),
    "add": _of_two(lambda: L.Add()),
    "average": _of_two(lambda: L.Average()),
    "multiply": _of_two(lambda: L.Multiply()),
    "dot": _of_two(lambda: L.Dot(2)),
    "attention": _of_two(lambda: L.Attention(use_scale=True)),
    "additive attention": _of_two(lambda: L.AdditiveAttention()),
}


@pytest.mark.parametrize("name", ON_VALUES)
def test_gradients_of_exact_arithmetic_are_the_float_layers(name):
    x = cases.normal(2, 3, 4)
    given = keras.Input(x.shape[1:])
    layer = ON_VALUES[name]()
    model = keras.Model(given, layer(given))
    for variable in model.trainable_variables:
        variable.assign(cases.normal(*variable.shape))

    def gradients():
        ofs = [_gradient(model, x)]
        return ofs + (cases.gradients(model, x) if model.trainable_variables else [])

    wanted = gradients()
    tqk.quantize_model(model, intrinsic={"": EXACT}, strict=True)
    assert tqk.summary(model, print_fn=None)[0].intrinsic not in ("", "nothing to round")
    for found, one in zip(gradients(), wanted, strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-4, atol=1e-4)


def test_training_with_exact_arithmetic_is_the_float_models():
    """A batch normalization lets gradients through the statistics of its batch."""
    x, y = cases.normal(8, 6), cases.normal(8, 2)
    results = []
    for maps in ({}, {"intrinsic": {"": EXACT}}):
        model = keras.Sequential(
            [keras.Input((6,)), L.Dense(5), L.BatchNormalization(), L.Dense(2, activation="tanh")]
        )
        for variable in model.trainable_variables:
            variable.assign(cases.normal(*variable.shape))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        if maps:
            tqk.quantize_model(model, **maps)
        model.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_exponential_that_is_not_taken_has_no_part_in_a_gradient():
    layer = tqk.quantize_model(L.ELU(0.5), intrinsic={"": EXACT})
    x = np.array([[1000.0, -1.0, 0.0]], np.float32)
    found = _gradient(layer, x, lambda shape: np.ones(shape, np.float32))
    np.testing.assert_allclose(found, [[1.0, 0.5 * np.exp(-1.0), 0.5]], rtol=1e-6)
