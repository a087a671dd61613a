"""Optimizers with quantizers: what they take, what they keep, and how they leave parameters."""

import collections
from typing import Any

import torch
from torch import nn

from tensorquant._core import Error
from tensorquant.frontend.assignment import Assignment
from tensorquant.frontend.override_argument import make_optimizer_override, warn_of_idle
from tensorquant.numbers.checks import Seed, checked
from tensorquant.ops.torch import not_compiled
from tensorquant.torch import quantized_optimizers
from tensorquant.torch.half_types import Misfits
from tensorquant.torch.names import walk
from tensorquant.torch.refusals import refuse_scripted
from tensorquant.torch.shards import quantize_in_place
from tensorquant.torch.torch_internals import POST_HOOKS, PRE_HOOKS, is_skipped, take_scale
from tensorquant.torch.trained import Tied, trained_parameters
from tensorquant.torch.twin import attached

_ATTACHED = "_tensorquant"  # the attribute of an optimizer
_STEP = (
    "tensorquant_step"  # in its groups, which state_dict() has and load_state_dict() brings back
)
_NUMBERS = {
    "step",
    "mu_product",
    "eta",
    "mu",
}  # states that count, also of a parameter without axes


@checked
def quantize_optimizer(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    maps: Any = None,
    *,
    seed: Seed = 0,
    strict: bool = False,
) -> torch.optim.Optimizer:
    """Lets an optimizer of a model work with quantized numbers.

    Before each step it quantizes the gradients that the model's gradients map names; behind it, what
    the optimizer keeps about each parameter, and the parameter itself. It stays the same object of
    the same class. A second call replaces the first.

    Args:
        optimizer: Any optimizer of PyTorch's kind.
        model: The module with its parameters, quantized or not.
        maps: An optimizer map: what `tensorquant.quantizer_map` takes. Its places are `state` and
            `update`; states go by their own names, such as `exp_avg`, too. Or an `Override`, whose
            optimizer map it is and which brings its own seed and strictness.
        seed: Of random rounding, 64 bits.
        strict: Whether a rule that does nothing is an error; a warning if not. Of names of states
            the first step tells.

    Returns:
        The optimizer.

    Raises:
        tensorquant.Error: A map is wrong, the optimizer has no parameter of the model, or it does
            not keep states by parameter. It is as it was.

    Example:
        >>> import torch
        >>> import tensorquant.torch as tqt
        >>> model = torch.nn.Linear(4, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)
        >>> optimizer = tqt.quantize_optimizer(optimizer, model, {"": {"update": "nearest,8,6"}})
    """
    override = make_optimizer_override(maps, seed, strict)
    plan = OptimizerPlan(optimizer, model, override)
    detach(optimizer)
    plan.attach()
    warn_of_idle(plan.idle, stacklevel=3)
    plan.misfits().warn(stacklevel=3)
    return optimizer


def detach(optimizer):
    """Takes the quantizers out of an optimizer."""
    plan = vars(optimizer).get(_ATTACHED)
    if plan is not None:
        plan.detach()


class OptimizerPlan:
    """What is attached to an optimizer.

    Args:
        optimizer: The optimizer.
        model: The model.
        override: A tensorquant.Override with an optimizer map alone.

    Attributes:
        model: The model.
        idle: A message for each rule that does nothing.
    """

    def __init__(self, optimizer, model, override):
        self._optimizer = optimizer
        self.model = model
        self._is_strict = override.strict
        self._kept = []
        places = walk(model)
        assignment = Assignment(override, places, False, lambda place: "nothing", (), True)
        self.idle = assignment.idle
        tied = Tied()
        for place, quantizers in zip(places, assignment.training):
            try:
                self._plan(tied, place, quantizers)
            except Error as error:
                assignment.add_fault(place, error)
        assignment.refuse()
        _refuse_optimizer(optimizer, model, self._kept)
        self._is_random = any(plan.is_random for plan in self._kept)
        self._has_stepped = False

    def misfits(self):
        """The Misfits of the parameters' types."""
        found = Misfits()
        for plan in self._kept:
            for quantizer in plan.quantizers:
                found.look_at(plan.parameter.name, quantizer, plan.parameter.tensor.dtype)
        return found

    def _plan(self, tied, place, quantizers):
        parameters = tied.new(place, trained_parameters(place), lambda _: _text(quantizers))
        if quantizers is not None:
            refuse_scripted(place)
            self._kept += [KeptPlan(parameter, quantizers) for parameter in parameters]

    def attach(self):
        """Lets the optimizer's steps go through the quantizers."""
        its = vars(self._optimizer)
        for name, value in self._attributes().items():
            if isinstance(value, dict):
                its[name].update(value)
            else:
                its[name] = value
        quantized_optimizers.add(self)

    def detach(self):
        """Takes them out again."""
        its = vars(self._optimizer)
        for name, value in self._attributes().items():
            if isinstance(value, dict):
                its[name].pop(_ATTACHED, None)
            else:
                del its[name]
        quantized_optimizers.remove(self)

    def _attributes(self):
        """What the optimizer has for it: the plan, hooks, and a way to be copied with both."""
        return {
            _ATTACHED: self,
            "__reduce_ex__": self._reduce,
            PRE_HOOKS: collections.OrderedDict({_ATTACHED: self._before_step}),
            POST_HOOKS: collections.OrderedDict({_ATTACHED: self._after_step}),
        }

    def _reduce(self, protocol):
        """The optimizer for copy and pickle; PyTorch leaves hooks out."""
        kind = type(self._optimizer)
        make, arguments, state, *rest = kind.__reduce_ex__(self._optimizer, protocol)
        return make, arguments, {**state, **self._attributes()}, *rest

    def __setstate__(self, state):
        vars(self).update(state)
        quantized_optimizers.add(self)  # it is that of a copied optimizer

    @not_compiled
    def _before_step(self, optimizer, args, kwargs):
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._quantize_gradients()
            return None

        def quantizing():
            loss = closure()
            self._quantize_gradients()
            return loss

        if len(args) > 1:
            return (args[0], quantizing, *args[2:]), kwargs
        return args, {**kwargs, "closure": quantizing}

    @not_compiled
    @torch.no_grad()
    def _quantize_gradients(self):
        plans = [plan for plan in self._gradients() if plan.parameter.tensor.grad is not None]
        if not plans or is_skipped(self._optimizer):
            return
        scale = take_scale(self._optimizer)
        for parameter in self._stepped() if scale is not None else ():
            if parameter.grad is not None:
                parameter.grad.div_(scale.to(parameter.grad.device))
        step = self._step_tensor()
        for plan in plans:
            plan.quantize(step)

    @not_compiled
    @torch.no_grad()
    def _after_step(self, optimizer, args, kwargs):
        if is_skipped(optimizer):
            return
        step = self._step_tensor()
        stepped = {id(parameter) for parameter in self._stepped() if parameter.grad is not None}
        for plan in self._kept:
            parameter = plan.parameter.tensor
            if id(parameter) in stepped:
                plan.quantize(parameter, optimizer.state.get(parameter, {}), step)
        if self._is_random or any(plan.is_random for plan in self._gradients()):
            for group in optimizer.param_groups:
                group[_STEP] = (int(step) + 1) % 2**32
        if not self._has_stepped:
            self._has_stepped = True
            self._tell_of_states()

    def _gradients(self):
        """The model's ParameterGradients of this optimizer's parameters, as the model is now."""
        plan = attached(self.model)
        if plan is None:
            return []
        its = set(map(id, self._stepped()))
        return [one for one in plan.model.gradients if id(one.parameter.tensor) in its]

    def _stepped(self):
        return stepped_parameters(self._optimizer)

    def _step_tensor(self):
        return torch.tensor([self._optimizer.param_groups[0].get(_STEP, 0)])

    def _tell_of_states(self):
        messages = list(dict.fromkeys(m for plan in self._kept for m in plan.idle_states()))
        if messages and self._is_strict:
            raise Error("; ".join(messages))
        warn_of_idle(messages, stacklevel=6)


class KeptPlan:
    """How a parameter, and what an optimizer keeps about it, are quantized behind a step.

    Args:
        parameter: Its TrainedParameter.
        quantizers: TrainingQuantizers of its layer.
    """

    def __init__(self, parameter, quantizers):
        self.parameter = parameter
        self._quantizers = quantizers
        self._update = None
        if quantizers.update is not None:
            self._update = parameter.plan(quantizers.update, quantizers, "update")
        self._states = {name: self._state(name) for name in quantizers.states}
        self._seen = None  # names of states; None before the first step

    @property
    def quantizers(self):
        """Of states and of updates, or None in their places."""
        its = self._quantizers
        return its.update, its.state, *its.states.values()

    @property
    def has_states(self):
        """Whether states are quantized."""
        return any(quantizer is not None for quantizer in self.quantizers[1:])

    @property
    def is_random(self):
        return any(quantizer is not None and quantizer.is_random for quantizer in self.quantizers)

    def quantize(self, parameter, states, step):
        """Quantizes in place.

        Args:
            parameter: The parameter.
            states: What the optimizer keeps about it, by name.
            step: A tensor of the optimizer's step.
        """
        self._seen = [name for name, state in states.items() if _is_alike(name, state, parameter)]
        for name in self._seen:
            if name not in self._states:
                self._states[name] = self._state(name)
            if self._states[name] is not None:
                quantize_in_place(states[name], self._states[name], step)
        if self._update is not None:
            quantize_in_place(parameter, self._update, step)

    def idle_states(self):
        """Messages of the states that a rule names and the optimizer does not keep."""
        if self._seen is None:
            return
        its = self._quantizers
        named = [name for name in its.states if name not in self._seen]
        keeps = ", ".join(f"'{name}'" for name in self._seen) or "none of a parameter's shape"
        for name in named:
            yield f"{its.rule}: the optimizer has no state '{name}'; it has {keeps}"
        if its.state is not None and not self._seen:
            yield f"{its.rule}: 'state' does nothing, the optimizer has {keeps}"

    def _state(self, name):
        quantizer = self._quantizers.state_of(name)
        if quantizer is None:
            return None
        return self.parameter.plan(quantizer, self._quantizers, f"state.{name}")


def _is_alike(name, state, parameter):
    """Whether a state has a number for each of the parameter's."""
    if not isinstance(state, torch.Tensor) or not state.is_floating_point():
        return False
    return state.shape == parameter.shape and (state.dim() > 0 or name not in _NUMBERS)


def _text(quantizers):
    """What becomes of a parameter, for comparison."""
    if quantizers is None:
        return ""
    chosen = {"state": quantizers.state, "update": quantizers.update, **quantizers.states}
    return ", ".join(f"{name}: {quantizer}" for name, quantizer in chosen.items())


def stepped_parameters(optimizer):
    """All parameters that an optimizer steps."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _refuse_optimizer(optimizer, model, kept):
    if not set(map(id, stepped_parameters(optimizer))) & set(map(id, model.parameters())):
        raise Error(
            "the optimizer has no parameter of the model; make it of the model's parameters, after"
            " what replaces them, as fully_shard() does"
        )
    keeps_together = isinstance(optimizer, torch.optim.LBFGS)
    if keeps_together and any(plan.has_states for plan in kept):
        raise Error("LBFGS keeps no state of single parameters; its updates can be quantized")
