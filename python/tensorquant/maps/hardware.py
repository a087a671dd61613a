"""Names of hardware that stand for arithmetic."""

import json
from dataclasses import dataclass
from typing import Any

from tensorquant import _core


@dataclass(frozen=True)
class Hardware:
    """A processor's arithmetic.

    Attributes:
        name: What stands for it in an intrinsic map.
        summary: What it is.
        text: The map's value as JSON.

    Example:
        >>> list_hardware()[0].name
        'v100_fp16'
    """

    name: str
    summary: str
    text: str

    @property
    def arithmetic(self) -> dict[str, Any]:
        """The value as a dictionary: for a map, and for matmul(), convolve(), average_pool()."""
        return json.loads(self.text)


def list_hardware() -> list[Hardware]:
    """All hardware whose arithmetic has a name.

    Returns:
        Name, summary and value of each.

    Example:
        >>> hopper = next(h for h in list_hardware() if h.name == "hopper_fp8")
        >>> hopper.arithmetic["accumulate"]
        'align:32:13'
    """
    return [Hardware(*line) for line in _core.list_hardware()]
