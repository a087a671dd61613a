"""Matrices of a batch, functions, softmax and normalizations in each framework: the golden bits."""

import functools

import golden
import numpy as np
import pytest
from frameworks import assert_same_bits

import tensorquant
from tensorquant import ops

BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide"}


def maker_of(entry):
    kind, shape = entry["kind"], entry["shape"]
    epsilon = float(golden.from_hex(entry["eps"], entry["type"], ())) if "eps" in entry else None
    if kind == "products":
        formats = {
            f"{x}_format": golden.format_of(entry, n) for x, n in (("x", "data"), ("w", "weight"))
        }
        return functools.partial(ops.matmul, **formats)
    if kind == "function":
        return functools.partial(ops.elementwise, function=shape["function"])
    if kind in BINARY:
        return functools.partial(ops.elementwise, function=BINARY[kind])
    if kind in ("softmax", "log_softmax"):
        return functools.partial(ops.softmax, logarithm=kind == "log_softmax")
    if kind == "group_norm":
        return functools.partial(ops.group_norm, groups=shape["groups"], epsilon=epsilon)
    norm = ops.layer_norm if kind == "layer_norm" else ops.rms_norm
    return functools.partial(norm, dimensions=shape["dimensions"], epsilon=epsilon)


def inputs_of(entry):
    shape = entry["shape"]
    count = len(entry["a"]) // (8 if entry["type"] == "float32" else 16)
    shapes = {"a": shape.get("x", (count,)), "b": (count,)}
    if entry["kind"] == "products":
        shapes = {name: shape[name] for name in "ab"}
    channels = (
        (-1,) if entry["kind"] == "group_norm" else shapes["a"][-shape.get("dimensions", 1) :]
    )
    shapes |= {"gamma": channels, "beta": channels}
    names = [name for name in ("a", "b", "gamma", "beta") if name in entry]
    return [golden.from_hex(entry[name], entry["type"], shapes[name]) for name in names]


@pytest.mark.parametrize("kind", golden.VALUE_KINDS)
def test_every_kind_has_the_golden_bits(framework, kind):
    """Every 5th: JAX compiles each shape anew."""
    entries = golden.value_vectors(kind)[::5]
    assert len(entries) >= 12
    for entry in entries:
        names = (
            "product",
            "accumulator",
            "accumulate",
            "seed",
            "product_stream",
            "accumulator_stream",
        )
        common = {name: entry[name] for name in (*names, "outer") if name in entry}
        operation, inputs = maker_of(entry)(**common), inputs_of(entry)
        shape = operation.result_shape(*(x.shape for x in inputs))
        with framework.types(inputs[0]):
            y = framework.ops.arithmetic(
                operation, *map(framework.tensor, inputs), step=entry["step"]
            )
            assert_same_bits(framework.array(y), golden.from_hex(entry["y"], entry["type"], shape))


def test_a_batch_norm_has_the_golden_bits(framework):
    entries = golden.arithmetic_vectors("batch_norm")[::5]
    assert len(entries) >= 12
    for entry in entries:
        shape, dtype = entry["shape"]["x"], entry["type"]
        if entry["gamma"] is None and entry["beta"] is not None:
            continue  # no framework has one without the other
        names = [n for n in ("mean", "var", "gamma", "beta") if entry[n] is not None]
        inputs = [golden.from_hex(entry["a"], dtype, shape)]
        inputs += [golden.from_hex(entry[name], dtype, (shape[1],)) for name in names]
        common = (
            "product",
            "accumulator",
            "accumulate",
            "seed",
            "product_stream",
            "accumulator_stream",
        )
        epsilon = float(golden.from_hex(entry["eps"], dtype, ()))
        operation = ops.batch_norm(**{name: entry[name] for name in common}, epsilon=epsilon)
        with framework.types(inputs[0]):
            y = framework.ops.arithmetic(
                operation, *map(framework.tensor, inputs), step=entry["step"]
            )
            assert_same_bits(framework.array(y), golden.from_hex(entry["y"], dtype, shape))


@pytest.mark.parametrize(
    ("make", "shapes", "text"),
    [
        (ops.matmul, [(2, 3, 4), (5, 4)], "expected matrices of"),
        (ops.matmul, [(2, 3, 4), (3, 4, 5)], "cannot be broadcast"),
        (
            functools.partial(ops.elementwise, function="add"),
            [(2, 3), (3, 2)],
            "two tensors of one",
        ),
        (functools.partial(ops.layer_norm, dimensions=2), [(2, 3), (3,)], "last 2 sizes"),
        (functools.partial(ops.layer_norm, dimensions=3), [(2, 3)], "3 dimensions or more"),
        (ops.rms_norm, [(2, 3), (3,), (3,)], "1 to 2 tensors"),
        (functools.partial(ops.group_norm, groups=2), [(2, 3, 4)], "divided into 2 groups"),
        (ops.batch_norm, [(2, 3, 4), (3,), (4,)], "each of 3 channels"),
        (ops.softmax, [()], "1 dimension or more"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make, shapes, text):
    with pytest.raises(tensorquant.Error, match=text):
        make("none", "none").result_shape(*shapes)


def test_unknown_functions_are_refused_with_the_known_ones():
    with pytest.raises(
        tensorquant.Error, match="unknown function 'sine': expected one of exp, log"
    ):
        ops.elementwise("none", "none", function="sine")


def test_unknown_sizes_stay_unknown():
    assert ops.matmul("none", "none").result_shape((-1, 3, -1), (2, 5, 4)) == (2, 3, 4)
    assert ops.softmax("none", "none").result_shape((-1, 3)) == (-1, 3)
    assert np.prod(ops.layer_norm("none", "none").result_shape((-1, 3), (3,))) == -3


def test_a_tensor_that_is_both_operands_has_the_gradients_of_both(framework):
    """Of x * x it is 2 x, whatever the framework takes the one tensor for."""
    operation = ops.elementwise("none", "none", function="multiply")

    def square(x):
        return framework.ops.arithmetic(operation, x, x, float_function=lambda a, b: a * b)

    x = np.array([1.5, -2.0, 3.0], np.float32)
    y, (gradient,) = framework.vjp(square, [x], np.ones(3, np.float32))
    assert_same_bits(y, x * x)
    assert_same_bits(gradient, 2 * x)
