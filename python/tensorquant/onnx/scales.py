"""The scales of values that quantizers made, as far as nodes only move the values."""

from typing import NamedTuple

import numpy as np

from tensorquant.frontend.tensor_scales import TensorScales, known, lost
from tensorquant.onnx.graph import is_if, reads_of, subgraphs_of, title_of
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
        graph: The model's GraphProto.
        quantized: The names of values that quantizers make.
        movers: The operators of the model that only move numbers.

    Attributes:
        branching: The places of If nodes that give such values: their branches tell which.
    """

    def __init__(self, graph, quantized, movers):
        self._mixing = _MIXING | (movers - _KEEPING - _MOVING)
        self._found = {name: Origin(name, "", False) for name in quantized}
        self.branching = set()
        self._visit(graph, ())

    def of(self, name):
        """The Origin, or None."""
        return self._found.get(name)

    def _visit(self, graph, around):
        for i, node in enumerate(graph.node):
            if is_if(node):
                self._visit_branches(node, (*around, i))
                continue
            origin = self._made_by(node)
            for name in node.output if origin else ():
                self._found.setdefault(name, origin)

    def _visit_branches(self, node, place):
        branches = subgraphs_of(node).values()
        for number, graph in enumerate(branches):
            self._visit(graph, (*place, number))
        for name, *given in zip(node.output, *(graph.output for graph in branches)):
            if any(port.name in self._found for port in given):
                self._found.setdefault(name, Origin(name, "", False))
                self.branching.add(place)

    def _made_by(self, node):
        """The Origin of what a node gives, or None."""
        if node.op_type in self._mixing:
            read = reads_of(node)
        elif node.op_type in _KEEPING | _MOVING:
            read = node.input[:1]
        else:
            return None
        origin = next((self._found[name] for name in read if name in self._found), None)
        if origin is None or node.op_type in _KEEPING:
            return origin
        is_mixed = origin.is_mixed or node.op_type in self._mixing
        return Origin(origin.name, origin.mover or title_of(node), is_mixed)


class RunScales:
    """The scales of a model's values in one run.

    Args:
        origins: The Origins.
    """

    def __init__(self, origins):
        self._origins = origins
        self._of = {}

    def mark(self, name, array, spec, axes):
        """Notes those that a quantizer is about to find."""
        self._of[name] = found_scales(array, spec, axes)

    def pass_on(self, given, name):
        """Notes that what a branch gives is a value outside."""
        self._of[name] = self._found(given)

    def at(self, name, rank):
        """The TensorScales of a value of a number of axes; None for one without.

        Raises:
            tensorquant.Error: They are lost on the way.
        """
        scales = known(self._found(name))
        if scales is None or not scales.is_one:
            return scales
        return scales._replace(scales=np.reshape(scales.scales, (1,) * rank))

    def _found(self, name):
        origin = self._origins.of(name)
        scales = None if origin is None else self._of.get(origin.name)
        if scales is None or scales.loss or not origin.mover:
            return scales
        return lost(origin.mover) if origin.is_mixed or not scales.is_one else scales


def found_scales(array, spec, axes):
    """The TensorScales of what a quantizer makes of an array; None for one without."""
    per = traits(spec).per
    if not per or array.dtype.name not in SCALE_TYPES:
        return None
    return TensorScales(spec, per, host.scales(array, spec, axes))


def transposed(scales):
    """Those of the transposed matrix."""
    return scales and scales._replace(scales=np.ascontiguousarray(scales.scales.T))
