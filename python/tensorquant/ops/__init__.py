"""One op per framework, all over the same C++ functions: equal arrays give equal bits.

The modules ``tensorquant.ops.torch``, ``.tensorflow`` and ``.jax`` have the same two functions,
``quantize(x, spec, *, seed, stream, step)`` and ``arithmetic(operation, *inputs, float_function,
step)``. No framework is imported before its module is.
"""

import importlib
from types import ModuleType

from tensorquant.numbers.checks import checked
from tensorquant.ops.operation import Operation, average_pool, convolution, linear

__all__ = ["Operation", "average_pool", "backend", "convolution", "linear"]

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
