"""The original's way to override a layer class."""

from tensorquant.keras import generic_keras_override

__all__ = ["generic_keras_override"]
