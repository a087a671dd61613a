"""In graphs of TensorFlow, values that a quantizer has made are not quantized again."""

import numpy as np
import pytest

import tensorquant as tq

tf = pytest.importorskip("tensorflow")

from tensorquant.ops.tensorflow import quantize

X = np.concatenate(
    [
        np.random.default_rng(0).normal(size=4000).astype(np.float32) * 4,
        np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 6.0, 3e38], np.float32),
        np.random.default_rng(1).integers(0, 2**32, 20000, np.uint32).view(np.float32),
    ]
)

MOVING = {
    "nothing": lambda x: x,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "pad": lambda x: tf.pad(x, [[1, 2]]),
    "reshape": lambda x: tf.reshape(x, (-1, 1)),
    "relu6 and pad": lambda x: tf.pad(tf.nn.relu6(x), [[1, 2]]),
}


def _run(body, x):
    """The result of a function in a graph, and how many quantizers the graph has."""
    graph = tf.function(body).get_concrete_function(tf.TensorSpec(x.shape, x.dtype))
    count = sum(op.type == "TensorquantQuantize" for op in graph.graph.get_operations())
    return graph(tf.constant(x)).numpy(), count


def _twice(x, moving, spec, other=None):
    """The same in NumPy, quantized both times; TensorFlow moves the values."""
    once = tq.Quantizer(spec)(x)
    return tq.Quantizer(other or spec)(np.asarray(moving(tf.constant(once))))


@pytest.mark.parametrize("moving", MOVING)
@pytest.mark.parametrize(
    "spec", ["nearest,8,4", "even,12,6,overflow=wrap", "float,4,3", "bf16", "fp16", "even,8,-2"]
)
def test_values_that_were_moved_alone_are_quantized_once(moving, spec):
    move = MOVING[moving]
    y, count = _run(lambda x: quantize(move(quantize(x, spec)), spec), X)
    np.testing.assert_array_equal(y.view(np.uint32), _twice(X, move, spec).view(np.uint32))
    six_is_a_value = tq.Quantizer(spec)(np.float32([6]))[0] == 6
    assert count == (1 if "relu6" not in moving or six_is_a_value else 2)


@pytest.mark.parametrize(
    "spec, other",
    [
        ("nearest,8,4", "nearest,8,3"),  # another grid
        ("nearest,8,4", "even,8,4"),
        ("binary", "binary"),  # 0 is no value of it
        ("ternary", "ternary"),  # the threshold is the tensor's
        ("stochastic,8,4", "stochastic,8,4"),
    ],
)
def test_values_that_may_change_are_quantized_again(spec, other):
    y, count = _run(lambda x: quantize(tf.nn.relu(quantize(x, spec)), other), X[:4000])
    assert count == 2
    expected = _twice(X[:4000], tf.nn.relu, spec, other)
    np.testing.assert_array_equal(y.view(np.uint32), expected.view(np.uint32))


def test_what_computes_is_quantized():
    _, count = _run(lambda x: quantize(quantize(x, "nearest,8,4") * 0.5, "nearest,8,4"), X)
    assert count == 2


def test_16_bit_floats_are_quantized_each_time():
    """A value of the format may have no number of its own in them."""
    x = X.astype(np.float16)
    _, count = _run(lambda x: quantize(quantize(x, "nearest,16,15"), "nearest,16,15"), x)
    assert count == 2


def test_gradients_are_those_of_two():
    def gradient(x, body):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = body(x)
        return tape.gradient(y, x, tf.range(1.0, y.shape[0] + 1.0))

    def body(x):
        return quantize(tf.nn.relu(quantize(x, "nearest,8,4")), "nearest,8,4")

    x = tf.constant(X[:4000])
    np.testing.assert_array_equal(tf.function(lambda x: gradient(x, body))(x), gradient(x, body))
