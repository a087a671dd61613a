"""The names of the original TensorQuant: its programs run with `TensorQuant.Quantize` replaced.

    from TensorQuant.Quantize import override, Quantizers, utils      # before
    from tensorquant.original import override, Quantizers, utils      # now

They are thin: each is something of `tensorquant` or `tensorquant.keras` by its old name.
docs/from_tensorquant_1.md has the list of them.
"""

from tensorquant.keras import override
from tensorquant.original import (
    FixedPoint,
    QLayer,
    Quantizers,
    QuantKernelWrapper,
    override_functions,
    utils,
)

__all__ = [
    "FixedPoint",
    "QLayer",
    "QuantKernelWrapper",
    "Quantizers",
    "override",
    "override_functions",
    "utils",
]
