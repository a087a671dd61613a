"""Nodes that stand for a quantizer and are known to us alone: what `export(opaque=True)` writes."""

import onnx

from tensorquant._core import Error
from tensorquant.frontend.layer_error import LayerError
from tensorquant.numbers.context import Context
from tensorquant.numbers.quantizer import Quantizer
from tensorquant.onnx.layers import array_axes
from tensorquant.onnx.session import FLOATS
from tensorquant.ops import host

_DOMAIN, _OPERATOR = "tensorquant", "Quantizer"


class OpaqueQuantizer:
    """What such a node computes.

    Args:
        node: The NodeProto.

    Attributes:
        name, output: The names of the node and of the value that it gives.
        channel_axis: Of that value; blocks lie along it, too.

    Raises:
        tensorquant.Error: The node names no quantizer.
    """

    def __init__(self, node):
        told = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        self.output = node.output[0]
        self.name = node.name or self.output
        self.channel_axis = told.get("axis", 1)
        with self._errors():
            if len(node.input) != 1:
                raise Error("expected one input")
            self._quantizer = Quantizer(told.get("quantizer", b"").decode())
        self._context = Context(told.get("seed", 0) % 2**64, told.get("stream", 0))

    def __call__(self, run, array):
        with self._errors():
            if array.dtype.name not in FLOATS:
                raise Error(f"cannot quantize numbers of type {array.dtype.name}")
            axes = array_axes(self._quantizer, array.ndim, self.channel_axis, self.channel_axis)
            if run.scales is not None:
                run.scales.mark(self.output, array, self._quantizer.spec, axes)
            context = self._context._replace(axes=axes, step=run.step)
            return host.quantize(array, self._quantizer.spec, context)

    def refuse_constants(self):
        """Raises a tensorquant.Error: the node stands between constants and a layer's parameter."""
        with self._errors():
            raise Error("a weight or bias that it makes is not computed before the model runs")

    def _errors(self):
        return LayerError(self.name, _OPERATOR)


def take_opaque(flat, source):
    """Puts Identity nodes, which ONNX Runtime knows, in the place of a model's opaque nodes.

    Args:
        flat: The model, a ModelProto.
        source: What errors call the model.

    Returns:
        The OpaqueQuantizers by the places of these nodes.

    Raises:
        tensorquant.Error: A node names no quantizer.
    """
    found = {}
    for place, node in enumerate(flat.graph.node):
        if (node.domain, node.op_type) == (_DOMAIN, _OPERATOR):
            try:
                found[place,] = OpaqueQuantizer(node)
            except Error as error:
                raise Error(f"{source}: {error}") from None
            node.CopyFrom(onnx.helper.make_node("Identity", node.input, node.output, node.name))
    return found
