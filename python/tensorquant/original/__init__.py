"""The names of the original TensorQuant: its programs run with `TensorQuant.Quantize` replaced.

    from TensorQuant.Quantize import override, Quantizers, utils      # before
    from tensorquant.original import override, Quantizers, utils      # now

They are thin: each is something of `tensorquant` or `tensorquant.keras` by its old name.
"""

from tensorquant.keras import override
from tensorquant.original import Quantizers, override_functions, utils

__all__ = ["Quantizers", "override", "override_functions", "utils"]
