"""What the modules of a quantized model share."""

import torch

from tensorquant._core import Error
from tensorquant.frontend.override_argument import warn_of_idle
from tensorquant.ops.torch import Spare
from tensorquant.torch import quantized_optimizers
from tensorquant.torch.inference import in_inference
from tensorquant.torch.twin import attached


class ModelPlan:
    """What is the same for all ModulePlans of a model.

    Args:
        steps: The model's Steps; None where nothing is random.
        operations: Its OperationRules.
        strict: Whether a rule that does nothing is an error.
        keeps_scales: Whether tensors keep the scales that they are made with.

    Attributes:
        modules: All ModulePlans of the model.
        gradients: ParameterGradients, for optimizers.
        ranges: A RangeRecorder that counts, or None.
        observer: Gets the names and tensors of outputs and operations; or None.
        read_again: The keys of those parameters that several frames of a forward have read.
        spare: The Spare of large parameters, one after the other.
    """

    def __init__(self, steps, operations, strict, keeps_scales=False):
        self.steps = steps
        self.operations = operations
        self.modules = []
        self.gradients = []
        self.observer = self.ranges = None
        self.keeps_scales = keeps_scales
        self.read_again = set()
        self.spare = Spare()
        self._strict = strict
        self._has_run = self._is_rehearsal = self._has_told = False
        self._missing = set()  # ModulePlans of modules that were told to be gone
        self._masks = {}  # messages by the names of operations

    @property
    def watches(self):
        """Whether operations matter."""
        return self.operations.any or self.observer is not None

    def rehearse(self, root, inputs):
        """Runs the model once as in inference.

        Args:
            root: The model.
            inputs: An argument of it, or a tuple of them.

        Returns:
            Messages of what was found out.

        Raises:
            tensorquant.Error: A rule did nothing, and that is an error.
        """
        self._is_rehearsal = True  # whose messages are returned, and no warnings
        try:
            with in_inference(root):
                root(*inputs) if isinstance(inputs, tuple) else root(inputs)
        finally:
            self._is_rehearsal = False
        self._has_run = True
        return self._messages(root)

    def after_forward(self, root):
        """Tells, after a forward of the model, what was found out and is not told yet."""
        self._look_for_optimizer(root)
        if self._is_rehearsal:
            return
        if self._has_run:
            warn_of_idle(self._of_missing_layers(root), stacklevel=5)
            return
        self._has_run = True
        warn_of_idle(self._messages(root), stacklevel=5)

    def _look_for_optimizer(self, root):
        """Tells once, in training, that nobody quantizes the gradients of parameters."""
        if self._has_told or not self.gradients or self._is_rehearsal:
            return
        if not root.training or not torch.is_grad_enabled():
            return
        if quantized_optimizers.exists_for(self):
            return
        self._has_told = True
        message = (
            "the gradients map has rules for gradients of parameters, which do nothing before an"
            " optimizer of the model was given to quantize_optimizer()"
        )
        if self._strict:
            raise Error(message)
        warn_of_idle([message], stacklevel=5)

    def look_for_masks(self, name, container, operands):
        """Notes, in the first forward of the model, what an addition does to an attention mask."""
        if not self._has_run and name not in self._masks:
            message = self.operations.message_of_mask(name, container, operands)
            if message is not None:
                self._masks[name] = message

    def _messages(self, root):
        idle = self.operations.idle()
        if idle and self._strict:
            raise Error("; ".join(idle))
        return [*idle, *self._masks.values(), *self._of_layers(), *self._of_missing_layers(root)]

    def _of_layers(self):
        for plan in self.modules:
            if plan.read_in is not None and not plan.was_called and plan.acts_on_forward:
                only = (
                    "and only its weights are quantized"
                    if plan.parameters
                    else "where no rule reaches it"
                )
                yield (
                    f"layer '{plan.name}' was not called: its output is computed inside"
                    f" {plan.read_in}, {only}"
                )

    def _of_missing_layers(self, root):
        present = {attached(module) for module in root.modules()}
        for plan in self.modules:
            if plan not in present and plan not in self._missing:
                self._missing.add(plan)
                yield (
                    f"layer '{plan.name}' is no longer in the model, and what took its place has no"
                    " quantizers; call quantize_model() again"
                )
