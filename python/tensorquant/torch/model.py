"""Quantizers in models that exist: in, out, and shown."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from tensorquant.frontend.override_argument import (
    make_override,
    warn_of_idle,
    without_optimizer,
)
from tensorquant.frontend.steps import set_inference_steps, set_training_steps, training_steps
from tensorquant.frontend.summary import (
    LayerSummary,
    TrainingSummary,
    empty_summary,
    summary_of,
    table,
    with_training,
)
from tensorquant.numbers.checks import Seed, Step, checked
from tensorquant.torch import quantized_optimizers
from tensorquant.torch.application import Application
from tensorquant.torch.names import walk
from tensorquant.torch.rounded import arithmetic_of
from tensorquant.torch.twin import attached, detach


@checked
def quantize_model(
    model: nn.Module,
    weights: Any = None,
    extrinsic: Any = None,
    intrinsic: Any = None,
    *,
    gradients: Any = None,
    maps: Any = None,
    seed: Seed = 0,
    strict: bool = False,
    example_inputs: Any = None,
) -> nn.Module:
    """Puts the quantizers of maps into the layers of a model, in place.

    The model keeps its parameters, its buffers and its hooks, and state_dict() stays as it is. Its
    parameters stay float: each forward quantizes them, and gradients reach them. A second call
    replaces the first.

    Layers go by the names of `named_modules()`, parameters of modules that hold layers by those of
    `named_parameters()`. The extrinsic name `input` is the model's input: the first argument of its
    forward. Operations that are no layers, such as `x + y`, go by `layer1.0.add`, and are hit by
    extrinsic keys that name them: docs/pytorch.md.

    Args:
        model: A module, or a single layer.
        weights: Map of the layers' weights and biases: what `tensorquant.quantizer_map` takes.
        extrinsic: Map of the layers' outputs.
        intrinsic: Map of the arithmetic inside the layers.
        gradients: Map of errors, which are the gradients of the layers' outputs as they arrive, and
            of the gradients of weights and biases. These are quantized before an optimizer's step,
            by an optimizer that `quantize_optimizer` was called for.
        maps: In place of the four: a file with all of them, or a `tensorquant.Override`, which
            brings its own seed and strictness.
        seed: Of random rounding, 64 bits.
        strict: Whether a rule that does nothing is an error; a warning if not. Of rules that may
            hit operations the first forward tells.
        example_inputs: An argument of the model, or a tuple of them, for such a forward at once. It
            runs without gradients and counts no step.

    Returns:
        The model.

    Raises:
        tensorquant.Error: A map is wrong, or a layer cannot be quantized as it says. One error
            names all such layers; the model is as it was.

    Example:
        >>> import torch
        >>> from tensorquant.torch import quantize_model
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU())
        >>> model = quantize_model(model, weights="nearest,8,6", extrinsic={"=0": "nearest,8,4"})
    """
    override = make_override(weights, extrinsic, intrinsic, maps, seed, strict, gradients)
    application = Application(model, without_optimizer(override))
    application.attach()
    idle = application.idle
    if example_inputs is not None:
        idle = idle + application.run(example_inputs)
    warn_of_idle(idle, stacklevel=3)
    application.misfits.warn(stacklevel=3)
    return model


@checked
def strip(model: nn.Module) -> nn.Module:
    """Makes a model float again, as it was before `quantize_model`, and its optimizers.

    Args:
        model: The model or layer. It keeps what it has learned, and those that `quantize_optimizer`
            was called for what they have of it.

    Returns:
        The model.
    """
    for plan in quantized_optimizers.of_parts(model):
        plan.detach()
    for module in model.modules():
        detach(module)
    return model


@checked
def summary(
    model: nn.Module, print_fn: Callable | None = print
) -> list[LayerSummary] | list[TrainingSummary]:
    """Shows the quantizers of each layer, and the rules that chose them.

    Args:
        model: The model or layer.
        print_fn: Called with the table; None for no output.

    Returns:
        A list of LayerSummary, or of TrainingSummary where gradients are quantized, in the order of
        the layers; first the model's input, if it is
        quantized, and last the operations that rules have hit so far.
    """
    plan = attached(model)
    rows = []
    if plan is not None and plan.input is not None:
        rows.append(summary_of(plan.input.quantizers, ""))
    rows += map(_summary_of, walk(model))
    if plan is not None:
        rows += plan.model.operations.summaries()
    rows = with_training(rows, _training_of(model))
    if print_fn is not None:
        print_fn(table(rows))
    return rows


def _summary_of(place):
    plan = attached(place.layer)
    if plan is not None and place.is_parameter:
        plan = plan.parameters.get(place.parameters[0].attribute)
    if plan is None or plan.quantizers is None:
        return empty_summary(place.name, place.type)
    roles = {"bias" if parameter.is_bias else "weight" for parameter in place.parameters}
    can_round = not place.is_parameter and arithmetic_of(place.layer) == "rounded"
    return summary_of(plan.quantizers, place.type, roles, can_round)


def _training_of(model):
    """TrainingQuantizers by the names of layers and parameters."""
    plans = map(attached, model.modules())
    return {k: v for plan in plans if plan is not None for k, v in plan.training.items()}


@checked
def layer_steps(model: nn.Module) -> dict[str, int]:
    """The steps of random rounding: how many forwards of the model in training there were.

    Args:
        model: The model or layer.

    Returns:
        A dictionary of the layers that round at random, by name; `input` is the model's input.
    """
    return training_steps(_steps(model))


@checked
def set_layer_steps(model: nn.Module, steps: Mapping) -> None:
    """Sets what `layer_steps` returns.

    Args:
        model: The model or layer.
        steps: A dictionary of some of the layers; steps have 32 bits.

    Raises:
        tensorquant.Error: A layer does not round at random, or a step is not one of 32 bits. No
            step is changed.
    """
    set_training_steps(_steps(model), steps)


@checked
def set_inference_step(model: nn.Module, step: Step) -> None:
    """Sets the step of random rounding in inference, which is 0 unless set.

    Args:
        model: The model or layer.
        step: The step, for instance the number of the batch: 32 bits.

    Raises:
        tensorquant.Error: It is not one of 32 bits.
    """
    set_inference_steps(_steps(model), step)


def _steps(model):
    steps = {}
    for module in model.modules():
        plan = attached(module)
        if plan is not None and plan.model.steps is not None:
            steps |= plan.model.steps.by_layer()
    return steps
