"""Who looks at the ops that run: compilers, modes, tracers, profilers, transforms, autograd."""

import functools
from collections.abc import Callable

import torch


def in_transform() -> bool:
    """In torch.func's grad or vmap: a tensor may stand for many, its requires_grad says nothing."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def in_forward_mode() -> bool:
    """Whether tensors may carry tangents: their requires_grad says nothing either."""
    return torch.autograd.forward_ad._current_level >= 0


def are_ops_recorded() -> bool:
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


def has_numbers(x: torch.Tensor) -> bool:
    """Whether a tensor has numbers of its own: not a shape alone, and not one that stands for many."""
    return x.device.type != "meta" and not in_transform()


def without_gradients() -> torch.no_grad:
    """A context in which autograd keeps nothing."""
    return torch.no_grad()
