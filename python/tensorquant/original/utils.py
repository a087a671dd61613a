"""The original's ways to a quantizer or a map from strings and files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tensorquant.maps.quantizer_map import quantizer_map as _checked_map
from tensorquant.original.Quantizers import Quantizer_if, quantizer_of

__all__ = ["get_quantizer", "quantizer_map", "quantizer_selector", "split_quantizer_str"]


def split_quantizer_str(quantizer_str: str) -> tuple[str, list[str]]:
    """A quantizer's name and its arguments.

    Example:
        >>> split_quantizer_str("nearest,16,8")
        ('nearest', ['16', '8'])
    """
    name, *arguments = quantizer_str.split(",")
    return name, arguments


def quantizer_selector(selector_str: str, arg_list: Sequence[Any]) -> Quantizer_if:
    """The quantizer of a name and its arguments.

    Raises:
        tensorquant.Error: there is no such quantizer.

    Example:
        >>> quantizer_selector("nearest", ["16", "8"])
        Quantizer('nearest,16,8')
    """
    return quantizer_of(",".join([selector_str, *map(str, arg_list)]))


def get_quantizer(q_str: str | None) -> Quantizer_if | None:
    """The quantizer of a string; None for None and the empty string."""
    return quantizer_of(q_str) if q_str else None


def quantizer_map(qmap: Any) -> dict[str, Any] | None:
    """The dictionary of a JSON file, a dictionary or a quantizer string, with quantizers for strings.

    Unlike the original's it leaves a dictionary as it is, and a file that is missing is an error.
    None and "" give None; so does "none" in a file.

    Raises:
        tensorquant.Error: the file is missing, or something in the map is wrong.

    Example:
        >>> quantizer_map({"Conv": "nearest,16,8", "Dense": None})
        {'Conv': Quantizer('nearest,16,8'), 'Dense': None}
    """
    if qmap is None or qmap == "":
        return None
    checked = _checked_map(qmap)
    values = qmap if isinstance(qmap, Mapping) else {r.key: json.loads(r.text) for r in checked}
    return {key: get_quantizer(v) if isinstance(v, str) else v for key, v in values.items()}
