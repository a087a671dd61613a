"""Maps put into the layers of an ONNX model."""

import dataclasses
from typing import NamedTuple

import numpy as np

from tensorquant._core import Error
from tensorquant.frontend.assignment import Assignment
from tensorquant.frontend.layer_arithmetic import LayerArithmetic
from tensorquant.frontend.layer_error import LayerError
from tensorquant.frontend.layer_quantizers import LayerQuantizers
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.numbers.context import Axes
from tensorquant.onnx.cutting import Changes, cuts_of
from tensorquant.onnx.graph import title_of
from tensorquant.onnx.layers import FoundInput, FoundLayer, array_axes
from tensorquant.onnx.pieces import Pieces, Run
from tensorquant.onnx.rounded import NodeView, Rounding, arithmetic_of, compute, refuse
from tensorquant.onnx.scales import Origins, RunScales, found_scales
from tensorquant.onnx.session import FLOATS, is_of_floats
from tensorquant.ops import host

_INPUT_AXIS = 1  # that of the channels of a model's input


@dataclasses.dataclass
class Output:
    """A value that is quantized as soon as it is there."""

    layer: str
    type: str
    quantizers: LayerQuantizers
    index: int  # among the layer's outputs
    channel_axis: int

    @property
    def quantizer(self):
        return self.quantizers.output

    @property
    def title(self):
        return "output" if self.index == 0 else f"output{self.index}"

    def context(self, array, step):
        """The Context of an array of it."""
        axes = array_axes(self.quantizer, array.ndim, self.channel_axis, self.channel_axis)
        return self.quantizers.context("output", self.index, axes).at(step)


class Application:
    """The quantizers that maps choose for a model. Nothing is changed by making it.

    Args:
        model: An OnnxModel.
        override: A tensorquant.Override.

    Attributes:
        override: The Override.
        idle: A message for each rule that does nothing.
        layers: Pairs of a FoundLayer and its LayerQuantizers; None where no rule hits it.
        input_layers: Pairs of a FoundInput and its LayerQuantizers, where a rule hits it.
        outputs, inputs: An Output by the name of each value that is quantized.
        origins: The Origins of values; none where nobody wants to know scales.

    Raises:
        tensorquant.Error: One error with everything that cannot be done.
    """

    def __init__(self, model, override):
        self.override = override
        self._model = model
        self._initializers = {one.name: one for one in model.flat.graph.initializer}
        ports = [FoundInput(port.name) for port in model.inputs if port.type in FLOATS]
        found = [FoundLayer(layer, model.nodes) for layer in model.layers]
        assignment = Assignment(override, [*ports, *found], False, arithmetic_of)
        self.idle = assignment.idle
        chosen = assignment.quantizers
        self.input_layers = [pair for pair in zip(ports, chosen) if pair[1] is not None]
        self.layers = list(zip(found, chosen[len(ports) :]))
        self._hit = [(layer, its) for layer, its in self.layers if its is not None]
        for layer, quantizers in self._hit:
            for fault in self._faults(layer, quantizers):
                assignment.add_fault(layer, fault)
        for port, quantizers in self.input_layers:
            for fault in _of_frameworks(quantizers):
                assignment.add_fault(port, fault)
        assignment.refuse()
        self.outputs = self._find_outputs()
        self.inputs = self._find_inputs()
        self._constants = self._read_constants()
        for layer, quantizers in self._hit:
            for parameter in self._quantized(layer, quantizers):
                kind = self._constants[parameter.name].dtype.name
                if kind not in FLOATS:
                    fault = f"its {parameter.role} '{parameter.name}' is of type {kind}"
                    assignment.add_fault(layer, f"{fault}, which no quantizer takes")
        assignment.refuse()
        opaque = [one.output for one in model.opaque.values()]
        origins = {*self.outputs, *self.inputs, *opaque} if assignment.keeps_scales else ()
        movers = {layer.type for layer in model.layers if layer.role == "moves"}
        self.origins = Origins(model.flat.graph, origins, movers)

    @property
    def has_random_parameters(self):
        """Whether weights or biases are rounded at random."""
        chosen = [
            getattr(its, p.role) for layer, its in self._hit for p in self._quantized(layer, its)
        ]
        return any(quantizer.is_random for quantizer in chosen)

    def changes(self, step):
        """The Changes of the model at a step of random rounding, and what its weights were.

        Returns:
            The Changes, and pairs of quantizer, array and Context by layer and place.
        """
        cuts = cuts_of(self._model.nodes, self.outputs)
        changes = Changes(cuts=cuts, branching=self.origins.branching)
        parameters, scales = {}, {}
        for layer, quantizers in self._hit:
            for parameter in self._quantized(layer, quantizers):
                quantizer = getattr(quantizers, parameter.role)
                array = self._constants[parameter.name]
                axes = array_axes(quantizer, array.ndim, *parameter.axes)
                context = quantizers.context(parameter.role, parameter.index, axes).at(step)
                parameters[layer.name, parameter.title] = quantizer, array, context
                name = f"{parameter.name}@{layer.name}.{parameter.title}"
                with LayerError(layer.name, layer.type):
                    changes.constants[name] = _quantized(parameter, array, quantizer, context)
                    if quantizers.keeps_scales and parameter.role == "weight":
                        scales[name] = found_scales(array, quantizer.spec, axes)
                changes.inputs[parameter.place] = name
            if self._is_rounded(layer, quantizers):
                self._round(layer, quantizers, changes, scales)
        return changes, parameters

    def _faults(self, layer, quantizers):
        yield from _of_frameworks(quantizers)
        is_rounded = self._is_rounded(layer, quantizers)
        if layer.body_of is not None and (is_rounded or quantizers.output is not None):
            yield (
                f"lies in the body of {title_of(layer.body_of)}, which ONNX Runtime computes in one"
                " go: rules hit its weights and biases alone"
            )
        elif is_rounded:
            try:
                refuse(self._view(layer))
                LayerArithmetic(quantizers)
            except Error as error:
                yield error

    def _view(self, layer):
        return NodeView(layer.node, self._model.flat.opset_import, self._initializers)

    @staticmethod
    def _is_rounded(layer, quantizers):
        return quantizers.product is not None and arithmetic_of(layer) == "rounded"

    @staticmethod
    def _quantized(layer, quantizers):
        """The Parameters of a layer that have a quantizer."""
        return [one for one in layer.parameters if getattr(quantizers, one.role) is not None]

    def _find_outputs(self):
        return {
            name: Output(layer.name, layer.type, quantizers, index, layer.output_axis)
            for layer, quantizers in self._hit
            if quantizers.output is not None
            for index, name in enumerate(layer.outputs)
        }

    def _find_inputs(self):
        return {
            found.port: Output(quantizers.layer, "", quantizers, 0, _INPUT_AXIS)
            for found, quantizers in self.input_layers
            if quantizers.output is not None
        }

    def _read_constants(self):
        names = []
        for layer, quantizers in self._hit:
            names += [parameter.name for parameter in self._quantized(layer, quantizers)]
            if len(layer.places) > 1 and self._is_rounded(layer, quantizers):
                names.append(layer.parameters[-1].name)  # a node behind may make it
        return self._model.constant_values(names)

    def _round(self, layer, quantizers, changes, weight_scales):
        arithmetic, node = LayerArithmetic(quantizers), self._view(layer)
        place, *merged = layer.places
        names = [changes.inputs.get((place, i), name) for i, name in enumerate(layer.node.input)]
        bias = None
        if merged:
            parameter = layer.parameters[-1]
            bias = changes.inputs.get(parameter.place, f"{parameter.name}@{layer.name}.bias")
            changes.constants.setdefault(bias, self._constants[parameter.name])
            changes.merged[place] = merged[0]

        def function(run, *arrays):
            def of_input(i):
                if names[i] in weight_scales:
                    return weight_scales[names[i]]
                return run.scales and run.scales.at(names[i], arrays[i].ndim)

            step = run.step if quantizers.is_random_inside else 0
            with LayerError(layer.name, layer.type):
                return compute(node, Rounding(arithmetic, step, of_input), *arrays)

        changes.computed[place] = function
        changes.more_inputs[place] = [] if bias is None else [bias]


class _State(NamedTuple):
    """What a run reads once, at its beginning."""

    pieces: Pieces
    parameters: dict
    step: int


class Quantized:
    """A model with quantizers, as it runs.

    Args:
        model: The OnnxModel.
        application: The Application.
    """

    def __init__(self, model, application):
        self.application = application
        self._model = model
        chosen = [its for _, its in application.layers if its is not None]
        self._keeps_scales = any(its.keeps_scales for its in chosen)
        self._state = self._state_at(0)

    def set_step(self, step):
        """Sets the step of random rounding."""
        if self.application.has_random_parameters:
            self._state = self._state_at(step)
        else:
            self._state = self._state._replace(step=step)

    def _state_at(self, step):
        changes, parameters = self.application.changes(step)
        return _State(self._model.cut(changes), parameters, step)

    def run(self, values, recorder):
        """The model's outputs, by name, of its inputs."""
        state = self._state
        application = self.application
        scales = RunScales(application.origins) if self._keeps_scales else None
        if recorder is not None:
            for (layer, place), (quantizer, array, context) in state.parameters.items():
                recorder.count(layer, place, quantizer, array, context, (id(array), state.step))

        def quantize(name, array):
            output = outputs[name]
            if not is_of_floats(array):
                return array
            context = output.context(array, state.step)
            with LayerError(output.layer, output.type):
                if recorder is not None:
                    recorder.count(output.layer, output.title, output.quantizer, array, context)
                if scales is not None:
                    scales.mark(name, array, output.quantizer.spec, context.axes)
                return host.quantize(array, output.quantizer.spec, context)

        outputs = application.inputs | application.outputs
        values = {
            name: quantize(name, array) if name in application.inputs else array
            for name, array in values.items()
        }
        return state.pieces.run(values, Run(state.step, scales, quantize))


def _quantized(parameter, array, quantizer, context):
    """A parameter's array, where random rounding counts elements as all front-ends do."""
    if not (parameter.is_turned and array.ndim == 2 and quantizer.is_random):
        return host.quantize(array, quantizer.spec, context)
    channel, reduction = context.axes
    turned = context._replace(axes=Axes(reduction, channel)) if quantizer.needs_layout else context
    return np.ascontiguousarray(host.quantize(array.T, quantizer.spec, turned).T)


def _of_frameworks(quantizers):
    """Faults of quantizers that are written in a framework's operations."""
    for part in ("weight", "bias", "output"):
        quantizer = getattr(quantizers, part)
        if isinstance(quantizer, TensorQuantizer):
            yield f"its {part} cannot take {quantizer}, which is written in framework operations"
