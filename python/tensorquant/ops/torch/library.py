"""The ops that PyTorch's dispatcher knows: their definitions, and what they are on the CPU."""

import ctypes
import pathlib
from collections.abc import Sequence

import torch

from tensorquant import _core as native
from tensorquant.ops import common

TYPES = {getattr(torch, name): number for name, number in common.TYPES.items()}

library = torch.library.Library("tensorquant", "DEF")
library.define(
    "quantize(Tensor x, str spec, int seed, int stream, Tensor? step, int[] axes) -> Tensor"
)
library.define(
    "quantize_(Tensor(a!) x, str spec, int seed, int stream, Tensor? step, int[] axes) -> ()"
)
library.define("inside(Tensor x, str spec, int[] axes) -> Tensor")
library.define("gradient(Tensor x, Tensor y, Tensor dy, str spec, int[] axes) -> Tensor")
library.define("scales(Tensor x, str spec, int[] axes) -> Tensor")
library.define(
    "arithmetic(Tensor[] inputs, str operation, bool marks, Tensor? step) -> (Tensor, Tensor)"
)
# For torch.compile, which cannot look into the core.
traits = torch.compiler.assume_constant_result(common.traits)
quantize_op = torch.ops.tensorquant.quantize.default
quantize_in_place_op = torch.ops.tensorquant.quantize_.default
inside_op = torch.ops.tensorquant.inside.default
gradient_op = torch.ops.tensorquant.gradient.default
scales_op = torch.ops.tensorquant.scales.default
arithmetic_op = torch.ops.tensorquant.arithmetic.default


def _threads_of_torch() -> native.OpenMpPool | None:
    """PyTorch's own threads, where it was built with OpenMP."""
    try:
        openmp = ctypes.CDLL(str(pathlib.Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        functions = (openmp.GOMP_parallel, openmp.omp_get_max_threads)
    except (OSError, AttributeError):
        return None
    return native.OpenMpPool(*(ctypes.cast(f, ctypes.c_void_p).value for f in functions))


_pool = _threads_of_torch()


def _step_number(step: torch.Tensor | None) -> int:
    return 0 if step is None else int(step) & 0xFFFFFFFF


def _plain(x: torch.Tensor) -> torch.Tensor:
    """In C order, as the core takes it."""
    return x.resolve_neg().contiguous()


@torch.library.impl(library, "quantize", "CPU")
def quantize_on_cpu(x, spec, *context):
    y = torch.empty_like(x)  # of x's strides where x is dense
    is_plain = x.is_contiguous() or (x.stride() == y.stride() and traits(spec).is_elementwise)
    if is_plain and not x.is_neg():
        into = y
    else:
        x = _plain(x)
        into = y if y.is_contiguous() else torch.empty_like(x)
    quantize_memory(x, into, spec, *context)
    return y if into is y else y.copy_(into)


@torch.library.impl(library, "quantize_", "CPU")
def _quantize_in_place_on_cpu(x, spec, *context):
    quantize_memory(x, x, spec, *context)


def quantize_memory(x, y, spec, seed, stream, step, axes):
    """The context as the ops have it: a signed seed, a tensor or None for the step, and numbers."""
    native.op_quantize(
        spec,
        TYPES[x.dtype],
        x.shape,
        x.data_ptr(),
        y.data_ptr(),
        common.as_unsigned(seed),
        stream,
        _step_number(step),
        axes,
        _pool,
    )


@torch.library.impl(library, "inside", "CPU")
def _inside_on_cpu(x, spec, axes):
    inside = torch.empty_like(x, dtype=torch.bool)  # of x's strides where x is dense
    in_any_order = x.stride() == inside.stride() and traits(spec).has_elementwise_gradient
    if x.is_neg() or not (x.is_contiguous() or in_any_order):
        x, inside = _plain(x), torch.empty(x.shape, dtype=torch.bool)
    addresses = x.data_ptr(), inside.data_ptr()
    native.op_inside(spec, TYPES[x.dtype], x.shape, *addresses, axes, _pool)
    return inside


@torch.library.impl(library, "gradient", "CPU")
def _gradient_on_cpu(x, y, dy, spec, axes):
    x, y, dy = _plain(x), _plain(y), _plain(dy)
    dx = torch.empty_like(x)
    addresses = (tensor.data_ptr() for tensor in (x, y, dy, dx))
    native.op_gradient(spec, TYPES[x.dtype], x.shape, *addresses, axes, _pool)
    return dx


@torch.library.impl(library, "scales", "CPU")
def _scales_on_cpu(x, spec, axes):
    x = _plain(x)
    found = _scales_result(x, spec, axes)
    addresses = x.data_ptr(), found.data_ptr()
    native.op_scales(spec, TYPES[x.dtype], x.shape, *addresses, axes, _pool)
    return found


def _scales_result(x: torch.Tensor, spec: str, axes: Sequence[int]) -> torch.Tensor:
    return x.new_empty(native.op_scales_shape(spec, [int(size) for size in x.shape], axes))


@torch.library.impl(library, "arithmetic", "CPU")
def _arithmetic_on_cpu(inputs, operation, marks, step):
    inputs = [_plain(x) for x in inputs]
    y, outside = _arithmetic_results(inputs, operation, marks)
    native.op_arithmetic(
        operation,
        TYPES[y.dtype],
        [tuple(x.shape) for x in inputs],
        [x.data_ptr() for x in inputs],
        y.data_ptr(),
        outside.data_ptr() if marks else 0,
        _step_number(step),
        _pool,
    )
    return y, outside


def _arithmetic_results(
    inputs: Sequence[torch.Tensor], operation: str, marks: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    shape = native.op_result_shape(operation, [[int(size) for size in x.shape] for x in inputs])
    y = inputs[0].new_empty(shape)
    return y, inputs[0].new_zeros(shape if marks else (0,), dtype=torch.bool)


torch.library.register_fake("tensorquant::quantize", lambda x, *_: torch.empty_like(x), lib=library)
torch.library.register_fake(
    "tensorquant::inside", lambda x, *_: torch.empty_like(x, dtype=torch.bool), lib=library
)
torch.library.register_fake(
    "tensorquant::gradient",
    lambda x, *_: torch.empty_like(x, memory_format=torch.contiguous_format),
    lib=library,
)
torch.library.register_fake("tensorquant::scales", _scales_result, lib=library)
torch.library.register_fake(
    "tensorquant::arithmetic",
    lambda inputs, operation, marks, _: _arithmetic_results(inputs, operation, marks),
    lib=library,
)


@torch.library.register_vmap("tensorquant::quantize", lib=library)
def _quantize_batched(info, in_dims, x, spec, seed, stream, step, axes):
    """Each tensor of the batch as if it stood alone."""
    dimension, step_dimension = in_dims[0], in_dims[4]
    if step_dimension is None and traits(spec).is_elementwise:
        return quantize_op(x, spec, seed, stream, step, axes), dimension
    tensors = [x] * info.batch_size if dimension is None else x.unbind(dimension)
    steps = [step] * info.batch_size if step_dimension is None else step.unbind(step_dimension)
    results = [quantize_op(one, spec, seed, stream, s, axes) for one, s in zip(tensors, steps)]
    return torch.stack(results), 0


@torch.library.register_vmap("tensorquant::inside", lib=library)
def _inside_batched(info, in_dims, x, spec, axes):
    if traits(spec).has_elementwise_gradient:
        return inside_op(x, spec, axes), in_dims[0]
    return torch.stack([inside_op(one, spec, axes) for one in x.unbind(in_dims[0])]), 0


@torch.library.register_vmap("tensorquant::scales", lib=library)
def _scales_batched(info, in_dims, x, spec, axes):
    return torch.stack([scales_op(one, spec, axes) for one in x.unbind(in_dims[0])]), 0


@torch.library.register_vmap("tensorquant::arithmetic", lib=library)
def _arithmetic_batched(info, in_dims, inputs, operation, marks, step):
    """Each layer of the batch as if it stood alone."""
    results = [
        arithmetic_op(
            [_one(x, dim, index) for x, dim in zip(inputs, in_dims[0])],
            operation,
            marks,
            _one(step, in_dims[3], index),
        )
        for index in range(info.batch_size)
    ]
    return tuple(map(torch.stack, zip(*results))), (0, 0)


def _one(x, dimension, index):
    return x if dimension is None else x.select(dimension, index)
