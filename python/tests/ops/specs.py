"""Quantizer strings that reach every path of the kernels: the examples of the one list of formats,
and the ends of their parameters from the exhaustive test of the core."""

import functools
import re
from pathlib import Path

from tensorquant import _core as native
from tensorquant.ops import common

STRINGS = Path(__file__).parents[3] / "tests" / "exhaustive" / "strings.h"
# Roundings of either sign, and the widths where integers of 32 and 64 bits end.
MORE = [
    f"{rounding},{width},{fraction}"
    for rounding in ("nearest", "even", "zero", "down", "up", "odd", "stochastic")
    for width, fraction in ((8, 4), (31, 0), (33, 20), (64, 10))
]


@functools.cache
def specs() -> list[str]:
    text = STRINGS.read_text()
    ends = re.findall(r'"([a-z][^"]*)"', text[text.index("strings.insert") :])
    return sorted({*native.op_examples(), *ends, *MORE})


def axes_of(spec: str) -> tuple[int, int, int, int]:
    """For a tensor of three axes: the channels are the first, dot products sum over the second."""
    return (0, 1, 1, 2) if common.traits(spec).needs_layout else (1, 0, 1, 0)
