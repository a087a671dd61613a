"""The original's ways to a quantizer or a map from strings and files."""

from collections.abc import Sequence
from typing import Any

from tensorquant import Quantizer, QuantizerMap
from tensorquant import quantizer_map as _quantizer_map

__all__ = ["get_quantizer", "quantizer_map", "quantizer_selector", "split_quantizer_str"]


def split_quantizer_str(quantizer_str: str) -> tuple[str, list[str]]:
    """A quantizer's name and its arguments.

    Example:
        >>> split_quantizer_str("nearest,16,8")
        ('nearest', ['16', '8'])
    """
    name, *arguments = quantizer_str.split(",")
    return name, arguments


def quantizer_selector(selector_str: str, arg_list: Sequence[Any]) -> Quantizer:
    """The quantizer of a name and its arguments.

    Raises:
        tensorquant.Error: there is no such quantizer.

    Example:
        >>> quantizer_selector("nearest", ["16", "8"])
        Quantizer('nearest,16,8')
    """
    return Quantizer(",".join([selector_str, *map(str, arg_list)]))


def get_quantizer(q_str: str | None) -> Quantizer | None:
    """The quantizer of a string; None for None and the empty string."""
    return Quantizer(q_str) if q_str else None


def quantizer_map(qmap: Any) -> QuantizerMap | None:
    """The map of a JSON file, a dictionary or a quantizer string; None for None and "".

    Unlike the original's it leaves a dictionary as it is, and a file that is missing is an error.

    Raises:
        tensorquant.Error: the file is missing, or something in the map is wrong.
    """
    return None if qmap is None or qmap == "" else _quantizer_map(qmap)
