"""Maps put into the layers of a PyTorch model."""

from tensorquant._core import Error
from tensorquant.frontend.assignment import Assignment
from tensorquant.numbers.context import Context
from tensorquant.torch import refusals
from tensorquant.torch.axes import parameter_axes
from tensorquant.torch.names import HOLDERS, children, is_layer, join, walk
from tensorquant.torch.plan import ModelPlan, ModulePlan, OutputPlan, ParameterPlan
from tensorquant.torch.step import Steps
from tensorquant.torch.tensor_plan import TensorPlan
from tensorquant.torch.tied import Readings
from tensorquant.torch.twin import attach, detach


class Application:
    """The quantizers that maps choose for a model. Nothing is changed by making it.

    Args:
        root: The model, or a single layer.
        override: A tensorquant.Override.

    Attributes:
        idle: A message for each rule that does nothing.

    Raises:
        tensorquant.Error: One error with everything that cannot be done.
    """

    def __init__(self, root, override):
        self._root = root
        refusals.refuse_model(root)
        places = walk(root)
        assignment = Assignment(override, places, not is_layer(root), _arithmetic_of)
        self.idle = assignment.idle
        chosen = [
            quantizers
            for quantizers in (assignment.input, *assignment.quantizers)
            if quantizers is not None
        ]
        names = [quantizers.layer for quantizers in chosen if quantizers.is_random]
        self._step_of = {name: index for index, name in enumerate(names)}
        self._model = ModelPlan(Steps(names) if names else None)
        self._plans = {}  # pairs of a module and its plan, by the module's id
        self._readings = Readings()
        for place, quantizers in zip(places, assignment.quantizers):
            try:
                self._plan(place, quantizers)
            except Error as error:
                assignment.add_fault(place, error)
        assignment.refuse()
        if chosen:
            self._plan_containers(root, "")
        if assignment.input is not None:
            _, plan = self._plans[id(root)]
            plan.input = OutputPlan(root, assignment.input, self._step_of.get("input"))

    def attach(self):
        """Puts the quantizers into the modules; those that no rule hits become plain ones."""
        for module in self._root.modules():
            detach(module)
        for module, plan in self._plans.values():
            attach(module, plan)

    def _plan(self, place, quantizers):
        streams = [self._readings.stream(place, p, quantizers) for p in place.parameters]
        if quantizers is None:
            return
        refusals.refuse_place(place, quantizers)
        step = self._step_of.get(quantizers.layer)
        naming = place.name, place.type
        if not place.is_parameter:
            plan = self._plan_of(place.layer, *naming)
            plan.quantizers = quantizers
            if quantizers.output is not None:
                plan.output = OutputPlan(place.layer, quantizers, step)
        for parameter, stream in zip(place.parameters, streams):
            quantizer = quantizers.bias if parameter.is_bias else quantizers.weight
            if quantizer is None:
                continue
            owner, attribute = parameter.owner, parameter.attribute
            axes = parameter_axes(owner, attribute, quantizer)
            context = Context(quantizers.seed, stream, axes=axes)
            name = place.name if place.is_parameter else join(place.name, attribute)
            tensor = TensorPlan(quantizer, context, step)
            plan = self._plan_of(owner, place.name, type(owner).__name__)
            layer = plan if place.is_parameter else self._plan_of(place.layer, *naming)
            plan.parameters[attribute] = ParameterPlan(name, tensor, quantizers, layer)

    def _plan_of(self, module, name, kind):
        found = self._plans.get(id(module))
        if found is None:
            found = self._plans[id(module)] = (module, ModulePlan(self._model, name, kind))
            self._model.modules.append(found[1])
        return found[1]

    def _plan_containers(self, module, name):
        """Whoever holds quantized modules may read their parameters."""
        if is_layer(module):
            return
        if not isinstance(module, HOLDERS):
            self._plan_of(module, name, type(module).__name__)
        for child_name, child in children(module):
            self._plan_containers(child, join(name, child_name))


def _arithmetic_of(place):
    return "nothing" if place.is_parameter else "other"
