"""A second accumulator, over the sums of segments."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.numbers.checks import check_integer, check_text, wrong
from tensorquant.numbers.quantizer import Quantizer

_KEYS = ("accumulator", "every")


class OuterSum(NamedTuple):
    """The second of two accumulators; docs/arithmetic.md defines it.

    Attributes:
        accumulator: Quantizer of its sums; None for the tensor's type.
        every: After how many products it takes the first one's sum; 0: at the end.

    Example:
        >>> import tensorquant as tq
        >>> rules = {"": {"outer": {"accumulator": "float,8,23", "every": 128}}}
        >>> tq.quantizer_map(rules, "intrinsic").rules[0].outer
        OuterSum(accumulator=Quantizer('float,8,23'), every=128)
    """

    accumulator: Quantizer | None
    every: int = 0

    @staticmethod
    def of(value: Any, place: str = "outer") -> "OuterSum | None":
        """What "outer" may be in a map and in calls: a dictionary of these, or None."""
        if value is None or isinstance(value, OuterSum):
            return value
        if not isinstance(value, Mapping):
            raise wrong(place, "a dictionary with 'accumulator' and 'every', or None", value)
        for key in value:
            if key not in _KEYS:
                raise Error(f"{place}: unknown key {key!r}, expected 'accumulator' or 'every'")
        if not value:
            raise Error(f"{place}: an empty dictionary, expected 'accumulator' or 'every'")
        every = 0
        if "every" in value:
            every = check_integer(f"{place}, every", value["every"], 1, 2**63 - 1)
        return OuterSum(_quantizer(value.get("accumulator"), f"{place}, accumulator"), every)

    @property
    def _native(self) -> tuple[_core.Quantizer, int]:
        quantizer = self.accumulator
        return _core.make_quantizer("none") if quantizer is None else quantizer._native, self.every

    @property
    def _json(self) -> dict:
        spec = "none" if self.accumulator is None else self.accumulator.spec
        return {"accumulator": spec, **({"every": self.every} if self.every else {})}


def _quantizer(value: Any, place: str) -> Quantizer | None:
    if value is None or isinstance(value, Quantizer):
        return value
    try:
        return Quantizer(check_text(place, value))
    except Error as error:
        raise Error(f"{place}: {error}") from None
