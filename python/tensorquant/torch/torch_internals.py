"""What the override needs of PyTorch beyond its public interface, all in one place."""

import torch

__all__ = ["is_watched"]


def is_watched():
    """Whether a TorchFunctionMode is active in this thread."""
    return torch._C._is_torch_function_mode_enabled()
