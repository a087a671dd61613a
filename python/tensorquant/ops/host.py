"""The ops on NumPy arrays: what TensorFlow and JAX call back where no op could be compiled."""

import numpy as np

from tensorquant import _core as native
from tensorquant.numbers.context import Axes, Context
from tensorquant.ops.common import type_number


def quantize(x: np.ndarray, spec: str, context: Context) -> np.ndarray:
    x = np.ascontiguousarray(x).reshape(np.shape(x))
    y = np.empty_like(x)
    *random, axes = context.at(int(context.step))
    addresses = _address(x), _address(y)
    native.op_quantize(spec, type_number(x.dtype.name), x.shape, *addresses, *random, axes.numbers)
    return y


def gradient(spec: str, axes: Axes, x: np.ndarray, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    x, y, dy = (np.ascontiguousarray(array).reshape(np.shape(x)) for array in (x, y, dy))
    dx = np.empty_like(x)
    addresses = (_address(array) for array in (x, y, dy, dx))
    native.op_gradient(spec, type_number(x.dtype.name), x.shape, *addresses, axes.numbers)
    return dx


def scales(x: np.ndarray, spec: str, axes: Axes) -> np.ndarray:
    x = np.ascontiguousarray(x).reshape(np.shape(x))
    found = np.empty(native.op_scales_shape(spec, x.shape, axes.numbers), x.dtype)
    addresses = _address(x), _address(found)
    native.op_scales(spec, type_number(x.dtype.name), x.shape, *addresses, axes.numbers)
    return found


def arithmetic(
    operation: str, marks: bool, step: int, *inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """y, and where `marks` is true whether the last sums lie outside, else an empty array."""
    inputs = [np.ascontiguousarray(array) for array in inputs]
    shapes = [array.shape for array in inputs]
    y = np.empty(native.op_result_shape(operation, shapes), inputs[0].dtype)
    outside = np.zeros(y.shape if marks else (0,), np.bool_)
    native.op_arithmetic(
        operation,
        type_number(y.dtype.name),
        shapes,
        [_address(array) for array in inputs],
        _address(y),
        _address(outside) if marks else 0,
        int(step),
    )
    return y, outside


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
