"""Whoever wants to see what the layers and operations of a model give."""

import contextlib
from collections.abc import Callable

from torch import nn

from tensorquant._core import Error
from tensorquant.maps.override import Override
from tensorquant.numbers.checks import checked
from tensorquant.torch.model_plan import ModelPlan
from tensorquant.torch.names import containers, is_layer, is_scripted, walk
from tensorquant.torch.operation_rules import OperationRules
from tensorquant.torch.plan import ModulePlan
from tensorquant.torch.twin import attach, attached, detach


@checked
def observe(model: nn.Module, function: Callable) -> contextlib.AbstractContextManager:
    """A context in which a function gets what the layers and operations of a model give.

    Args:
        model: A module, quantized or not.
        function: Called as function(name, tensor) with each floating-point tensor that a layer
            returns, or an operation such as `x + y`, in the order of the calls and after the
            quantizers; but not in compiled code.

    Returns:
        A context manager.

    Raises:
        tensorquant.Error: A part of the model was quantized alone.

    Example:
        >>> import torch
        >>> from tensorquant.torch import observe
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
        >>> with observe(model, lambda name, x: print(name, tuple(x.shape))):
        ...     y = model(torch.ones(1, 4))
        0 (1, 2)
        1 (1, 2)
    """
    return _observed(model, function)


@contextlib.contextmanager
def _observed(model, function):
    plan = _model_plan(model)
    added = []
    before, plan.observer = plan.observer, function
    try:
        for name, module in _everything(model):
            if attached(module) is None:
                attach(module, ModulePlan(plan, name, type(module).__name__, not is_layer(module)))
                added.append(module)
        yield
    finally:
        plan.observer = before
        for module in added:
            detach(module)


def _model_plan(model):
    plan = attached(model)
    for name, module in model.named_modules():
        inner = attached(module)
        if inner is not None and (plan is None or inner.model is not plan.model):
            raise Error(f"'{name}' was quantized alone; observe that")
    return (
        ModelPlan(None, OperationRules(Override(), [], []), False) if plan is None else plan.model
    )


def _everything(model):
    yield from containers(model)
    for place in walk(model):
        if not place.is_parameter and not is_scripted(place.layer):
            yield place.name, place.layer
