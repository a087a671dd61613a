"""Bit-exact emulation of number formats in neural networks.

Example:
    >>> import numpy as np
    >>> import tensorquant as tq
    >>> tq.Quantizer("nearest,8,4")(np.array([0.3, -2.0, 100.0], np.float32))
    array([ 0.3125, -2.    ,  7.9375], dtype=float32)
"""

from tensorquant._arithmetic import Plan, Ranges, average_pool, convolve, matmul
from tensorquant._core import Error, __version__
from tensorquant._maps import (
    Explanation,
    IdleRule,
    LayerExplanation,
    Override,
    QuantizerMap,
    Rule,
    explain,
    quantizer_map,
)
from tensorquant._quantizer import Facts, Quantizer, QuantizerInfo, list_quantizers, stream_of
from tensorquant._threads import get_num_threads, set_num_threads
from tensorquant._user_quantizer import UserQuantizer, register_quantizer

__all__ = [
    "Error",
    "Explanation",
    "Facts",
    "IdleRule",
    "LayerExplanation",
    "Override",
    "Plan",
    "Quantizer",
    "QuantizerInfo",
    "QuantizerMap",
    "Ranges",
    "Rule",
    "UserQuantizer",
    "__version__",
    "average_pool",
    "convolve",
    "explain",
    "get_num_threads",
    "list_quantizers",
    "matmul",
    "quantizer_map",
    "register_quantizer",
    "set_num_threads",
    "stream_of",
]
