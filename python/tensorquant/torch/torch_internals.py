"""What the override needs of PyTorch beyond its public interface, all in one place."""

import sys
import types

import torch

__all__ = [
    "POST_HOOKS",
    "PRE_HOOKS",
    "distributed_tensor",
    "is_skipped",
    "is_watched",
    "next_node_number",
    "running_node_number",
    "take_scale",
    "unfolded",
]

# The attributes in which an optimizer keeps what it calls before and behind a step, and which its
# copies lack: register_step_pre_hook() would choose another key in each process.
PRE_HOOKS, POST_HOOKS = "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"


def is_watched():
    """Whether a TorchFunctionMode is active in this thread."""
    return torch._C._is_torch_function_mode_enabled()


def distributed_tensor():
    """The class DTensor, or None where nobody has imported it, so that there can be no such tensor."""
    module = sys.modules.get("torch.distributed.tensor")
    return getattr(module, "DTensor", None)


def next_node_number():
    """The number that autograd gives to the next node of this thread's graphs; they only grow."""
    return torch._C._autograd._get_sequence_nr()


def running_node_number():
    """The number of the node whose gradient autograd computes now; None outside of a node."""
    node = torch._C._current_autograd_node()
    return None if node is None else node._sequence_nr()


def is_skipped(optimizer):
    """Whether a GradScaler has found infinities, for which a fused optimizer leaves a step out."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def take_scale(optimizer):
    """The scale by which a fused optimizer would divide the gradients, which then does not; or None."""
    scale = getattr(optimizer, "grad_scale", None)
    if scale is not None:
        optimizer.grad_scale = None
    return scale


def unfolded(function):
    """A function of PyTorch that is written in Python, to be called while a mode is active.

    It does not tell the mode of itself, so that this sees what it calls.
    """
    names = {**function.__globals__, "has_torch_function": lambda tensors: False}
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
