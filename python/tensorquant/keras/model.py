"""Quantizers in models that exist: in, out, and shown."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tensorquant._core import Error
from tensorquant.frontend.override_argument import make_override, warn_of_idle
from tensorquant.frontend.ranges import PlaceRanges, RangeRecorder, ranges_of
from tensorquant.frontend.steps import set_inference_steps, set_training_steps, training_steps
from tensorquant.frontend.summary import LayerSummary, empty_summary, summary_of, table
from tensorquant.keras import rounded
from tensorquant.keras.application import Application
from tensorquant.keras.container import ContainerPlan
from tensorquant.keras.keras_internals import every_layer
from tensorquant.keras.layers import walk
from tensorquant.keras.parameters import parameters
from tensorquant.keras.plan import LayerPlan
from tensorquant.keras.twin import attached, detach, settled
from tensorquant.numbers.checks import Seed, Step, checked


@checked
def quantize_model(
    model: keras.layers.Layer,
    weights: Any = None,
    extrinsic: Any = None,
    intrinsic: Any = None,
    *,
    maps: Any = None,
    seed: Seed = 0,
    strict: bool = False,
) -> keras.layers.Layer:
    """Puts the quantizers of maps into the layers of a model, in place.

    The model keeps its variables, its optimizer and what it was compiled with. Its parameters stay
    float: each call quantizes them, and gradients reach them. A second call replaces the first.

    Layers go by their paths, `block/conv1`. The extrinsic name `input` is the model's input.

    Args:
        model: A Keras model, built, loaded, nested or subclassed; or a single layer.
        weights: Map of the layers' weights and biases: what `tensorquant.quantizer_map` takes.
        extrinsic: Map of the layers' outputs.
        intrinsic: Map of the arithmetic inside the layers.
        maps: In place of the three: a file with all of them, or a `tensorquant.Override`, which
            brings its own seed and strictness.
        seed: Of random rounding, 64 bits.
        strict: Whether a rule that does nothing is an error; a warning if not.

    Returns:
        The model.

    Raises:
        tensorquant.Error: A map is wrong, or a layer cannot be quantized as it says. One error
            names all such layers; the model is as it was.

    Example:
        >>> import keras
        >>> from tensorquant.keras import quantize_model
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> model = quantize_model(model, weights="nearest,8,6", extrinsic={"fc": "nearest,8,4"})
    """
    override = make_override(weights, extrinsic, intrinsic, maps, seed, strict)
    application = Application(model, override)
    application.attach()
    _forget_traces(model)
    warn_of_idle(application.idle, stacklevel=3)
    return model


@checked
def strip(model: keras.layers.Layer) -> keras.layers.Layer:
    """Makes a model float again, as it was before `quantize_model` or `override`.

    Args:
        model: The model or layer. It keeps what it has learned.

    Returns:
        The model.
    """
    for layer in every_layer(model):
        detach(layer)
    _forget_traces(model)
    return model


@checked
def summary(model: keras.layers.Layer, print_fn: Callable | None = print) -> list[LayerSummary]:
    """Shows the quantizers of each layer, and the rules that chose them.

    Args:
        model: The model or layer.
        print_fn: Called with the table; None for no output.

    Returns:
        A list of LayerSummary, in the order of the layers; first the model's input, if it is
        quantized.
    """
    for layer in every_layer(model):
        settled(layer)
    rows = []
    if isinstance(attached(model), ContainerPlan) and attached(model).model_input is not None:
        rows.append(summary_of(attached(model).model_input, ""))
    rows += map(_summary_of, walk(model))
    if print_fn is not None:
        print_fn(table(rows))
    return rows


def _summary_of(found):
    plan = attached(found.layer)
    if not isinstance(plan, LayerPlan):
        return empty_summary(found.name, found.type)
    roles = {"bias" if p.is_bias else "weight" for p in parameters(found.layer)}
    if not found.layer.built:
        roles = {"bias", "weight"}  # it may come to have them
    return summary_of(plan.quantizers, found.type, roles, rounded.can_round(found.layer))


@checked
def record_ranges(model: keras.layers.Layer, on: bool = True) -> None:
    """Has the quantizers of a model count from now on, from nothing: see `ranges`.

    The model computes the same and takes longer. What runs compiled counts nothing: call `model(x)`,
    or compile the model with `run_eagerly=True` before fit(), evaluate() and predict().

    Args:
        model: A model or layer that quantize_model() was called for.
        on: False: count no more, and forget.

    Raises:
        tensorquant.Error: It has no quantizers.
    """
    plans = _plans(model)
    recorder = RangeRecorder() if on else None
    for plan in plans:
        plan.ranges = recorder
    _forget_traces(model)


@checked
def ranges(model: keras.layers.Layer, print_fn: Callable | None = print) -> list[PlaceRanges]:
    """Shows what each quantizer has saturated and made zero since `record_ranges`.

    A weight counts again when it has changed, or is rounded at random. An output that comes quantized
    by the same quantizer from the layer before is not quantized, and not counted. A
    `TensorQuantizer` is not counted.

    Args:
        model: The model or layer.
        print_fn: Called with the table; None for no output.

    Returns:
        A list of PlaceRanges, in the order of the layers.

    Raises:
        tensorquant.Error: The model has no quantizers, record_ranges() was not called, or the model
            ran compiled alone.

    Example:
        >>> import keras
        >>> import tensorquant.keras as tqk
        >>> relu = keras.layers.ReLU(name="relu")
        >>> relu = tqk.quantize_model(relu, extrinsic="nearest,8,4")
        >>> tqk.record_ranges(relu)
        >>> y = relu(keras.ops.array([9.0, 0.01, 1.0, 0.5]))
        >>> rows = tqk.ranges(relu)
        layer  place   quantizer    bits a value  values  saturated  became zero  range
        relu   output  nearest,8,4  8             4       1 (25 %)   1 (25 %)     0.01 .. 9
    """
    recorder = next((plan.ranges for plan in _plans(model) if plan.ranges is not None), None)
    return ranges_of(recorder, [found.name for found in walk(model)], print_fn)


def _plans(model):
    layers = [model, *(found.layer for found in walk(model))]
    plans = [plan for plan in map(settled, layers) if plan is not None]
    if not plans:
        raise Error("the model has no quantizers; call quantize_model() first")
    return plans


@checked
def layer_steps(model: keras.layers.Layer) -> dict[str, int]:
    """The steps of random rounding: how often each layer has been called in training.

    Args:
        model: The model or layer.

    Returns:
        A dictionary of the layers that round at random, by name; `input` is the model's input.
    """
    return training_steps(_steps(model))


@checked
def set_layer_steps(model: keras.layers.Layer, steps: Mapping) -> None:
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
def set_inference_step(model: keras.layers.Layer, step: Step) -> None:
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
    if getattr(settled(model), "model_input", None) is not None:
        steps["input"] = attached(model).step
    for found in walk(model):
        plan = settled(found.layer)
        if plan is not None:
            steps[found.name] = plan.step
    return {name: step for name, step in steps.items() if step is not None}


def _forget_traces(model):
    """Compiled functions know the layers as they were."""
    for layer in every_layer(model):
        if isinstance(layer, keras.Model):
            layer.train_function = layer.test_function = layer.predict_function = None
            if layer.compiled:
                layer.jit_compile = layer.jit_compile  # asks the layers whether they support it
