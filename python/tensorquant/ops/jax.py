"""Quantizers and rounded arithmetic as ops of JAX, on the CPU.

They are handlers of XLA's foreign function interface, compiled on first use; where that fails they
call back into Python.
"""

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tensorquant import _core as native
from tensorquant.numbers.context import Axes, Context
from tensorquant.ops import common, host
from tensorquant.ops.build import BuildError, build, connect, warn_of_fallback
from tensorquant.ops.operation import Operation, check_operation, operation_with_scales


def quantize(
    x: jax.Array,
    spec: str,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int | jax.Array = 0,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
) -> jax.Array:
    """The quantized array, of x's type and shape.

    Args:
        x: float32, float64, float16 or bfloat16.
        spec: a quantizer string, or an object with one as its ``spec``.
        seed, stream, step: where random rounding takes its numbers from; an array of one integer,
            traced or not, is a step, too.
        reduction_axis: the axis that blocks and rows run along, from the end where negative; the
            whole array in C order if left out.
        channel_axis: the axis of the channels, for per=channel.

    The gradient is what the quantizer says: straight-through, clipped, or a user's own. Under vmap
    each array of the batch is quantized as if it stood alone, and axes are those of one array.

    Raises:
        tensorquant.Error: the string is wrong; x has no such axis; per=channel without a
            channel_axis.
        TypeError: x has another type.

    Example:
        >>> import jax.numpy as jnp
        >>> from tensorquant.ops.jax import quantize
        >>> quantize(jnp.array([0.3, -0.3, 9.0]), "nearest,4,1")
        Array([ 0.5, -0.5,  3.5], dtype=float32)
    """
    spec = common.spec_of(spec)
    x = _array(x)
    axes = reduction_axis, channel_axis
    context = common.context_of(seed, stream, _step(step), spec, *axes, x.ndim)
    return quantize_in(x, spec, context)


def quantize_in(x: jax.Array, spec: str, context: Context) -> jax.Array:
    """quantize() in a Context, which is not checked but for its step."""
    spec = common.spec_of(spec)
    its = common.traits(spec)
    x = _array(x)
    steps = (_step(context.step),) if its.is_random else ()
    context = common.needed(context, its).at(0)
    return _quantize(x, steps, _Quantization(spec, context, _are_compiled()))


def scales(
    x: jax.Array,
    spec: str,
    *,
    reduction_axis: int | None = None,
    channel_axis: int | None = None,
) -> jax.Array:
    """The scales that a quantizer finds in an array: `quantize` gives elements times these.

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
        >>> import jax.numpy as jnp
        >>> from tensorquant.ops.jax import scales
        >>> scales(jnp.array([254.0, 1.0]), "int,8,scale=max")
        Array([2.], dtype=float32)
    """
    spec = common.spec_of(spec)
    x = _array(x)
    context = common.context_of(0, 0, 0, spec, reduction_axis, channel_axis, x.ndim)
    return scales_in(x, spec, context.axes)


def scales_in(x: jax.Array, spec: str, axes: Axes) -> jax.Array:
    """scales() of Axes, which are not checked."""
    x = jax.lax.stop_gradient(_array(x))
    common.check_has_scales(spec, x.dtype.name)
    return _scales(x, _Quantization(spec, Context(axes=axes), _are_compiled()))


def arithmetic(
    operation: Operation,
    *inputs: jax.Array,
    scales: Sequence[jax.Array | None] = (),
    float_function: Callable[..., jax.Array] | None = None,
    step: int | jax.Array = 0,
) -> jax.Array:
    """A layer's result with every product and sum rounded.

    Args:
        operation: of `tensorquant.ops.linear`, `convolution` or `average_pool`.
        inputs: x, the weights and the bias, as far as the operation has them; of one type.
        float_function: computes the same from the same arrays without rounding, differentiably:
            the gradient is its. Without it there is none.
        scales: of x and of the weights, as the function `scales` gives them; None or nothing for one
            without. The formats of the operation say whose they are: products are those of elements
            then, and the outer accumulator adds up sums times scales.
        step: of random rounding.

    Raises:
        tensorquant.Error: the shapes do not fit to each other; an input is not made of its scales.
        TypeError: the inputs are not of one type that can be quantized.
        ValueError: a gradient is asked for and there is no float_function.

    Example:
        >>> import jax.numpy as jnp
        >>> from tensorquant import ops
        >>> product = ops.linear("nearest,8,4", "nearest,16,8")
        >>> ops.backend("jax").arithmetic(product, jnp.ones((1, 3)), jnp.ones((2, 3)))
        Array([[3., 3.]], dtype=float32)
    """
    check_operation(operation, float_function)
    operation, factors = operation_with_scales(operation, scales)
    inputs, factors = tuple(map(_array, inputs)), tuple(map(_array, factors))
    for array in (*inputs, *factors):
        if array.dtype != inputs[0].dtype:
            raise TypeError(
                f"expected arrays of one type, found {inputs[0].dtype.name} and {array.dtype.name}"
            )
    step = _step(step)
    steps = (step,) if operation.is_random else ()
    computation = _Computation(operation, float_function, _are_compiled())
    return _arithmetic(inputs, factors, steps, computation)


def has_numbers(x: jax.Array) -> bool:
    """Whether an array has numbers, and is not one that JAX traces."""
    return not isinstance(x, jax.core.Tracer)


class _Quantization(NamedTuple):
    """What is not traced."""

    spec: str
    context: Context  # without its step
    is_compiled: bool


class _Computation(NamedTuple):
    operation: Operation
    float_function: Callable[..., jax.Array] | None
    is_compiled: bool


@functools.partial(jax.jit, static_argnums=2, inline=True)
@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _quantize(x, steps, q):
    result = jax.ShapeDtypeStruct(x.shape, x.dtype)
    vmap_method = "broadcast_all" if common.traits(q.spec).is_elementwise else "sequential"
    if q.is_compiled:
        call = jax.ffi.ffi_call("tensorquant_quantize", result, vmap_method=vmap_method)
        return call(
            x,
            *steps,
            spec=q.spec,
            seed=np.int64(common.as_signed(q.context.seed)),
            stream=np.uint32(q.context.stream),
            axes=_numbers(q.context.axes),
        )

    def run(x, step=0):
        return host.quantize(np.asarray(x), q.spec, q.context.at(step))

    return jax.pure_callback(run, result, x, *steps, vmap_method=vmap_method)


def _quantize_forward(x, steps, q):
    y = _quantize(x, steps, q)
    return y, (None if common.traits(q.spec).is_straight_through else (x, y))


def _quantize_backward(q, saved, dy):
    if saved is None:
        return dy, None
    x, y = saved
    result = jax.ShapeDtypeStruct(x.shape, x.dtype)
    its = common.traits(q.spec)
    vmap_method = "broadcast_all" if its.has_elementwise_gradient else "sequential"
    if q.is_compiled:
        call = jax.ffi.ffi_call("tensorquant_gradient", result, vmap_method=vmap_method)
        return call(x, y, dy, spec=q.spec, axes=_numbers(q.context.axes)), None

    def run(*arrays):
        return host.gradient(q.spec, q.context.axes, *map(np.asarray, arrays))

    return jax.pure_callback(run, result, x, y, dy, vmap_method=vmap_method), None


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _scales(x, q):
    shape = native.op_scales_shape(q.spec, x.shape, q.context.axes.numbers)
    result = jax.ShapeDtypeStruct(shape, x.dtype)
    if q.is_compiled:
        call = jax.ffi.ffi_call("tensorquant_scales", result, vmap_method="sequential")
        return call(x, spec=q.spec, axes=_numbers(q.context.axes))

    def run(x):
        return host.scales(np.asarray(x), q.spec, q.context.axes)

    return jax.pure_callback(run, result, x, vmap_method="sequential")


def _compute(inputs, steps, c, marks):
    """y, and whether the last sums lie outside the accumulator's range if that is asked for."""
    shape = c.operation.result_shape(*(x.shape for x in inputs))
    results = (jax.ShapeDtypeStruct(shape, inputs[0].dtype),)
    if marks:
        results += (jax.ShapeDtypeStruct(shape, np.bool_),)
    if c.is_compiled:
        call = jax.ffi.ffi_call("tensorquant_arithmetic", results, vmap_method="sequential")
        return call(*inputs, *steps, operation=c.operation.text, inputs=np.uint32(len(inputs)))

    def run(*arrays):
        arrays = [np.asarray(array) for array in arrays]
        step = arrays[len(inputs)] if steps else 0
        found = host.arithmetic(c.operation.text, marks, step, *arrays[: len(inputs)])
        return found[: len(results)]

    return jax.pure_callback(run, results, *inputs, *steps, vmap_method="sequential")


@functools.partial(jax.jit, static_argnums=3, inline=True)
@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _arithmetic(inputs, factors, steps, c):
    return _compute((*inputs, *factors), steps, c, marks=False)[0]


def _arithmetic_forward(inputs, factors, steps, c):
    if c.float_function is None:
        raise ValueError("rounded arithmetic has a gradient only with a float_function")
    y, *outside = _compute((*inputs, *factors), steps, c, marks=c.operation.clips_gradient)
    return y, (inputs, *outside)


def _arithmetic_backward(c, saved, dy):
    inputs, *outside = saved
    if outside:
        dy = jnp.where(outside[0], jnp.zeros_like(dy), dy)
    y, gradient = jax.vjp(c.float_function, *inputs)
    if y.shape != dy.shape:
        raise ValueError(
            f"float_function gave an array of {y.shape}, the rounded result is of {dy.shape}"
        )
    return gradient(dy), None, None


_quantize.__wrapped__.defvjp(_quantize_forward, _quantize_backward)
_arithmetic.__wrapped__.defvjp(_arithmetic_forward, _arithmetic_backward)


_TYPES = frozenset(map(jnp.dtype, common.TYPES))


def _array(x: jax.Array) -> jax.Array:
    if not isinstance(x, jax.Array):
        try:
            x = jnp.asarray(x)
        except (TypeError, ValueError, OverflowError) as error:
            raise common.wrong("x", "an array", x) from error
    if x.dtype not in _TYPES:
        common.type_number(x.dtype.name)
    return x


def _numbers(axes: Axes) -> np.ndarray:
    return np.array(axes.numbers, np.int64)


def _step(step: int | jax.Array) -> jax.Array:
    if not isinstance(step, jax.Array):
        return np.uint32(common.check_step(step))
    if not jnp.issubdtype(step.dtype, np.integer) or step.size != 1:
        raise TypeError(f"step: expected one integer, got {step.dtype.name} of {step.shape}")
    return step.astype(np.uint32)  # modulo 2**32


_loading = threading.Lock()


def _are_compiled() -> bool:
    with _loading:
        return _load()


@functools.cache
def _load() -> bool:
    """Registers the compiled ops; False, after a warning, where there are none."""
    import jaxlib

    try:
        flags = ["-std=c++17", f"-I{jax.ffi.include_dir()}"]
        library = ctypes.CDLL(str(build("JAX", jaxlib.__version__, "jax_ops.cc", flags)))
        connect(library, native.op_table())
    except (BuildError, OSError) as error:
        warn_of_fallback("JAX", "jax.pure_callback", error)
        return False
    for name in ("quantize", "gradient", "scales", "arithmetic"):
        handler = jax.ffi.pycapsule(getattr(library, f"tensorquant_{name}"))
        jax.ffi.register_ffi_target(f"tensorquant_{name}", handler, platform="cpu")
    return True
