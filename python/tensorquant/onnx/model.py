"""An ONNX model that runs in Python, and what is in it."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.frontend.override_argument import make_override, warn_of_idle
from tensorquant.maps.explain import Explanation, explain_model
from tensorquant.maps.override import Override
from tensorquant.maps.quantizer_map import path_text
from tensorquant.numbers.checks import checked, wrong
from tensorquant.onnx.cutting import Changes, cut
from tensorquant.onnx.graph import constant_values, nodes_of
from tensorquant.onnx.layers import FoundInput, FoundLayer
from tensorquant.onnx.opaque import take_opaque
from tensorquant.onnx.pieces import Pieces, Run
from tensorquant.onnx.session import FLOATS, NUMPY_TYPES, make_session, runtime_errors


class NodeExplanation(NamedTuple):
    """A node of a model as maps see it. Empty strings where there is nothing.

    Attributes:
        layer: The name that keys of maps hit.
        operator: Its operator.
        node: Its name in the file.
        weight, bias, output: The names of these values in the file.
        moves: Whether it only moves numbers, so that rules hit it only where they name it.
    """

    layer: str
    operator: str
    node: str
    weight: str
    bias: str
    output: str
    moves: bool


class Port(NamedTuple):
    """An input or output of a model.

    Attributes:
        name: Its name.
        type: NumPy's name of its type.
        shape: A number, a name or None for each axis.
    """

    name: str
    type: str
    shape: tuple


class OnnxModel:
    """An ONNX model, which `load` makes. ONNX Runtime computes it on the CPU.

    Attributes:
        inputs, outputs: Name, type and shape of each.
        kept_maps: The maps in the file's metadata, which `export` can write; None if there are none.
    """

    def __init__(self, file, source, threads, optimize):
        self.source = source
        self.layers = [layer for layer in file.layers if layer.role != "other"]
        self._file = file.flat
        with runtime_errors(source):
            self.flat = onnx.load_from_string(file.flat)
            self.opaque = take_opaque(self.flat, source)
        self.nodes = nodes_of(self.flat.graph)
        self.make_session = functools.partial(
            make_session, threads=threads, optimize=optimize, source=source
        )
        session = self.make_session(self.flat if self.opaque else file.flat)
        self.inputs = [_port(port) for port in session.get_inputs()]
        self.outputs = [_port(port) for port in session.get_outputs()]
        self._float = self.cut(Changes()) if self.opaque else Pieces.of_session(session, source)
        self.kept_maps = Override.from_json(file.maps) if file.maps else None
        self.quantized = None  # what quantize_model() has put in
        self.watched = None  # runs the float model for those who look at its values
        self.recorder = None
        self.step = 0  # of random rounding

    def cut(self, changes):
        """The model in Pieces, with Changes."""
        changes = dataclasses.replace(changes, computed=self.opaque | changes.computed)
        return cut(self.flat, changes, self.make_session, self.source)

    def constant_values(self, names):
        """Arrays of values that depend on constants alone, by name."""
        return constant_values(self.flat, names, self.opaque, self.make_session)

    @checked
    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        """Computes the model, through the quantizers that it has.

        Args:
            inputs: A dictionary of arrays by the names of the model's inputs; or an array, where
                there is one input. Types have to be those of the inputs.

        Returns:
            The outputs by name, in the model's order.

        Raises:
            tensorquant.Error: An input is missing, unknown, or of another type or shape.
        """
        values = self.check_inputs(inputs)
        if self.watched is not None:
            return self.watched(values)
        if self.quantized is None:
            return self._float.run(values, Run(self.step))
        return self.quantized.run(values, self.recorder)

    def check_inputs(self, inputs):
        """Arrays by the names of all inputs."""
        if not isinstance(inputs, Mapping):
            if len(self.inputs) != 1:
                raise wrong("inputs", f"a dictionary of {self._input_names()}", inputs)
            inputs = {self.inputs[0].name: inputs}
        names = [port.name for port in self.inputs]
        for name in inputs:
            if name not in names:
                raise Error(f"the model has no input '{name}'; it has {self._input_names()}")
        values = {}
        for port in self.inputs:
            if port.name not in inputs:
                raise Error(f"the model's input '{port.name}' is not given")
            values[port.name] = _checked_array(port, inputs[port.name])
        return values

    def _input_names(self):
        return ", ".join(f"'{port.name}'" for port in self.inputs)

    @checked
    def explain(self, maps: Any = None) -> list[NodeExplanation] | Explanation:
        """Tells the names of the model's nodes, or which rules of maps would hit which of them.

        Args:
            maps: A `tensorquant.Override`, or the path of a file with all maps; None for the nodes.

        Returns:
            Without maps a NodeExplanation of each node that computes or moves numbers; with maps an
            Explanation, which str() turns into a table.
        """
        if maps is None:
            return [
                NodeExplanation(
                    *(layer.name, layer.type, layer.node_name, layer.weight_names, layer.bias_name),
                    *(layer.output_name, layer.role == "moves"),
                )
                for layer in self.layers
            ]
        override = make_override(None, None, None, maps, 0, False)
        layers = [*(FoundInput(port.name) for port in self.inputs if port.type in FLOATS)]
        layers += [FoundLayer(layer, self.nodes) for layer in self.layers]
        told = [(layer.name, layer.type, layer.kind) for layer in layers]
        found = explain_model(override, told, has_input=False)
        rows = [
            row for row, layer in zip(found.layers, layers) if layer.kind == "layer" or any(row[1:])
        ]
        return found._replace(layers=rows)

    @checked
    def export(
        self,
        path: str | os.PathLike,
        to: str = "qdq",
        *,
        maps: Any = None,
        keep_weights: bool = False,
        maps_in_metadata: bool = False,
        reader: str = "",
        opaque: bool = False,
    ) -> None:
        """Writes the model with its quantizers, for other programs to compute.

        Args:
            path: Of the file, which appears whole or not at all.
            to: "qdq": QuantizeLinear and DequantizeLinear; "qonnx": QONNX's Quant and its like;
                "functions": for each quantizer string a function of standard operators.
            maps: A `tensorquant.Override`, or the path of a file with all maps; those that
                `quantize_model` was given if left out.
            keep_weights: Whether weights stay float, with nodes behind them; else they are written
                quantized.
            maps_in_metadata: Whether the maps stand in the file's metadata, intrinsic rules too,
                which have no other form.
            reader: "hls4ml" or "finn": warns of what these do not take.
            opaque: Whether what the form cannot say of outputs is written as nodes that `load` and
                the command line alone read.

        Raises:
            tensorquant.Error: A quantizer has no such form, or the file cannot be written. One
                error names all such layers.
        """
        own = None if self.quantized is None else self.quantized.application.override
        override = make_override(None, None, None, own if maps is None else maps, 0, False)
        idle, texts = _core.export_onnx(
            *(self._file, path_text(path)),
            *(override._natives(), override.seed, override.strict),
            *(to, keep_weights, maps_in_metadata, reader, opaque),
        )
        warn_of_idle(idle, stacklevel=3)
        for text in texts:
            warnings.warn(text, stacklevel=3)

    def __repr__(self):
        return f"OnnxModel({self.source!r})"


def _port(port):
    shape = tuple(size if isinstance(size, (int, str)) else None for size in port.shape or ())
    return Port(port.name, NUMPY_TYPES.get(port.type, port.type), shape)


def _checked_array(port, value):
    if isinstance(value, Sequence) or np.isscalar(value):
        try:
            value = np.asarray(value, port.type)
        except (TypeError, ValueError) as error:
            raise Error(f"input '{port.name}': cannot be of {port.type}: {error}") from None
    array = np.asarray(value)
    if array.dtype.newbyteorder("=").name != port.type:
        raise Error(f"input '{port.name}': expected {port.type}, found {array.dtype.name}")
    if port.shape and len(port.shape) != array.ndim:
        raise Error(
            f"input '{port.name}': expected {len(port.shape)} dimensions, found {array.shape}"
        )
    for axis, (size, found) in enumerate(zip(port.shape, array.shape)):
        if isinstance(size, int) and size >= 0 and size != found:
            raise Error(
                f"input '{port.name}': expected a size of {size} along axis {axis}, found"
                f" {array.shape}"
            )
    return np.require(array, array.dtype.newbyteorder("="), "C")
