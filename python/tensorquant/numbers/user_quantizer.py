"""Quantizers written in Python."""

import atexit
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.numbers.checks import checked
from tensorquant.numbers.quantizer import Quantizer

_factories: dict[str, Callable[..., "UserQuantizer"]] = {}
atexit.register(_core.release_python_quantizers)

_Factory = TypeVar("_Factory", bound=Callable[..., "UserQuantizer"])


class PythonQuantizer(Quantizer):
    """A quantizer that the core knows by the object itself.

    Classes have a property _traits: the string, whether it is random, straight-through, and needs a
    layout.
    """

    def __init__(self) -> None:
        pass

    @property
    def _native(self) -> _core.Quantizer:
        # Made anew: kept here, the two would hold each other for ever.
        return _core.python_quantizer(self)

    def _identity(self) -> str:
        """What takes the place of a string where there is none: the class and the object."""
        return f"{type(self).__name__}@{id(self):x}"

    def __repr__(self) -> str:
        return f"<{self.spec}>"

    __reduce__ = object.__reduce__


class UserQuantizer(PythonQuantizer):
    """A quantizer of your own: derive from this class and write quantize(), maybe gradient().

    Objects can do what built-in quantizers can: be called, stand in maps and, with
    register_quantizer(), be named by strings. They must not change once they are used.

    Set is_random = True in a class whose results depend on chance. Its quantize() takes the keywords
    seed, stream and step, and must depend on nothing else.

    Set needs_layout = True in a class whose results depend on what the array's axes mean. Its
    quantize() and gradient() take the keyword layout, a tensorquant.Layout, or None where nobody has
    said.

    Example:
        >>> import numpy as np
        >>> import tensorquant as tq
        >>> class Multiples(tq.UserQuantizer):
        ...     def __init__(self, step=0.5):
        ...         self.step = step
        ...
        ...     def quantize(self, x):
        ...         return (np.round(x / self.step) * self.step).astype(x.dtype)
        ...
        ...     def gradient(self, x, y, dy):
        ...         return np.where(abs(x) < 10, dy, 0).astype(dy.dtype)
        >>> Multiples(0.25)(np.array([0.3, -1.7], np.float32))
        array([ 0.25, -1.75], dtype=float32)
    """

    is_random = False
    needs_layout = False
    _spec: str | None = None  # the string that made it

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Quantizes numbers.

        Args:
            x: All elements of an array in C order, in one dimension: float32 or float64, a copy.

        Returns:
            An array of x's type and shape.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method quantize(self, x)")

    # A gradient(self, x, y, dy), perhaps with the keyword layout, gets and returns arrays as quantize() does. For arrays of any library
    # there is Quantizer.gradient(q, x, y, dy), which calls it.

    @property
    def _traits(self) -> tuple[str, bool, bool, bool]:
        has_no_gradient = type(self).gradient is Quantizer.gradient
        spec = self._spec or self._identity()
        return spec, self.is_random, has_no_gradient, self.needs_layout

    def __repr__(self) -> str:
        return f"Quantizer({self._spec!r})" if self._spec else super().__repr__()


@checked
def register_quantizer(
    name: str, *, usage: str | None = None, summary: str = ""
) -> Callable[[_Factory], _Factory]:
    """Makes a class of quantizers known to quantizer strings and maps, under a name.

    A string's arguments and keywords go to the class as integers, floats or strings, whichever they
    look like: "multiples,0.25" calls Multiples(0.25). A class that is defined again under the same
    name takes the place of the old one.

    Args:
        name: Lower-case letters, digits and underscores.
        usage: What list_quantizers() shows: "multiples[,step]"; the name if left out.
        summary: Likewise, a few words.

    Returns:
        A decorator for a UserQuantizer, or for a function that returns one.

    Raises:
        Error: The name is taken or has other characters.

    Example:
        >>> import tensorquant as tq
        >>> @tq.register_quantizer("signs", summary="-1, 0 or 1")
        ... class Signs(tq.UserQuantizer):
        ...     def quantize(self, x):
        ...         return np.sign(x)
        >>> tq.Quantizer("signs")(np.array([0.3, -1.7], np.float32))
        array([ 1., -1.], dtype=float32)
    """

    def register(factory: _Factory) -> _Factory:
        old = _factories.get(name)
        if old is None or _definition(old) != _definition(factory):
            _core.register_quantizer(name, usage or name, summary)
        _factories[name] = factory
        return factory

    return register


def _definition(factory: Callable[..., Any]) -> tuple[str, str]:
    return factory.__module__, factory.__qualname__


def _make(name: str, arguments: list[str], keywords: list[tuple[str, str]]) -> UserQuantizer:
    """What the core calls for a string with a registered name."""
    made = _factories[name](
        *map(_value, arguments), **{key: _value(text) for key, text in keywords}
    )
    if not isinstance(made, UserQuantizer):
        raise Error(
            f"quantizer '{name}': its factory returned {type(made).__name__}, expected a"
            " UserQuantizer"
        )
    parts = [name, *arguments, *(f"{key}={text}" for key, text in sorted(keywords))]
    made._spec = ",".join(parts)
    return made


def _value(text: str) -> int | float | str:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text
