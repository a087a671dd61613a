"""Gradients of the ops."""

import torch
from torch.autograd import forward_ad

from tensorquant._core import Error
from tensorquant.ops.torch.compiler import in_transform
from tensorquant.ops.torch.library import arithmetic_op, gradient_op, inside_op, quantize_op

# The axes' numbers are inputs a, b, c and d: PyTorch's transforms count the numbers inside a tuple as inputs, and its
# compiler counts names.
_OF_CONTEXT = (None,) * 8  # the gradients of all inputs but x


class StraightThrough(torch.autograd.Function):
    """Keeps no tensor for the way back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step, a, b, c, d):
        return quantize_op(x, spec, seed, stream, step, (a, b, c, d))

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, dy):
        return dy, *_OF_CONTEXT


class Clipped(torch.autograd.Function):
    """Keeps where x lay, a byte an element: x and y may change before the way back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step, a, b, c, d):
        axes = a, b, c, d
        return quantize_op(x, spec, seed, stream, step, axes), inside_op(x, spec, axes)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _keep(ctx, output[1])

    @staticmethod
    def backward(ctx, dy, _):
        if dy is None:
            return None, *_OF_CONTEXT
        return _where(ctx.saved_tensors[0], dy), *_OF_CONTEXT


class WithGradient(torch.autograd.Function):
    """A user's own gradient, which may look at all of x and y; of y it keeps a copy.

    Who changes x before the way back gets PyTorch's error.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step, a, b, c, d):
        y = quantize_op(x, spec, seed, stream, step, (a, b, c, d))
        return y, y.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.spec, ctx.axes = inputs[1], inputs[5:]
        _keep(ctx, output[1], inputs[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy, _):
        if dy is None:
            return None, *_OF_CONTEXT
        y, x = ctx.saved_tensors
        dy = dy.to_dense() if dy.is_sparse else dy
        return gradient_op(x, y, dy, ctx.spec, ctx.axes), *_OF_CONTEXT


# Of those above what forward mode calls: PyTorch's compiler does not trace a class with a jvp().
class _StraightThroughTangent(StraightThrough):
    @staticmethod
    def jvp(ctx, dx, *_):
        return dx.clone()  # a tangent of its own, as y is a tensor of its own


class _ClippedTangent(Clipped):
    @staticmethod
    def jvp(ctx, dx, *_):
        return None if dx is None else _where(ctx.saved_tensors[0], dx), None


class _NoTangent(WithGradient):
    @staticmethod
    def jvp(ctx, *_):
        raise Error(
            f"quantizer '{ctx.spec}': its own gradient goes backward alone, not in forward mode (jvp,"
            " jacfwd, hessian); use torch.func.vjp, jacrev or grad"
        )


WITH_TANGENTS = {
    StraightThrough: _StraightThroughTangent,
    Clipped: _ClippedTangent,
    WithGradient: _NoTangent,
}


def _keep(ctx, result: torch.Tensor, *inputs: torch.Tensor) -> None:
    """Saves a result that only the way back needs: PyTorch's transforms see nothing but results."""
    ctx.mark_non_differentiable(result)
    ctx.set_materialize_grads(False)  # zeros for that of the result
    ctx.save_for_backward(result, *inputs)
    ctx.save_for_forward(result, *inputs)


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
    generate_vmap_rule = True

    @staticmethod
    def forward(operation, float_function, step, count, *inputs):
        """The first `count` inputs have gradients, and scales have none."""
        return arithmetic_op(list(inputs), operation.text, operation.clips_gradient, step)

    @staticmethod
    def setup_context(ctx, inputs, output):
        operation, ctx.float_function, _, count, *tensors = inputs
        ctx.clips_gradient = operation.clips_gradient
        ctx.scales = len(tensors) - count
        _keep(ctx, output[1], *tensors[:count])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy, _):
        outside, *inputs = ctx.saved_tensors
        needed = ctx.needs_input_grad[4 : 4 + len(inputs)]
        if dy is None or not any(needed):
            return (None,) * (4 + len(inputs) + ctx.scales)
        if ctx.clips_gradient:
            dy = dy.masked_fill(outside, 0)
        function, wanted = _of_some(ctx.float_function, inputs, needed)
        y, to_gradients = torch.func.vjp(function, *wanted)
        if y.shape != dy.shape:
            raise ValueError(
                f"float_function gave a tensor of {tuple(y.shape)}, the rounded result is of "
                f"{tuple(dy.shape)}"
            )
        found = iter(to_gradients(dy))
        gradients = [next(found) if is_needed else None for is_needed in needed]
        return None, None, None, None, *gradients, *(None,) * ctx.scales

    @staticmethod
    def jvp(ctx, *tangents):
        outside, *inputs = ctx.saved_tensors
        tangents = tangents[4 : 4 + len(inputs)]
        function, moving = _of_some(ctx.float_function, inputs, [dx is not None for dx in tangents])
        dy = _tangent(function, moving, [dx for dx in tangents if dx is not None])
        return dy.masked_fill(outside, 0) if ctx.clips_gradient else dy, None


def _of_some(function, inputs, chosen):
    """A function of the chosen inputs, whose others stay, and these inputs."""

    def of_chosen(*tensors):
        found = iter(tensors)
        return function(*(next(found) if its else x for x, its in zip(inputs, chosen)))

    return of_chosen, [x for x, its in zip(inputs, chosen) if its]


def _tangent(function, inputs, tangents):
    """That of a function's result, in the forward mode that runs."""
    if in_transform():
        return torch.func.jvp(function, tuple(inputs), tuple(tangents))[1]
    with forward_ad._set_fwd_grad_enabled(True):  # off inside of an autograd.Function
        return forward_ad.unpack_dual(function(*inputs)).tangent  # the inputs have theirs


# Its way back records a graph of its own, which torch.compile does not trace.
rounded_arithmetic = torch.compiler.disable(_RoundedArithmetic.apply)
