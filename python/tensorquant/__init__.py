"""Bit-exact emulation of number formats in neural networks.

Example:
    >>> import numpy as np
    >>> import tensorquant as tq
    >>> tq.Quantizer("nearest,8,4")(np.array([0.3, -2.0, 100.0], np.float32))
    array([ 0.3125, -2.    ,  7.9375], dtype=float32)
"""

from tensorquant._core import Error, __version__
from tensorquant.maps.explain import Explanation, IdleRule, LayerExplanation, explain
from tensorquant.maps.hardware import Hardware, list_hardware
from tensorquant.maps.override import Override
from tensorquant.maps.quantizer_map import QuantizerMap, Rule, quantizer_map
from tensorquant.numbers.arithmetic import Plan, Ranges, average_pool, convolve, matmul
from tensorquant.numbers.context import Axis, Layout
from tensorquant.numbers.outer_sum import OuterSum
from tensorquant.numbers.quantizer import (
    Facts,
    Quantizer,
    QuantizerInfo,
    Report,
    list_quantizers,
    stream_of,
)
from tensorquant.numbers.threads import get_num_threads, set_num_threads
from tensorquant.numbers.user_quantizer import UserQuantizer, register_quantizer

__all__ = [
    "Axis",
    "Error",
    "Explanation",
    "Facts",
    "Hardware",
    "IdleRule",
    "LayerExplanation",
    "Layout",
    "OuterSum",
    "Override",
    "Plan",
    "Quantizer",
    "QuantizerInfo",
    "QuantizerMap",
    "Ranges",
    "Report",
    "Rule",
    "UserQuantizer",
    "__version__",
    "average_pool",
    "convolve",
    "explain",
    "get_num_threads",
    "list_hardware",
    "list_quantizers",
    "matmul",
    "quantizer_map",
    "register_quantizer",
    "set_num_threads",
    "stream_of",
]
