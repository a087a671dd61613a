"""Maps put into the layers of a PyTorch model."""

import dataclasses
import inspect

from tensorquant._core import Error
from tensorquant.frontend.assignment import Assignment
from tensorquant.frontend.found_layer import named_types
from tensorquant.frontend.layer_arithmetic import LayerArithmetic
from tensorquant.maps.explain import explain_model
from tensorquant.numbers.context import Context
from tensorquant.torch import refusals, rounded
from tensorquant.torch.axes import parameter_axes
from tensorquant.torch.gradients import ErrorPlan, ParameterGradient
from tensorquant.torch.half_types import Misfits, type_of
from tensorquant.torch.inference import put_back
from tensorquant.torch.model_plan import ModelPlan
from tensorquant.torch.names import containers, is_layer, is_scripted, join, walk
from tensorquant.torch.operation_rules import STEP as OPERATIONS
from tensorquant.torch.operation_rules import OperationRules
from tensorquant.torch.parameter_rules import idle_on_parameters
from tensorquant.torch.plan import ModulePlan, OutputPlan, ParameterPlan
from tensorquant.torch.scales import PADDINGS
from tensorquant.torch.step import Steps
from tensorquant.torch.tensor_plan import TensorPlan
from tensorquant.torch.tied import Readings
from tensorquant.torch.trained import Tied, trained_parameters
from tensorquant.torch.twin import attach, attached, detach


class Application:
    """The quantizers that maps choose for a model. Nothing is changed by making it.

    Args:
        root: The model, or a single layer.
        override: A tensorquant.Override.

    Attributes:
        idle: A message for each rule that does nothing.
        misfits: The Misfits of the model's types.
        places: Pairs of a FoundPlace and its LayerQuantizers; None where no rule hits it.
        input: LayerQuantizers of the model's input, or None.
        operations: The OperationRules.

    Raises:
        tensorquant.Error: One error with everything that cannot be done.
    """

    def __init__(self, root, override):
        self._root = root
        refusals.refuse_model(root)
        places = walk(root)
        self._containers = dict(containers(root))
        operations = self.operations = OperationRules(override, self._containers, places)
        assignment = Assignment(
            override, places, not is_layer(root), _arithmetic_of, operations.later, True
        )
        explanation = explain_model(override, named_types(places), not is_layer(root))
        assignment.add_idle(idle_on_parameters(explanation, places, operations))
        self.idle = assignment.idle
        self.input = assignment.input
        self.places = [
            (place, quantizers and _of_place(place, quantizers))
            for place, quantizers in zip(places, assignment.quantizers)
        ]
        chosen = [
            quantizers
            for quantizers in (assignment.input, *(quantizers for _, quantizers in self.places))
            if quantizers is not None
        ]
        training = [quantizers for quantizers in assignment.training if quantizers is not None]
        steps = self._make_steps(chosen, training)
        operations.prepare(self._step_of.get(OPERATIONS))
        keeps_scales = assignment.keeps_scales
        self._model = ModelPlan(steps, operations, override.strict, keeps_scales)
        self._names = {id(module): name for name, module in root.named_modules()}
        self._plans = {}  # pairs of a module and its plan, by the module's id
        self._readings = Readings()
        self._tied = Tied()
        for (place, quantizers), its_training in zip(self.places, assignment.training):
            try:
                self._plan(place, quantizers)
                self._plan_training(place, its_training)
            except Error as error:
                assignment.add_fault(place, error)
        assignment.refuse()
        self.misfits = self._find_misfits(assignment.training)
        if chosen or training or operations.any:
            self._plan_the_rest()

    def attach(self):
        """Puts the quantizers into the modules; those that no rule hits become plain ones."""
        self._before = [(module, attached(module)) for module in self._root.modules()]
        try:
            for module, _ in self._before:
                detach(module)
            for module, plan in self._plans.values():
                attach(module, plan)
        except BaseException:
            put_back(self._before)
            raise

    def run(self, inputs):
        """Runs the model once, which is put back as it was before attach() if that goes wrong.

        Returns:
            Messages of the rules that did nothing in it.
        """
        try:
            return self._model.rehearse(self._root, inputs)
        except BaseException:
            put_back(self._before)
            raise

    def _find_misfits(self, training):
        misfits, type_of_all = Misfits(), type_of(self._root.parameters())
        for (place, quantizers), its_training in zip(self.places, training):
            types = [_type_of(parameter) or type_of_all for parameter in place.parameters]
            type_of_output = types[0] if types else type_of_all
            if quantizers is not None:
                misfits.look_at(place.name, quantizers.output, type_of_output)
            if its_training is not None and not place.is_parameter:
                misfits.look_at(place.name, its_training.error, type_of_output)
            for parameter, its_type in zip(place.parameters, types):
                if quantizers is not None:
                    its = quantizers.bias if parameter.is_bias else quantizers.weight
                    misfits.look_at(place.name, its, its_type)
                if its_training is not None:
                    its = its_training.gradient(parameter.is_bias)
                    misfits.look_at(place.name, its, its_type)
        if self.input is not None:
            misfits.look_at("input", self.input.output, type_of_all)
        for rule in self.operations.output_rules:
            misfits.look_at(rule.key, rule.output, type_of_all)
        return misfits

    def _make_steps(self, chosen, training):
        """The Steps of what rounds at random; None if nothing does."""
        names = [quantizers.layer for quantizers in chosen if quantizers.is_random]
        errors = [one.layer for one in training if one.error is not None and one.error.is_random]
        names += [name for name in errors if name not in names]
        names += [OPERATIONS] if self.operations.are_random else []
        self._step_of = {name: index for index, name in enumerate(names)}
        return Steps(names) if names else None

    def _plan_the_rest(self):
        """Plans for modules that may read parameters and call functions, and for the input."""
        for module in self._containers.values():
            self._plan_of(module)
        if self.operations.any:  # whose functions are those of layers has to be known
            for place, _ in self.places:
                if not is_scripted(place.layer):
                    self._plan_of(place.layer)
        if self._model.keeps_scales:
            for place, _ in self.places:
                if isinstance(place.layer, PADDINGS):
                    self._plan_of(place.layer)
        if self.input is not None:
            plan = self._plan_of(self._root)
            plan.input = OutputPlan(self._root, self.input, self._step_of.get("input"))
            plan.input_name = input_name(self._root)

    def _plan(self, place, quantizers):
        streams = [self._readings.stream(place, p, quantizers) for p in place.parameters]
        if quantizers is None:
            return
        refusals.refuse_place(place, quantizers)
        step = self._step_of.get(quantizers.layer)
        if not place.is_parameter:
            plan = self._plan_of(place.layer)
            plan.quantizers = quantizers
            if quantizers.output is not None:
                plan.output = OutputPlan(place.layer, quantizers, step)
            if quantizers.product is not None and _arithmetic_of(place) == "rounded":
                plan.arithmetic = LayerArithmetic(quantizers)
                rounded.refuse_weights(place.layer, plan.arithmetic, quantizers.weight)
                plan.arithmetic_step = step if quantizers.is_random_inside else None
        for parameter, stream in zip(place.parameters, streams):
            quantizer = quantizers.bias if parameter.is_bias else quantizers.weight
            if quantizer is None:
                continue
            owner, attribute = parameter.owner, parameter.attribute
            axes = parameter_axes(owner, attribute, quantizer)
            context = Context(quantizers.seed, stream, axes=axes)
            name = place.name if place.is_parameter else join(place.name, attribute)
            keeps_scales = quantizers.keeps_scales and not parameter.is_bias
            tensor = TensorPlan(quantizer, context, step, keeps_scales)
            self._plan_of(owner).parameters[attribute] = ParameterPlan(
                name, tensor, quantizers, self._plan_of(place.layer), parameter.role
            )

    def _plan_training(self, place, quantizers):
        parameters = self._tied.new(
            place,
            trained_parameters(place),
            lambda parameter: str((quantizers and quantizers.gradient(parameter.is_bias)) or ""),
        )
        if quantizers is None:
            return
        refusals.refuse_scripted(place)
        plan = self._plan_of(place.layer)
        plan.training[place.name] = quantizers
        if quantizers.error is not None and not place.is_parameter:
            refusals.refuse_place(place, None)
            plan.error = ErrorPlan(place.layer, quantizers, self._step_of.get(quantizers.layer))
        for parameter in parameters:
            quantizer = quantizers.gradient(parameter.is_bias)
            if quantizer is not None:
                one = ParameterGradient(parameter, quantizer, quantizers)
                self._model.gradients.append(one)

    def _plan_of(self, module):
        found = self._plans.get(id(module))
        if found is None:
            name, kind = self._names[id(module)], type(module).__name__
            plan = ModulePlan(self._model, name, kind, not is_layer(module))
            found = self._plans[id(module)] = (module, plan)
            self._model.modules.append(plan)
        return found[1]


def input_name(model):
    """The name of the argument that is a model's input: the first of its forward(); or None."""
    return next(iter(inspect.signature(model.forward).parameters), None)


def _type_of(parameter):
    held = dict(parameter.owner.named_parameters(recurse=False))  # a scripted module's, too
    tensor = held.get(parameter.attribute)
    return None if tensor is None else tensor.dtype


def _of_place(place, quantizers):
    """A parameter that belongs to no layer has neither outputs nor arithmetic."""
    if not place.is_parameter:
        return quantizers
    nothing = dict.fromkeys(("output", "product", "accumulator", "outer"))
    return dataclasses.replace(quantizers, **nothing, intrinsic="")


def _arithmetic_of(place):
    return "nothing" if place.is_parameter else rounded.arithmetic_of(place.layer)
