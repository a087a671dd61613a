"""Gradients of the ops."""

import torch

from tensorquant.ops.torch.library import arithmetic_op, gradient_op, inside_op, quantize_op


class StraightThrough(torch.autograd.Function):
    """Keeps no tensor for the way back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step, axes):
        return quantize_op(x, spec, seed, stream, step, axes)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, dy):
        return dy, None, None, None, None, None


class Clipped(torch.autograd.Function):
    """Keeps where x lay, a byte an element: x and y may change before the way back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step, axes):
        return quantize_op(x, spec, seed, stream, step, axes), inside_op(x, spec, axes)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _keep(ctx, output[1])

    @staticmethod
    def backward(ctx, dy, _):
        if dy is None:
            return None, None, None, None, None, None
        return _where(ctx.saved_tensors[0], dy), None, None, None, None, None


class WithGradient(torch.autograd.Function):
    """A user's own gradient, which may look at all of x and y; of y it keeps a copy.

    Who changes x before the way back gets PyTorch's error.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, spec, seed, stream, step, axes):
        y = quantize_op(x, spec, seed, stream, step, axes)
        return y, y.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.spec, ctx.axes = inputs[1], inputs[5]
        _keep(ctx, output[1], inputs[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy, _):
        if dy is None:
            return None, None, None, None, None, None
        y, x = ctx.saved_tensors
        dy = dy.to_dense() if dy.is_sparse else dy
        return gradient_op(x, y, dy, ctx.spec, ctx.axes), None, None, None, None, None


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
    def forward(ctx, operation, float_function, step, count, *inputs):
        """The first `count` inputs have gradients, and scales have none."""
        y, outside = arithmetic_op(list(inputs), operation.text, operation.clips_gradient, step)
        ctx.clips_gradient = operation.clips_gradient
        ctx.float_function = float_function
        ctx.scales = len(inputs) - count
        ctx.save_for_backward(outside, *inputs[:count])
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        outside, *inputs = ctx.saved_tensors
        if ctx.clips_gradient:
            dy = dy.masked_fill(outside, 0)
        needed = ctx.needs_input_grad[4:]
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
        gradients = [next(found) if wanted else None for _, wanted in zip(inputs, needed)]
        return None, None, None, None, *gradients, *(None,) * ctx.scales


# Its way back records a graph of its own, which torch.compile does not trace.
rounded_arithmetic = torch.compiler.disable(_RoundedArithmetic.apply)
