"""Gradients through quantizers: errors as they arrive, and those of parameters before a step."""

import torch

from tensorquant._core import Error
from tensorquant.torch import frames
from tensorquant.torch.plan import OutputPlan
from tensorquant.torch.shards import quantize_in_place
from tensorquant.torch.structures import floats_in, map_tensors


class ErrorPlan(OutputPlan):
    """How the gradients of what a module returns are quantized as they arrive.

    Args:
        module: The module.
        quantizers: TrainingQuantizers whose error quantizer is used.
        step: The index of their step.
    """

    role = "error"

    def watch(self, value, inputs, steps, recorder):
        """The same structure, whose tensors quantize their gradients.

        Args:
            value: What the module returns.
            inputs: What it was given: a tensor that comes back as it is has errors of its own.
            steps: Of the running forward.
            recorder: A RangeRecorder, or None.
        """
        if not torch.is_grad_enabled():
            return value
        given = floats_in(inputs)
        count = 0

        def watched(x):
            nonlocal count
            count += 1
            if not x.requires_grad:
                return x
            if any(x is other for other in given):
                x = x.view_as(x)
            x.register_hook(self._hook(count - 1, self._axes(x), steps, recorder))
            return x

        return map_tensors(watched, value)

    def _hook(self, index, axes, steps, recorder):
        plan = self._plan_of(index)
        if torch.compiler.is_compiling():  # which knows nobody who watches a backward pass
            return lambda gradient: plan.quantize(gradient, steps, axes)

        def quantized(gradient):
            if recorder is not None:
                self.count_one(recorder, index, gradient, steps)
            return plan.quantize(gradient, steps, axes)

        return lambda gradient: frames.unseen(quantized, gradient)


class ParameterGradient:
    """How the gradient of a parameter is quantized before an optimizer takes it.

    Args:
        parameter: Its TrainedParameter.
        quantizer: The quantizer.
        quantizers: TrainingQuantizers of its layer.

    Attributes:
        is_random: Whether the optimizer's step matters.
    """

    def __init__(self, parameter, quantizer, quantizers):
        if getattr(parameter.owner, "sparse", False) is True:
            raise Error("its gradients are sparse, which no quantizer takes; make it sparse=False")
        self.parameter = parameter
        self.is_random = quantizer.is_random
        self._plan = parameter.plan(quantizer, quantizers, "gradient")

    def quantize(self, step):
        """Quantizes the gradient, in place.

        Args:
            step: A tensor of the optimizer's step.

        Raises:
            tensorquant.Error: It is sparse.
        """
        gradient = self.parameter.tensor.grad
        if gradient.layout is not torch.strided:
            raise Error(f"parameter '{self.parameter.name}': its gradient is sparse")
        quantize_in_place(gradient, self._plan, step)
