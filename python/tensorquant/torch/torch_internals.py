"""What the override needs of PyTorch beyond its public interface, all in one place."""

import types

import torch

__all__ = ["is_watched", "unfolded"]


def is_watched():
    """Whether a TorchFunctionMode is active in this thread."""
    return torch._C._is_torch_function_mode_enabled()


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
