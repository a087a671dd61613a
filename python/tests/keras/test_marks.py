"""Values that a quantizer has made are not quantized again by an equal one."""

import keras
import numpy as np
import pytest
from keras import layers

import tensorquant as tq
import tensorquant.keras as tqk
from tensorquant import _core as native
from tensorquant.keras import plan
from tensorquant.ops.common import traits

X = np.concatenate(
    [
        np.random.default_rng(0).normal(size=4000).astype(np.float32) * 4,
        np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 6.0, 3e38, 1], np.float32),
        np.random.default_rng(1).integers(0, 2**32, 20000, np.uint32).view(np.float32),
    ]
).reshape(5, -1)

MOVING = {
    "relu": lambda: layers.ReLU(),
    "relu6": lambda: layers.ReLU(max_value=6),
    "relu of 2.5": lambda: layers.ReLU(max_value=2.5),
    "relu from 1 on": lambda: layers.ReLU(threshold=1),
    "activation": lambda: layers.Activation("relu"),
    "activation6": lambda: layers.Activation("relu6"),
    "no activation": lambda: layers.Activation("linear"),
    "dropout in inference": lambda: layers.Dropout(0.5),
    "flatten": lambda: layers.Flatten(),
    "repeat": lambda: layers.RepeatVector(2),
}
INCOMING = {"relu6": 6.0, "activation6": 6.0, "relu of 2.5": 2.5}


class Derived(layers.ReLU):
    def call(self, x):
        return super().call(x) / 2


@tq.register_quantizer("half_of_it")
class Half(tq.UserQuantizer):
    def quantize(self, x):
        return x / np.float32(2)


@pytest.fixture
def count(monkeypatch):
    """Counts the outputs that are quantized."""
    counted = []

    def counting(function):
        def call(*args):
            counted.append(function.__name__)
            return function(*args)

        return call

    for name in ("quantize", "quantize_last"):
        monkeypatch.setattr(plan, name, counting(getattr(plan, name)))
    return counted


def _array(x):
    return keras.ops.convert_to_numpy(x)


def _chain(make, spec, other=None):
    first, second = layers.Identity(name="first"), make()
    model = keras.Sequential([first, second])
    return tqk.quantize_model(model, extrinsic={"first": spec, second.name: other or spec})


def _expected(make, spec, other=None, x=X):
    """The layer's own values, quantized before and after by NumPy's front-end."""
    once = tq.Quantizer(spec)(x)
    return tq.Quantizer(other or spec)(_array(make()(keras.ops.convert_to_tensor(once))))


def _same(found, expected):
    np.testing.assert_array_equal(
        _array(found).view(np.uint32), np.asarray(expected).view(np.uint32)
    )


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize(
    "spec", ["nearest,8,4", "even,12,6,overflow=wrap", "float,4,3", "bf16", "fp16", "even,8,-2"]
)
def test_moved_values_are_quantized_once(kind, spec, count):
    y = _chain(MOVING[kind], spec)(X)
    _same(y, _expected(MOVING[kind], spec))
    incoming = np.float32([INCOMING.get(kind, 0)])
    assert len(count) == (1 if tq.Quantizer(spec)(incoming) == incoming else 2)


def test_padding_and_cropping_leave_values_quantized_once(count):
    x = X[:, :4800].reshape(5, 20, 20, 12)

    def make():
        return keras.Sequential(
            [
                layers.ZeroPadding2D(1, name="pad"),
                layers.Cropping2D(2, name="crop"),
                layers.Permute((2, 1, 3), name="permute"),
                layers.Reshape((3, -1), name="reshape"),
            ]
        )

    model = tqk.quantize_model(make(), extrinsic="nearest,8,4")
    _same(model(x), _expected(make, "nearest,8,4", x=x))
    assert len(count) == 1  # the model's input


@pytest.mark.parametrize(
    "spec, other",
    [
        ("nearest,8,4", "nearest,8,3"),  # another grid
        ("nearest,8,4", "even,8,4"),
        ("binary", "binary"),  # 0 is no value of it
        ("ternary", "ternary"),  # the threshold is the tensor's
        ("nearest,8,4", "ternary"),
    ],
)
def test_values_that_may_change_are_quantized_again(spec, other, count):
    x = X[:, :800]
    y = _chain(layers.ReLU, spec, other)(x)
    _same(y, _expected(layers.ReLU, spec, other, x))
    assert len(count) == 2


def test_random_rounding_is_done_each_time(count):
    _chain(layers.ReLU, "stochastic,8,4")(X)
    assert len(count) == 2


@pytest.mark.parametrize(
    "make", [lambda: layers.ReLU(negative_slope=0.25), Derived, lambda: layers.Rescaling(0.3)]
)
def test_what_computes_is_quantized(make, count):
    y = _chain(make, "nearest,8,4")(X)
    _same(y, _expected(make, "nearest,8,4"))
    assert len(count) == 2


def test_a_users_quantizer_may_change_its_own_values(count):
    x = X[:, :100]
    _same(_chain(layers.ReLU, "half_of_it")(x), np.maximum(x / 2, 0) / 2)
    assert len(count) == 2


def test_16_bit_floats_are_quantized_each_time(count):
    """A value of the format may have no number of its own in them."""
    x = keras.ops.cast(np.random.default_rng(2).normal(size=(4, 50)), "float16")
    model = keras.Sequential([layers.Identity(dtype="float16"), layers.ReLU(dtype="float16")])
    tqk.quantize_model(model, extrinsic={"identity": "nearest,16,15", "re_lu": "nearest,16,15"})(x)
    assert len(count) == 2


def _replace_data(y):
    y.data = y + 0.01


def _change_in_inference_mode(y):
    import torch

    with torch.inference_mode():
        y.mul_(0.3)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.mul_(0.3),
        lambda y: y[0].add_(0.01),
        lambda y: y.detach().add_(0.01),
        _replace_data,
        _change_in_inference_mode,
    ],
)
def test_a_mark_does_not_outlive_the_values(change, count):
    """PyTorch's tensors can be overwritten between two layers."""
    if keras.backend.backend() != "torch":
        pytest.skip("tensors of this backend never change")
    first = tqk.quantize_model(layers.Identity(name="it"), extrinsic={"it": "nearest,8,4"})
    relu = tqk.quantize_model(layers.ReLU(name="it"), extrinsic={"it": "nearest,8,4"})
    y = first(X)
    change(y)
    wanted = tq.Quantizer("nearest,8,4")(np.maximum(_array(y), 0))
    _same(relu(y), wanted)
    assert len(count) == 2


@pytest.mark.parametrize("spec", native.op_examples())
def test_formats_leave_their_own_values_as_they_are(spec):
    q = tq.Quantizer(spec)
    if not traits(spec).is_idempotent:
        pytest.skip("claims no such thing")
    with np.errstate(invalid="ignore"):  # of NaN
        doubles = X.astype(np.float64)
    for x in (X, doubles):
        once = q(x)
        assert q(once).tobytes() == once.tobytes()


def test_a_compiled_model_has_the_same_bits(count):
    model = _chain(layers.ReLU, "nearest,8,4")
    _same(model.predict(X, verbose=0), _expected(layers.ReLU, "nearest,8,4"))


def test_gradients_are_those_of_quantizing_twice():
    def trained(make):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([layers.Input((8,)), layers.Dense(8, name="dense"), make()])
        tqk.quantize_model(model, extrinsic="nearest,8,4")
        model.compile(keras.optimizers.SGD(0.1), "mse")
        x = np.random.default_rng(4).normal(size=(32, 8)).astype(np.float32)
        model.fit(x, x, epochs=2, verbose=0)
        return [w.tobytes() for w in model.get_weights()]

    class Same(layers.ReLU):
        """No class that is known, so that its output is quantized."""

    assert trained(layers.ReLU) == trained(Same)
