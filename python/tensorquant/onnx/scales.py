"""The scales of values that quantizers made, as far as nodes only move the values."""

from typing import NamedTuple

import numpy as np

from tensorquant.frontend.tensor_scales import TensorScales, known, lost
from tensorquant.onnx.pieces import reads_of
from tensorquant.ops import host
from tensorquant.ops.common import SCALE_TYPES, traits

_KEEPING = {"Relu", "Identity", "Dropout"}  # every element stays, or becomes 0
_MOVING = {
    *(
        "Reshape",
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "Split",
        "Expand",
        "Tile",
    ),
    *("MaxPool", "GlobalMaxPool", "Gather", "GatherElements", "GatherND", "DepthToSpace"),
    "SpaceToDepth",
}
_MIXING = {"Clip", "Max", "Min", "Where", "ScatterND", "ScatterElements"}


class Origin(NamedTuple):
    """Where the elements of a value come from.

    Attributes:
        name: The quantized value.
        mover: What has moved them, for people; "" where they are where they were.
        is_mixed: Whether other numbers have come between them.
    """

    name: str
    mover: str
    is_mixed: bool


class Origins:
    """The Origin of each value of a model that is made of quantized ones.

    Args:
        nodes: The model's nodes.
        quantized: The names of values that quantizers make.
        movers: The operators of the model that only move numbers.
    """

    def __init__(self, nodes, quantized, movers):
        mixing = _MIXING | (movers - _KEEPING - _MOVING)
        self._found = {name: Origin(name, "", False) for name in quantized}
        for node in nodes:
            if node.op_type in mixing:
                origins = [self._found[name] for name in reads_of(node) if name in self._found]
            elif node.op_type in _KEEPING | _MOVING and node.input:
                origins = [self._found[name] for name in node.input[:1] if name in self._found]
            else:
                continue
            if not origins:
                continue
            origin = origins[0]
            if node.op_type not in _KEEPING:
                mover = f"'{node.name or node.output[0]}' ({node.op_type})"
                is_mixed = origin.is_mixed or node.op_type in mixing
                origin = Origin(origin.name, origin.mover or mover, is_mixed)
            for name in node.output:
                self._found.setdefault(name, origin)

    def of(self, name):
        """The Origin, or None."""
        return self._found.get(name)


class RunScales:
    """The scales of a model's values in one run."""

    def __init__(self):
        self._of = {}

    def mark(self, name, array, spec, axes):
        """Notes those that a quantizer is about to find."""
        self._of[name] = found_scales(array, spec, axes)

    def at(self, origin, rank):
        """The TensorScales of a value of an Origin, of a number of axes; None for one without.

        Raises:
            tensorquant.Error: They are lost on the way.
        """
        scales = None if origin is None else self._of.get(origin.name)
        if scales is None or not origin.mover:
            return scales
        if origin.is_mixed or not scales.is_one:
            return known(lost(origin.mover))
        return scales._replace(scales=np.reshape(scales.scales, (1,) * rank))


def found_scales(array, spec, axes):
    """The TensorScales of what a quantizer makes of an array; None for one without."""
    per = traits(spec).per
    if not per or array.dtype.name not in SCALE_TYPES:
        return None
    return TensorScales(spec, per, host.scales(array, spec, axes))


def transposed(scales):
    """Those of the transposed matrix."""
    return scales and scales._replace(scales=np.ascontiguousarray(scales.scales.T))
