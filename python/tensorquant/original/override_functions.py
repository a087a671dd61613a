"""The original's way to override a layer class."""

from tensorquant.keras import override

__all__ = ["generic_keras_override"]


def generic_keras_override(Class):
    """The class itself, to be assigned to its own name: here every layer class takes part."""
    return override.generic_keras_override(Class)
