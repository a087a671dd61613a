"""The layers of an ONNX model, with their places in it."""

from typing import NamedTuple

from tensorquant.numbers.context import NO_AXES, Axes, one_axis
from tensorquant.onnx.graph import is_if, places_around


class Parameter(NamedTuple):
    """A weight or bias of a layer.

    Attributes:
        role: "weight" or "bias".
        index: Its number among those of the role.
        place: The place of the node that reads it, and that of the input there.
        name: The name of the value.
        axes: That of the channels, and the one that sums of products run over.
        is_turned: Whether random rounding counts the elements of the transposed matrix.
    """

    role: str
    index: int
    place: tuple[tuple[int, ...], int]
    name: str
    axes: tuple[int, int]
    is_turned: bool = False

    @property
    def title(self):
        return self.role if self.index == 0 else f"{self.role}{self.index}"


class FoundInput:
    """An input of a model.

    Attributes:
        name, names, type, kind: As Assignment wants them.
        port: The input's own name.
    """

    type = kind = "input"

    def __init__(self, port):
        self.name = f"input:{port}"
        self.names = [self.name]
        self.port = port

    def __str__(self):
        return f"'{self.name}' (input)"


class FoundLayer:
    """A layer of a model, or a node that only moves numbers.

    Args:
        core: The _core.OnnxLayer.
        nodes: The model's nodes by their places.

    Attributes:
        name, names, type, kind: As Assignment wants them.
        places: The places of its nodes.
        node: The first of them.
        body_of: The node in whose body it lies, that of a Loop or the like; None where none but If
            nodes are around it.
        output_axis: The axis of the channels in what it gives.
    """

    def __init__(self, core, nodes):
        self.name = core.name
        self.names = [core.name]
        self.type = core.type
        self.kind = "mover" if core.role == "moves" else "layer"
        self.output_axis = core.output_axis
        self.places = [tuple(place) for place in (core.node, core.bias_node) if place]
        self.node, self._last = nodes[self.places[0]], nodes[self.places[-1]]
        around = [nodes[place] for place in places_around(self.places[0])]
        self.body_of = next((node for node in around if not is_if(node)), None)
        self._core = core

    @property
    def outputs(self):
        """The names of what it gives that rules hit."""
        return [name for name in self._last.output[: self._core.outputs] if name]

    @property
    def parameters(self):
        core = self._core
        found = []
        for index, place in enumerate(core.weight_inputs):
            *axes, is_turned = core.weight_axes[index]
            own = (self.places[0], place), self.node.input[place], tuple(axes), is_turned
            found.append(Parameter("weight", index, *own))
        if core.bias_input >= 0:
            name = self._last.input[core.bias_input]
            found.append(Parameter("bias", 0, (self.places[-1], core.bias_input), name, (-1, -1)))
        return found

    def __str__(self):
        return f"'{self.name}' ({self.type})"


def array_axes(quantizer, rank, channel, reduction):
    """The Axes of an array with channels along one axis, and dot products over another."""
    if not quantizer.needs_layout:
        return NO_AXES
    if rank < 2:
        one = one_axis(0) if rank == 1 else (0, 0)
        return Axes(one, one)
    return Axes(*(one_axis(_nearest(axis, rank)) for axis in (channel, reduction)))


def _nearest(axis, rank):
    return max(0, axis + rank) if axis < 0 else min(axis, rank - 1)
