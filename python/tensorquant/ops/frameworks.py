"""The frameworks that have ops."""

import importlib
from types import ModuleType

from tensorquant.numbers.checks import checked

_BACKENDS = ("jax", "tensorflow", "torch")


@checked
def backend(name: str) -> ModuleType:
    """The module with the ops of a framework.

    Args:
        name: "torch", "tensorflow" or "jax".

    Returns:
        The module ``tensorquant.ops.<name>``, which imports the framework.

    Raises:
        ValueError: there are no ops for a framework of this name.
        ImportError: the framework is not installed.
    """
    if name not in _BACKENDS:
        raise ValueError(f"no ops for '{name}', expected one of {', '.join(_BACKENDS)}")
    return importlib.import_module(f"tensorquant.ops.{name}")
