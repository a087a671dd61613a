"""Quantizers and rounded arithmetic as ops of PyTorch, for tensors on the CPU."""

import ctypes
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence

import torch

from tensorquant import _core as native
from tensorquant.ops import _common
from tensorquant.ops._operation import Operation, check_operation

_TYPES = {getattr(torch, name): number for name, number in _common.TYPES.items()}

_library = torch.library.Library("tensorquant", "DEF")
_library.define("quantize(Tensor x, str spec, int seed, int stream, Tensor? step) -> Tensor")
_library.define("quantize_(Tensor(a!) x, str spec, int seed, int stream, Tensor? step) -> ()")
_library.define("inside(Tensor x, str spec) -> Tensor")
_library.define("gradient(Tensor x, Tensor y, Tensor dy, str spec) -> Tensor")
_library.define(
    "arithmetic(Tensor[] inputs, str operation, bool marks, Tensor? step) -> (Tensor, Tensor)"
)
# For torch.compile, which cannot look into the core.
_traits = torch.compiler.assume_constant_result(_common.traits)
_quantize = torch.ops.tensorquant.quantize.default
_quantize_in_place = torch.ops.tensorquant.quantize_.default
_inside = torch.ops.tensorquant.inside.default
_gradient = torch.ops.tensorquant.gradient.default
_arithmetic = torch.ops.tensorquant.arithmetic.default


def quantize(
    x: torch.Tensor,
    spec: str,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int | torch.Tensor = 0,
) -> torch.Tensor:
    """The quantized tensor, of x's type, shape and memory format.

    Args:
        x: float32, float64, float16 or bfloat16, on the CPU.
        spec: a quantizer string, or an object with one as its ``spec``.
        seed, stream, step: where random rounding takes its numbers from; a tensor of one integer
            is a step, too.

    The gradient is what the quantizer says: straight-through, clipped, or a user's own.

    Raises:
        tensorquant.Error: the string is wrong.
        TypeError: x is no tensor of such a type.

    Example:
        >>> import torch
        >>> from tensorquant.ops.torch import quantize
        >>> quantize(torch.tensor([0.3, -0.3, 9.0]), "nearest,4,1")
        tensor([ 0.5000, -0.5000,  3.5000])
    """
    return _quantized(x, spec, seed, stream, step, in_place=False)


def quantize_last(
    box: list[torch.Tensor],
    spec: str,
    *,
    seed: int = 0,
    stream: int = 0,
    step: int | torch.Tensor = 0,
) -> torch.Tensor:
    """`quantize` for a tensor that its owner gives up: in its own memory where that is unseen.

    Fresh memory is most of the cost of a large tensor. The result is the same as of `quantize`; a
    tensor that somebody else holds, or whose memory another tensor shares, is not touched.

    Args:
        box: a list of the one tensor, which is taken out of it. The caller keeps no reference.

    Example:
        >>> import torch
        >>> from tensorquant.ops.torch import quantize_last
        >>> quantize_last([torch.tensor([0.3, -0.3, 9.0])], "nearest,4,1")
        tensor([ 0.5000, -0.5000,  3.5000])
    """
    x = box.pop()
    in_place = False
    if not torch.compiler.is_compiling():
        holders = _holders(x)
        in_place = holders is not None and holders == _UNSEEN[x._is_view()]
    return _quantized(x, spec, seed, stream, step, in_place)


def _quantized(x, spec, seed, stream, step, in_place):
    spec = _common.spec_of(spec)
    traits = _traits(spec)
    _check(x)
    seed, stream = _common.as_signed(_common.check_seed(seed)), _common.check_stream(stream)
    step_tensor = _step(step)
    if not traits.is_random:
        seed, stream, step_tensor = 0, 0, None
    if (x.requires_grad and torch.is_grad_enabled()) or _in_transform():
        if traits.is_straight_through:
            return _StraightThrough.apply(x, spec, seed, stream, step_tensor)
        function = _Clipped if traits.clips_gradient else _WithGradient
        return function.apply(x, spec, seed, stream, step_tensor)[0]
    in_place = in_place and not x.requires_grad and _is_in_any_order(x, traits)
    if not _are_ops_recorded() and _is_plain(x):  # past the dispatcher, which takes longer
        if not in_place:
            return _quantize_on_cpu(x, spec, seed, stream, step_tensor)
        _quantize_memory(x, x, spec, seed, stream, step_tensor)
        return x
    if not in_place:
        return _quantize(x, spec, seed, stream, step_tensor)
    _quantize_in_place(x, spec, seed, stream, step_tensor)
    return x


def _in_transform() -> bool:
    """In torch.func's grad or vmap: a tensor may stand for many, its requires_grad says nothing."""
    return torch._C._functorch.peek_interpreter_stack() is not None


with torch.inference_mode():
    _KEYS_IN_INFERENCE_MODE = torch._C._dispatch_keys(torch.empty(0))
_PLAIN_KEYS = (torch._C._dispatch_keys(torch.empty(0)), _KEYS_IN_INFERENCE_MODE)


def _is_plain(x: torch.Tensor) -> bool:
    """Whether PyTorch's dispatcher would see nothing but a tensor with memory of its own on the CPU."""
    return (
        type(x) in (torch.Tensor, torch.nn.Parameter) and torch._C._dispatch_keys(x) in _PLAIN_KEYS
    )


def _are_ops_recorded() -> bool:
    """Whether somebody wants to see each op that runs: a compiler, a mode, a tracer, a profiler."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch.autograd._profiler_enabled()
    )


def not_compiled(function: Callable) -> Callable:
    """Decorator: torch.compile does not look into a function, nor into what it calls."""
    seen_from_compiler = torch.compiler.disable(function)

    @functools.wraps(function)
    def call(*args, **kwargs):
        if torch.compiler.is_dynamo_compiling():
            return seen_from_compiler(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def is_in_backward_pass() -> bool:
    """Whether autograd calls, as where a checkpoint computes a function again."""
    return torch._C._current_graph_task_id() != -1


def version(x: torch.Tensor) -> tuple | None:
    """A value that changes when PyTorch changes a tensor; None where that cannot be told."""
    if torch.compiler.is_compiling() or not _is_plain(x) or x.is_inference():
        return None
    # An assignment to x.data counts nothing: it may be another look at the same memory.
    return x._version, x.data_ptr(), x.dtype, x.shape, x.stride()


_storage_use_count = getattr(torch._C, "_storage_Use_Count", None)  # no public function tells


def _holders(x: torch.Tensor) -> tuple | None:
    """How often a tensor, the tensor of which it is a view, and their memory are held.

    None where that cannot be told.
    """
    if _storage_use_count is None or type(x) is not torch.Tensor or not _is_plain(x):
        return None
    storage = x.untyped_storage()
    if not storage.resizable():  # another library's memory
        return None
    base = x._base
    return (
        sys.getrefcount(x),
        None if base is None else sys.getrefcount(base),
        sys.getrefcount(storage),
        _storage_use_count(storage._cdata),
    )


def _holders_of_unseen(make: Callable[[], torch.Tensor]) -> tuple | None:
    box = [make()]
    x = box.pop()
    return _holders(x)


# What _holders() tells where nobody else holds anything, by whether the tensor is a view.
_UNSEEN = {
    False: _holders_of_unseen(lambda: torch.empty(1, 2)),
    True: _holders_of_unseen(lambda: torch.empty(1, 2).t()),
}


def _is_in_any_order(x: torch.Tensor, traits: _common.Traits) -> bool:
    """Whether the core can take x's memory from its begin to its end."""
    if x.is_neg():
        return False
    if traits.is_elementwise and not x.is_contiguous():
        x = x.permute(sorted(range(x.dim()), key=x.stride, reverse=True))
    return x.is_contiguous()


def arithmetic(
    operation: Operation,
    *inputs: torch.Tensor,
    float_function: Callable[..., torch.Tensor] | None = None,
    step: int | torch.Tensor = 0,
) -> torch.Tensor:
    """A layer's result with every product and sum rounded.

    Args:
        operation: of `tensorquant.ops.linear`, `convolution` or `average_pool`.
        inputs: x, the weights and the bias, as far as the operation has them; of one type.
        float_function: computes the same from the same tensors without rounding, differentiably:
            the gradient is its. Without it there is none.
        step: of random rounding.

    Raises:
        tensorquant.Error: the shapes do not fit to each other.
        TypeError: the inputs are no tensors of one type that can be quantized.
        ValueError: a gradient would be needed and there is no float_function.

    Example:
        >>> import torch
        >>> from tensorquant import ops
        >>> product = ops.linear("nearest,8,4", "nearest,16,8")
        >>> ops.backend("torch").arithmetic(product, torch.ones(1, 3), torch.full((2, 3), 0.3))
        tensor([[0.9375, 0.9375]])
    """
    check_operation(operation, float_function)
    for tensor in inputs:
        _check(tensor)
        if tensor.dtype != inputs[0].dtype:
            raise TypeError(
                f"expected tensors of one type, found {inputs[0].dtype} and {tensor.dtype}"
            )
    step_tensor = _step(step)
    if not operation.is_random:
        step_tensor = None
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    if not needs_gradient:
        return _arithmetic(list(inputs), operation.text, False, step_tensor)[0]
    if float_function is None:
        raise ValueError("rounded arithmetic has a gradient only with a float_function")
    return _rounded_arithmetic(operation, float_function, step_tensor, *inputs)


def _threads_of_torch() -> native.OpenMpPool | None:
    """PyTorch's own threads, where it was built with OpenMP."""
    try:
        library = ctypes.CDLL(str(pathlib.Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        functions = (library.GOMP_parallel, library.omp_get_max_threads)
    except (OSError, AttributeError):
        return None
    return native.OpenMpPool(*(ctypes.cast(f, ctypes.c_void_p).value for f in functions))


_pool = _threads_of_torch()


class _StraightThrough(torch.autograd.Function):
    """Keeps no tensor for the way back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step):
        return _quantize(x, spec, seed, stream, step)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, dy):
        return dy, None, None, None, None


class _Clipped(torch.autograd.Function):
    """Keeps where x lay, a byte an element: x and y may change before the way back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step):
        return _quantize(x, spec, seed, stream, step), _inside(x, spec)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _keep(ctx, output[1])

    @staticmethod
    def backward(ctx, dy, _):
        if dy is None:
            return None, None, None, None, None
        return _where(ctx.saved_tensors[0], dy), None, None, None, None


class _WithGradient(torch.autograd.Function):
    """A user's own gradient, which may look at all of x and y; of y it keeps a copy.

    Who changes x before the way back gets PyTorch's error.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step):
        y = _quantize(x, spec, seed, stream, step)
        return y, y.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.spec = inputs[1]
        _keep(ctx, output[1], inputs[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy, _):
        if dy is None:
            return None, None, None, None, None
        y, x = ctx.saved_tensors
        dy = dy.to_dense() if dy.is_sparse else dy
        return _gradient(x, y, dy, ctx.spec), None, None, None, None


def _keep(ctx, result: torch.Tensor, *inputs: torch.Tensor) -> None:
    """Saves a result that only the way back needs: PyTorch's transforms see nothing but results."""
    ctx.mark_non_differentiable(result)
    ctx.set_materialize_grads(False)  # zeros for that of the result
    ctx.save_for_backward(result, *inputs)


def _where(passes: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    """dy, and 0 where it does not pass; sparse as the gradient of an embedding may be."""
    if dy.is_sparse:
        indices, values = dy._indices(), dy._values()
        return torch.sparse_coo_tensor(
            indices,
            _where(passes[tuple(indices)], values),
            dy.shape,
            check_invariants=False,
            is_coalesced=dy.is_coalesced(),
        )
    # torch.where() takes twenty times as long.
    return torch.ops.aten.threshold_backward(dy, passes.to(dy.dtype), 0)


class _RoundedArithmetic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, operation, float_function, step, *inputs):
        y, outside = _arithmetic(list(inputs), operation.text, operation.clips_gradient, step)
        ctx.clips_gradient = operation.clips_gradient
        ctx.float_function = float_function
        ctx.save_for_backward(outside, *inputs)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        outside, *inputs = ctx.saved_tensors
        if ctx.clips_gradient:
            dy = dy.masked_fill(outside, 0)
        needed = ctx.needs_input_grad[3:]
        inputs = [x.detach().requires_grad_(wanted) for x, wanted in zip(inputs, needed)]
        with torch.enable_grad():
            y = ctx.float_function(*inputs)
        if y.shape != dy.shape:
            raise ValueError(
                f"float_function gave a tensor of {tuple(y.shape)}, the rounded result is of "
                f"{tuple(dy.shape)}"
            )
        wanted = [x for x in inputs if x.requires_grad]
        found = iter(torch.autograd.grad(y, wanted, dy, allow_unused=True))
        return None, None, None, *(next(found) if needs else None for needs in needed)


# Its way back records a graph of its own, which torch.compile does not trace.
_rounded_arithmetic = torch.compiler.disable(_RoundedArithmetic.apply)


def _check(x: torch.Tensor) -> None:
    if not isinstance(x, torch.Tensor):
        raise _common.wrong("x", "a tensor of PyTorch", x)
    if x.dtype not in _TYPES:
        _common.type_number(str(x.dtype).removeprefix("torch."))
    if x.layout != torch.strided or x.is_nested:
        raise TypeError(f"expected a dense tensor, found one of layout {_layout(x)}")
    if x.device.type not in ("cpu", "meta"):
        raise TypeError(f"expected a tensor on the CPU, found one on {x.device}")


def _layout(x: torch.Tensor) -> str:
    return "nested" if x.is_nested else str(x.layout).removeprefix("torch.")


def _step(step: int | torch.Tensor) -> torch.Tensor | None:
    if isinstance(step, torch.Tensor):
        if step.is_floating_point() or step.dtype == torch.bool or step.numel() != 1:
            raise TypeError(f"step: expected one integer, got {step.dtype} of {tuple(step.shape)}")
        return step
    return torch.tensor(step, dtype=torch.int64) if _common.check_step(step) else None


def _step_number(step: torch.Tensor | None) -> int:
    return 0 if step is None else int(step) & 0xFFFFFFFF


def _plain(x: torch.Tensor) -> torch.Tensor:
    """In C order, as the core takes it."""
    return x.resolve_neg().contiguous()


@torch.library.impl(_library, "quantize", "CPU")
def _quantize_on_cpu(x, spec, seed, stream, step):
    y = torch.empty_like(x)  # of x's strides where x is dense
    is_plain = x.is_contiguous() or (x.stride() == y.stride() and _traits(spec).is_elementwise)
    if is_plain and not x.is_neg():
        into = y
    else:
        x = _plain(x)
        into = y if y.is_contiguous() else torch.empty_like(x)
    _quantize_memory(x, into, spec, seed, stream, step)
    return y if into is y else y.copy_(into)


@torch.library.impl(_library, "quantize_", "CPU")
def _quantize_in_place_on_cpu(x, spec, seed, stream, step):
    _quantize_memory(x, x, spec, seed, stream, step)


def _quantize_memory(x, y, spec, seed, stream, step):
    native.op_quantize(
        spec,
        _TYPES[x.dtype],
        x.numel(),
        x.data_ptr(),
        y.data_ptr(),
        _common.as_unsigned(seed),
        stream,
        _step_number(step),
        _pool,
    )


@torch.library.impl(_library, "inside", "CPU")
def _inside_on_cpu(x, spec):
    inside = torch.empty_like(x, dtype=torch.bool)  # of x's strides where x is dense
    is_plain = x.stride() == inside.stride() and not x.is_neg()
    if not is_plain:
        x, inside = _plain(x), torch.empty(x.shape, dtype=torch.bool)
    native.op_inside(spec, _TYPES[x.dtype], x.numel(), x.data_ptr(), inside.data_ptr(), _pool)
    return inside


@torch.library.impl(_library, "gradient", "CPU")
def _gradient_on_cpu(x, y, dy, spec):
    x, y, dy = _plain(x), _plain(y), _plain(dy)
    dx = torch.empty_like(x)
    addresses = (tensor.data_ptr() for tensor in (x, y, dy, dx))
    native.op_gradient(spec, _TYPES[x.dtype], x.numel(), *addresses, _pool)
    return dx


@torch.library.impl(_library, "arithmetic", "CPU")
def _arithmetic_on_cpu(inputs, operation, marks, step):
    inputs = [_plain(x) for x in inputs]
    y, outside = _arithmetic_results(inputs, operation, marks)
    native.op_arithmetic(
        operation,
        _TYPES[y.dtype],
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


torch.library.register_fake(
    "tensorquant::quantize", lambda x, *_: torch.empty_like(x), lib=_library
)
torch.library.register_fake(
    "tensorquant::inside", lambda x, _: torch.empty_like(x, dtype=torch.bool), lib=_library
)
torch.library.register_fake(
    "tensorquant::gradient",
    lambda x, *_: torch.empty_like(x, memory_format=torch.contiguous_format),
    lib=_library,
)
torch.library.register_fake(
    "tensorquant::arithmetic",
    lambda inputs, operation, marks, _: _arithmetic_results(inputs, operation, marks),
    lib=_library,
)


@torch.library.register_vmap("tensorquant::quantize", lib=_library)
def _quantize_batched(info, in_dims, x, spec, seed, stream, step):
    """Each tensor of the batch as if it stood alone."""
    dimension, _, _, _, step_dimension = in_dims
    if step_dimension is None and _traits(spec).is_elementwise:
        return _quantize(x, spec, seed, stream, step), dimension
    tensors = [x] * info.batch_size if dimension is None else x.unbind(dimension)
    steps = [step] * info.batch_size if step_dimension is None else step.unbind(step_dimension)
    results = [_quantize(one, spec, seed, stream, s) for one, s in zip(tensors, steps)]
    return torch.stack(results), 0


@torch.library.register_vmap("tensorquant::inside", lib=_library)
def _inside_batched(info, in_dims, x, spec):
    return _inside(x, spec), in_dims[0]
