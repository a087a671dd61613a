"""Bit-exact emulation of number formats in neural networks."""

from tensorquant._core import Error

__all__ = ["Error"]
