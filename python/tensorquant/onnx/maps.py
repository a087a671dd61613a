"""Quantizers in models that were loaded: in, out, and shown."""

import contextlib
from collections.abc import Callable
from typing import Any

from tensorquant._core import Error
from tensorquant.frontend.override_argument import make_override, warn_of_idle
from tensorquant.frontend.ranges import PlaceRanges, RangeRecorder, ranges_of
from tensorquant.frontend.summary import LayerSummary, empty_summary, summary_of, table
from tensorquant.numbers.checks import Seed, Step, checked
from tensorquant.onnx.application import Application, Quantized
from tensorquant.onnx.cutting import Changes, cuts_of
from tensorquant.onnx.model import OnnxModel
from tensorquant.onnx.pieces import Run
from tensorquant.onnx.rounded import arithmetic_of
from tensorquant.onnx.session import is_of_floats


@checked
def quantize_model(
    model: OnnxModel,
    weights: Any = None,
    extrinsic: Any = None,
    intrinsic: Any = None,
    *,
    maps: Any = None,
    seed: Seed = 0,
    strict: bool = False,
) -> OnnxModel:
    """Puts the quantizers of maps into the layers of a model. A second call replaces the first.

    Without maps those that the file has in its metadata.

    Args:
        model: What `load` returned.
        weights: Map of the layers' weights and biases: what `tensorquant.quantizer_map` takes.
        extrinsic: Map of the layers' outputs; the name `input` is each float input of the model,
            `input:NAME` one of them.
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
    """
    kept = model.kept_maps
    if kept is not None and all(one is None for one in (weights, extrinsic, intrinsic, maps)):
        weights, extrinsic, intrinsic = kept.weights, kept.extrinsic, kept.intrinsic
    override = make_override(weights, extrinsic, intrinsic, maps, seed, strict)
    application = Application(model, override)
    quantized = None if override.empty else Quantized(model, application)
    warn_of_idle(application.idle, stacklevel=3)
    model.quantized, model.recorder, model.step = quantized, None, 0
    return model


@checked
def strip(model: OnnxModel) -> OnnxModel:
    """Makes a model float again.

    Returns:
        The model.
    """
    model.quantized, model.recorder, model.step = None, None, 0
    return model


@checked
def summary(model: OnnxModel, print_fn: Callable | None = print) -> list[LayerSummary]:
    """Shows the quantizers of each layer, and the rules that chose them.

    Args:
        model: The model.
        print_fn: Called with the table; None for no output.

    Returns:
        A list of LayerSummary in the order of the file, of what only moves numbers where it is
        quantized; first the model's inputs, likewise.
    """
    if model.quantized is None:
        layers = [layer for layer in model.layers if layer.role == "computes"]
        rows = [empty_summary(layer.name, layer.type) for layer in layers]
    else:
        application = model.quantized.application
        rows = [summary_of(quantizers, "") for _, quantizers in application.input_layers]
        rows += [
            _summary_of(layer, quantizers)
            for layer, quantizers in application.layers
            if layer.kind == "layer" or quantizers is not None
        ]
    if print_fn is not None:
        print_fn(table(rows))
    return rows


def _summary_of(layer, quantizers):
    if quantizers is None:
        return empty_summary(layer.name, layer.type)
    roles = {parameter.role for parameter in layer.parameters}
    return summary_of(quantizers, layer.type, roles, arithmetic_of(layer) == "rounded")


@checked
def set_inference_step(model: OnnxModel, step: Step) -> None:
    """Sets the step of random rounding, which is 0 unless set.

    Args:
        model: The model.
        step: The step, for instance the number of the batch: 32 bits.
    """
    model.step = step
    if model.quantized is not None:
        model.quantized.set_step(step)


@checked
def record_ranges(model: OnnxModel, on: bool = True) -> None:
    """Has the quantizers of a model count from now on, from nothing: see `ranges`.

    Args:
        model: A model that quantize_model() was called for.
        on: False: count no more, and forget.

    Raises:
        tensorquant.Error: The model has no quantizers.
    """
    if model.quantized is None:
        raise Error("the model has no quantizers; call quantize_model() first")
    model.recorder = RangeRecorder() if on else None


@checked
def ranges(model: OnnxModel, print_fn: Callable | None = print) -> list[PlaceRanges]:
    """Shows what each quantizer has saturated and made zero since `record_ranges`.

    Args:
        model: The model.
        print_fn: Called with the table; None for no output.

    Returns:
        A list of PlaceRanges, in the order of the layers. A parameter counts once.

    Raises:
        tensorquant.Error: Nothing was counted.
    """
    return ranges_of(model.recorder, [layer.name for layer in model.layers], print_fn)


@checked
def observe(model: OnnxModel, function: Callable) -> contextlib.AbstractContextManager:
    """A context in which a function gets what the layers of a model give.

    Args:
        model: A model without quantizers.
        function: Called as function(name, array) with each float array that a layer gives, in the
            order of the file: of an If's layers those of the branch that is taken, of none in the
            body of a Loop or Scan.

    Raises:
        tensorquant.Error: The model has quantizers.

    Example:
        >>> with observe(model, lambda name, array: print(name, array.shape)):  # doctest: +SKIP
        ...     model.run(inputs)
    """
    if model.quantized is not None:
        raise Error("the model has quantizers; strip() it to see what its layers give")
    names = {}  # of layers, by their values
    for layer, _ in Application(model, make_override(None, None, None, None, 0, False)).layers:
        if layer.kind == "layer" and layer.body_of is None:
            names |= dict.fromkeys(layer.outputs, layer.name)
    return watching(model, names, function)


@contextlib.contextmanager
def watching(model, names, function):
    """observe() of the values of a dictionary, which has what the function is told of each."""
    pieces = model.cut(Changes(cuts=cuts_of(model.nodes, names)))

    def look(name, array):
        if is_of_floats(array):
            function(names[name], array)
        return array

    before = model.watched
    model.watched = lambda values: pieces.run(values, Run(model.step, look=look))
    try:
        yield
    finally:
        model.watched = before
