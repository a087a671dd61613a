"""Quantizers and rounded arithmetic as ops of TensorFlow, on the CPU.

The ops are compiled on first use; where that fails they call back into Python.
"""

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from types import ModuleType

import tensorflow as tf

from tensorquant import _core as native
from tensorquant.numbers.context import Axes, Context
from tensorquant.ops import common, host
from tensorquant.ops.build import BuildError, build, connect, warn_of_fallback
from tensorquant.ops.operation import Operation, check_operation, operation_with_scales


def quantize(
    x: tf.Tensor,
    spec: str,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int | tf.Tensor = 0,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
) -> tf.Tensor:
    """The quantized tensor, of x's type and shape.

    Args:
        x: float32, float64, float16 or bfloat16.
        spec: a quantizer string, or an object with one as its ``spec``.
        seed, stream, step: where random rounding takes its numbers from; a tensor or variable of
            one integer is a step, too.
        reduction_axis: the axis that blocks and rows run along, from the end where negative; the
            whole tensor in C order if left out.
        channel_axis: the axis of the channels, for per=channel.

    The gradient is what the quantizer says: straight-through, clipped, or a user's own.

    Raises:
        tensorquant.Error: the string is wrong; x has no such axis; per=channel without a
            channel_axis.
        TypeError: x has another type.

    Example:
        >>> import tensorflow as tf
        >>> from tensorquant.ops.tensorflow import quantize
        >>> quantize(tf.constant([0.3, -0.3, 9.0]), "nearest,4,1").numpy()
        array([ 0.5, -0.5,  3.5], dtype=float32)
    """
    spec = common.spec_of(spec)
    x = _tensor(x)
    axes = reduction_axis, channel_axis
    context = common.context_of(seed, stream, _step(step), spec, *axes, x.shape.rank)
    return quantize_in(x, spec, context)


def quantize_in(x: tf.Tensor, spec: str, context: Context) -> tf.Tensor:
    """quantize() in a Context, which is not checked but for its step."""
    spec = common.spec_of(spec)
    its = common.traits(spec)
    x = _tensor(x)
    common.type_number(x.dtype.name)
    steps = [_step(context.step)] if its.is_random else []
    context = common.needed(context, its)
    ops = _ops()
    if ops is None:
        return _quantize_on_host(x, spec, context, steps)
    return ops.tensorquant_quantize(
        x=x,
        step=steps,
        spec=spec,
        seed=common.as_signed(context.seed),
        stream=context.stream,
        axes=context.axes.numbers,
    )


def scales(
    x: tf.Tensor,
    spec: str,
    *,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
) -> tf.Tensor:
    """The scales that a quantizer finds in a tensor: `quantize` gives elements times these.

    Of as many axes as x, and of its type. An axis whose indices share a scale has the size 1, one
    with blocks the number of them; every other has x's. So what transposes x transposes these.

    Args:
        x: float32 or float64.
        spec: a quantizer string with scales, or an object with one as its ``spec``.
        reduction_axis, channel_axis: as `quantize` has them.

    It has no gradient.

    Raises:
        tensorquant.Error: as `quantize`; the quantizer has no scales; its blocks run along several
            axes.
        TypeError: x has another type.

    Example:
        >>> import tensorflow as tf
        >>> from tensorquant.ops.tensorflow import scales
        >>> scales(tf.constant([254.0, 1.0]), "int,8,scale=max").numpy()
        array([2.], dtype=float32)
    """
    spec = common.spec_of(spec)
    x = _tensor(x)
    context = common.context_of(0, 0, 0, spec, reduction_axis, channel_axis, x.shape.rank)
    return scales_in(x, spec, context.axes)


def scales_in(x: tf.Tensor, spec: str, axes: Axes) -> tf.Tensor:
    """scales() of Axes, which are not checked."""
    x = tf.stop_gradient(_tensor(x))
    common.check_has_scales(spec, x.dtype.name)
    ops = _ops()
    if ops is not None:
        return ops.tensorquant_scales(x=x, spec=spec, axes=axes.numbers)
    found = tf.numpy_function(lambda array: host.scales(array, spec, axes), [x], x.dtype)
    if x.shape.rank is not None:
        sizes = [-1 if n is None else n for n in x.shape]
        shape = native.op_scales_shape(spec, sizes, axes.numbers)
        found.set_shape([None if n < 0 else n for n in shape])
    return found


def arithmetic(
    operation: Operation,
    *inputs: tf.Tensor,
    scales: Sequence[tf.Tensor | None] = (),
    float_function: Callable[..., tf.Tensor] | None = None,
    step: int | tf.Tensor = 0,
) -> tf.Tensor:
    """A layer's result with every product and sum rounded.

    Args:
        operation: of `tensorquant.ops.linear`, `convolution` or `average_pool`.
        inputs: x, the weights and the bias, as far as the operation has them; of one type.
        float_function: computes the same from the same tensors without rounding, differentiably:
            the gradient is its. Without it there is none.
        scales: of x and of the weights, as the function `scales` gives them; None or nothing for one
            without. The formats of the operation say whose they are: products are those of elements
            then, and the outer accumulator adds up sums times scales.
        step: of random rounding.

    Raises:
        tensorquant.Error or tf.errors.InvalidArgumentError: the shapes do not fit to each other; an
            input is not made of its scales.
        TypeError: the inputs are not of one type that can be quantized.
        ValueError: a gradient is asked for and there is no float_function.

    Example:
        >>> import tensorflow as tf
        >>> from tensorquant import ops
        >>> product = ops.linear("nearest,8,4", "nearest,16,8")
        >>> y = ops.backend("tensorflow").arithmetic(product, tf.ones((1, 3)), tf.ones((2, 3)))
        >>> y.numpy()
        array([[3., 3.]], dtype=float32)
    """
    check_operation(operation, float_function)
    operation, factors = operation_with_scales(operation, scales)
    inputs, factors = tuple(map(_tensor, inputs)), tuple(map(_tensor, factors))
    for tensor in (*inputs, *factors):
        common.type_number(tensor.dtype.name)
        if tensor.dtype != inputs[0].dtype:
            raise TypeError(
                f"expected tensors of one type, found {inputs[0].dtype.name} and "
                f"{tensor.dtype.name}"
            )
    step = _step(step)
    steps = [step] if operation.is_random else []

    @tf.custom_gradient
    def rounded(*inputs):
        y, outside = _arithmetic(operation, (*inputs, *factors), steps)

        def gradient(dy):
            if float_function is None:
                raise ValueError("rounded arithmetic has a gradient only with a float_function")
            if operation.clips_gradient:
                dy = tf.where(outside, tf.zeros_like(dy), dy)
            apart = tuple(map(tf.identity, inputs))  # one tensor may be two inputs
            with tf.GradientTape() as tape:
                tape.watch(apart)
                z = float_function(*apart)
            if not z.shape.is_compatible_with(y.shape):
                raise ValueError(
                    f"float_function gave a tensor of {z.shape}, the rounded result is of {y.shape}"
                )
            return tape.gradient(z, apart, dy)

        return y, gradient

    return rounded(*inputs)


def has_numbers(x: tf.Tensor) -> bool:
    """Whether a tensor has numbers, and is not one of a graph."""
    return not tf.is_symbolic_tensor(x)


def _arithmetic(operation, inputs, steps):
    ops = _ops()
    marks = operation.clips_gradient
    if ops is not None:
        return ops.tensorquant_arithmetic(
            inputs=inputs, step=steps, operation=operation.text, marks=marks
        )

    def run(*arrays):
        step = arrays[len(inputs)] if steps else 0
        return host.arithmetic(operation.text, marks, step, *arrays[: len(inputs)])

    y, outside = tf.numpy_function(run, [*inputs, *steps], [inputs[0].dtype, tf.bool])
    if all(tensor.shape.rank is not None for tensor in inputs):
        sizes = [[-1 if n is None else n for n in tensor.shape] for tensor in inputs]
        y.set_shape([None if n < 0 else n for n in operation.result_shape(*sizes)])
    outside.set_shape(y.shape if marks else [0])
    return y, outside


@tf.RegisterGradient("TensorquantQuantize")
def _quantize_gradient(op, dy):
    spec = op.get_attr("spec").decode()
    steps = [None] * (len(op.inputs) - 1)
    if common.traits(spec).is_straight_through:
        return [dy, *steps]
    dx = _ops().tensorquant_quantize_gradient(
        x=op.inputs[0], y=op.outputs[0], dy=dy, spec=spec, axes=op.get_attr("axes")
    )
    return [dx, *steps]


tf.no_gradient("TensorquantQuantizeGradient")
tf.no_gradient("TensorquantScales")


def _quantize_on_host(x, spec, context, steps):
    @tf.custom_gradient
    def quantized(x):
        def run(array, step=0):
            return host.quantize(array, spec, context.at(step))

        y = tf.numpy_function(run, [x, *steps], x.dtype)
        y.set_shape(x.shape)

        def gradient(dy):
            if common.traits(spec).is_straight_through:
                return dy
            dx = tf.numpy_function(
                lambda *arrays: host.gradient(spec, context.axes, *arrays), [x, y, dy], x.dtype
            )
            dx.set_shape(x.shape)
            return dx

        return y, gradient

    return quantized(x)


def _tensor(x: tf.Tensor) -> tf.Tensor:
    try:
        return tf.convert_to_tensor(x)
    except (TypeError, ValueError, OverflowError) as error:
        raise common.wrong("x", "a tensor", x) from error


def _step(step: int | tf.Tensor) -> tf.Tensor:
    if not isinstance(step, (tf.Tensor, tf.Variable)):
        return tf.constant(common.check_step(step), tf.uint32)
    if not step.dtype.is_integer or step.shape.num_elements() not in (1, None):
        raise TypeError(f"step: expected one integer, got {step.dtype.name} of {step.shape}")
    return tf.cast(step, tf.uint32)  # modulo 2**32


def load_library() -> bool:
    """Makes the compiled ops known to TensorFlow: a saved model that has some needs it to be loaded.

    All else of this package does so by itself.

    Returns:
        Whether they are there. Without a C++ compiler they are not, after a warning.

    Example:
        >>> from tensorquant.ops.tensorflow import load_library
        >>> load_library()
        True
    """
    return _ops() is not None


_loading = threading.Lock()


def _ops() -> ModuleType | None:
    with _loading:
        return _load()


@functools.cache
def _load() -> ModuleType | None:
    """The compiled ops; None, after a warning, where there are none."""
    flags = [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()]
    try:
        library = str(build("TensorFlow", tf.__version__, "tensorflow_ops.cc", flags))
        ops = tf.load_op_library(library)  # first: it lists what the library registers
        connect(ctypes.CDLL(library), native.op_table())
        return ops
    except (BuildError, OSError, tf.errors.OpError) as error:
        warn_of_fallback("TensorFlow", "tf.numpy_function", error)
        return None
