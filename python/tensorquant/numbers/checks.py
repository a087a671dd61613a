"""Arguments of public functions, checked against their annotations before anything is done."""

import collections.abc
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

import numpy as np

from tensorquant._core import Error


class Range(NamedTuple):
    """Which integers an argument takes, ends included."""

    least: int
    most: int


_INT64 = Range(-(2**63), 2**63 - 1)

Seed = Annotated[int, Range(0, 2**64 - 1)]
Stream = Annotated[int, Range(0, 2**32 - 1)]
Step = Annotated[int, Range(0, 2**32 - 1)]
Count = Annotated[int, Range(0, 2**31 - 1)]
AxisNumber = Annotated[int, Range(-(2**31), 2**31 - 1)]


def checked(function: Callable) -> Callable:
    """Decorator: what is wrong in the arguments of a function is an error that names the argument.

    It goes by the annotations: integers, with a Range or without one, texts, True and False,
    callables, classes, and sequences and unions of these. Integers of other libraries become
    Python's. Everything else is the function's own matter: arrays, maps, `Any`.

    Raises:
        TypeError: An argument is of another kind.
        Error: A number is out of range, or a text is no Unicode.
    """
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    others = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)

    @functools.cache
    def kinds() -> dict[str, "_Kind"]:  # later: annotations may name what is defined further below
        hints = typing.get_type_hints(function, include_extras=True)
        found = {name: _kind(hints[name]) for name in (*names, others) if name in hints}
        return {name: kind for name, kind in found.items() if kind is not None}

    def call(*args, **kwargs):
        wanted = kinds()

        def take(name, value):
            return wanted[name].take(name, value) if name in wanted else value

        rest = (take(others, value) for value in args[len(names) :])
        args = (*map(take, names, args), *rest)
        return function(*args, **{name: take(name, value) for name, value in kwargs.items()})

    # One of the function's own module, in which doctest looks for examples.
    call = types.FunctionType(call.__code__, function.__globals__, closure=call.__closure__)
    return functools.update_wrapper(call, function)


def check_integer(name: str, value: Any, least: int, most: int) -> int:
    """The value as an int.

    Raises:
        TypeError: It is not an integer. True and False are none.
        Error: It is out of range.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise wrong(name, "an integer", value) from None
    if not least <= number <= most:
        raise Error(f"{name}: {number} is not between {least} and {most}")
    return number


def check_text(name: str, value: Any) -> str:
    """The value, which is a text that can be encoded."""
    if not isinstance(value, str):
        raise wrong(name, "a string", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Error(f"{name}: {value!r} is no Unicode text") from None
    return value


def wrong(name: str, expected: str, value: Any) -> TypeError:
    """The error of an argument of another kind."""
    is_short = value is None or isinstance(value, (bool, int, float))
    return TypeError(
        f"{name}: expected {expected}, got {repr(value) if is_short else type(value).__name__}"
    )


class _Kind(NamedTuple):
    """What an annotation takes."""

    expected: str  # for people
    take: Callable[[str, Any], Any]  # of a name and a value the value; or an error


def _kind(hint: Any) -> _Kind | None:
    """The kind of an annotation; None where anything may come."""
    if hint is Any:
        return None
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _integer(parts[1])
    if origin in (typing.Union, types.UnionType):
        kinds = [_kind(part) for part in parts]
        return None if None in kinds else _either(kinds)
    if origin is collections.abc.Callable:
        return _Kind("a function", functools.partial(_check, "a function", callable))
    if origin in (collections.abc.Sequence, collections.abc.Iterable, tuple):
        return _sequence(_kind(parts[0]), len(parts) if origin is tuple else None)
    if hint is int:
        return _integer(_INT64)
    return _simple(origin or hint)


def _simple(hint: Any) -> _Kind | None:
    if hint is str:
        return _Kind("a string", check_text)
    if hint is bool:
        return _of_class((bool, np.bool_), "True or False")
    if hint is type(None):
        return _of_class(type(None), "None")
    return _of_class(hint, f"{_article(hint)} {hint.__name__}") if isinstance(hint, type) else None


def _article(kind: type) -> str:
    return "an" if kind.__name__[0] in "AEIOU" else "a"


def _check(expected: str, fits: Callable[[Any], bool], name: str, value: Any) -> Any:
    if not fits(value):
        raise wrong(name, expected, value)
    return value


def _of_class(classes: Any, expected: str) -> _Kind:
    return _Kind(
        expected, functools.partial(_check, expected, lambda value: isinstance(value, classes))
    )


def _integer(numbers: Range) -> _Kind:
    return _Kind("an integer", functools.partial(check_integer, least=numbers[0], most=numbers[1]))


def _sequence(kind: _Kind | None, length: int | None) -> _Kind:
    expected = "a sequence" if length is None else f"a sequence of {length}"

    def take(name: str, value: Any) -> list:
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise wrong(name, expected, value)
        items = list(value)
        if length not in (None, len(items)):
            raise Error(f"{name}: expected {length} of them, got {len(items)}")
        return [kind.take(name, item) for item in items] if kind else items

    return _Kind(expected, take)


def _either(kinds: list[_Kind]) -> _Kind:
    expected = " or ".join(kind.expected for kind in kinds)

    def take(name: str, value: Any) -> Any:
        for kind in kinds:
            try:
                return kind.take(name, value)
            except TypeError:
                pass
        raise wrong(name, expected, value)

    return _Kind(expected, take)
