"""How a call goes through the quantizers of a layer."""

import keras
from keras import ops, tree

from tensorquant._core import Error
from tensorquant.frontend.layer_arithmetic import LayerArithmetic
from tensorquant.frontend.layer_error import LayerError
from tensorquant.frontend.layer_quantizers import LayerQuantizers, numbered
from tensorquant.keras import rounded
from tensorquant.keras.axes import axes_in, output_axes, parameter_axes, refuse_kernels
from tensorquant.keras.backend import find_scales, not_compiled, quantize, quantize_last
from tensorquant.keras.counting import count
from tensorquant.keras.keras_internals import (
    get_keras_mask,
    is_training,
    rematerializes_activation,
    set_keras_mask,
    sublayers,
    value_as_stored,
)
from tensorquant.keras.layers import is_whole
from tensorquant.keras.marks import (
    mark_quantized,
    mark_scales,
    passes_on_quantized,
    scales_of,
)
from tensorquant.keras.moving import (
    changes_values_in_training,
    moved_scales,
    passes_on_scales,
)
from tensorquant.keras.parameters import parameters, put_tensors, put_variables_back
from tensorquant.keras.step import Step
from tensorquant.keras.tensor_quantizer import load, save
from tensorquant.keras.twin import attach, can_be_saved


@can_be_saved
class LayerPlan:
    """Quantizers for one layer, ready to be attached.

    Args:
        layer: The layer.
        quantizers: Its LayerQuantizers.

    Raises:
        tensorquant.Error: The layer cannot be quantized like that.
    """

    def __init__(self, layer, quantizers):
        self.quantizers = quantizers
        self._naming = LayerError(quantizers.layer, type(layer).__name__)
        self.step = Step() if quantizers.is_random else None
        self.arithmetic = None
        self.ranges = None  # a RangeRecorder that counts
        self._sublayers = len(sublayers(layer))
        self._activation = getattr(layer, "activation", None)
        self._replacements = None  # (Parameter, its quantizer, its Context), known once it is built
        with self._naming:
            _refuse_quantized(layer)
            refuse_kernels(layer, quantizers.weight)
            self._output_axes = output_axes(layer, quantizers.output)
            if quantizers.product is not None and rounded.can_round(layer):
                self.arithmetic = LayerArithmetic(quantizers)
                rounded.refuse(layer, self.arithmetic, quantizers.weight)
            if layer.built:
                self._find_parameters(layer)

    @not_compiled  # it swaps attributes
    def call(self, layer, base_call, args, kwargs):
        """What the layer's call() gives with the quantizers in their places."""
        step = 0 if self.step is None else self.step.next_call(is_training(kwargs))
        with self._naming:
            if self._replacements is None:
                self._find_parameters(layer)
            box = [self._float_outputs(layer, base_call, args, kwargs, step)]
            output = self.quantizers.output
            if output is not None and args and passes_on_quantized(layer, args[0], box[0], output):
                mark_quantized(box[0], output)
                self._pass_on_scales(layer, args, kwargs, box[0])
                return box.pop()
            if output is None:
                self._pass_on_scales(layer, args, kwargs, box[0])
            return quantize_outputs(box, self.quantizers, step, self._output_axes, self.ranges)

    def _pass_on_scales(self, layer, args, kwargs, output):
        if not self.quantizers.keeps_scales or not args or not passes_on_scales(layer):
            return
        if changes_values_in_training(layer) and is_training(kwargs):
            return
        scales = scales_of(args[0])
        if scales is not None and output is not args[0]:
            mark_scales(output, moved_scales(layer, scales, args[0], output))

    def settle(self, layer):
        pass

    def to_config(self, layer):
        with self._naming:
            return {"quantizers": self.quantizers.to_config(save)}

    @classmethod
    def restore(cls, layer, config):
        attach(layer, cls(layer, LayerQuantizers.from_config(config["quantizers"], load)))

    def _find_parameters(self, layer):
        if len(sublayers(layer)) != self._sublayers and not is_whole(layer):
            raise Error("it made layers after its quantizers were chosen; build the model first")
        self._replacements = []
        for parameter in parameters(layer):
            quantizer = self.quantizers.bias if parameter.is_bias else self.quantizers.weight
            if quantizer is None:
                continue
            if not parameter.places:
                raise Error(
                    f"nothing tells which attribute holds the parameter '{parameter.variable.name}';"
                    " keep it as an attribute, or in a list or dictionary that is one"
                )
            axes = parameter_axes(parameter.layer, parameter.variable, parameter.is_bias, quantizer)
            context = self.quantizers.context(parameter.role, axes=axes)
            self._replacements.append((parameter, quantizer, context))

    def _float_outputs(self, layer, base_call, args, kwargs, step):
        replacements = self._quantized_parameters(step)
        try:
            put_tensors(replacements)
            if self.arithmetic is None:
                return base_call(layer, *args, **kwargs)
            if rematerializes_activation(layer):
                layer.activation = self._activation  # Keras puts it back itself after the call
            return rounded.rounded_call(layer, self.arithmetic, step, *args, **kwargs)
        finally:
            put_variables_back(replacements)

    def _quantized_parameters(self, step):
        quantized = []
        for parameter, quantizer, context in self._replacements:
            variable = parameter.variable
            stored, context = value_as_stored(variable), context.at(step)
            names = self.quantizers.layer, parameter.role
            count(self.ranges, *names, quantizer, stored, context, is_parameter=True)
            value = variable._maybe_autocast(quantize(stored, quantizer, context))
            if (
                self.arithmetic is not None
                and not parameter.is_bias
                and value.dtype == stored.dtype
            ):
                mark_scales(value, find_scales(stored, quantizer, context.axes))
            quantized.append((parameter, value))
        return quantized


def _refuse_quantized(layer):
    if layer.quantization_mode is not None:
        raise Error(
            f"Keras has quantized it itself ('{layer.quantization_mode}') and does not call call()"
        )
    if getattr(layer, "lora_enabled", False):
        raise Error("its weights are a sum with LoRA's, which cannot be quantized as one")


def quantize_outputs(box, quantizers, step, axes, recorder=None):
    """What a layer returned, quantized.

    Args:
        box: A list of it, which is emptied: where nobody else holds a tensor its memory is used.
        quantizers: LayerQuantizers; its output quantizer is used.
        step: The step of random rounding.
        axes: The Axes of the tensors.
        recorder: A RangeRecorder, or None.
    """
    if quantizers.output is None or not is_float_tensor(box[0]):
        return quantize_floats(box.pop(), quantizers, step, axes, recorder)
    mask = get_keras_mask(box[0])
    context = quantizers.context("output", axes=axes_in(axes, box[0])).at(step)
    scales = _scales_of_output(box[0], quantizers, context)
    count(recorder, quantizers.layer, "output", quantizers.output, box[0], context)
    y = quantize_last(box, quantizers.output, context)
    mark_quantized(y, quantizers.output)
    mark_scales(y, scales)
    return _with_mask(y, mask)


def quantize_floats(tensors, quantizers, step, axes, recorder=None):
    """Quantizes the floating-point tensors of a structure and leaves all else alone.

    Args:
        tensors: Tensors, or a structure of them, as a layer returns.
        quantizers: LayerQuantizers; its output quantizer is used.
        step: The step of random rounding.
        axes: The Axes of the tensors.
        recorder: A RangeRecorder, or None.

    Returns:
        The same structure. Keras' masks are kept.
    """
    if quantizers.output is None:
        return tensors
    index = 0

    def quantized(x):
        nonlocal index
        if not is_float_tensor(x):
            return x
        context = quantizers.context("output", index, axes_in(axes, x)).at(step)
        place = numbered("output", index)
        count(recorder, quantizers.layer, place, quantizers.output, x, context)
        index += 1
        y = quantize(x, quantizers.output, context)
        mark_quantized(y, quantizers.output)
        mark_scales(y, _scales_of_output(x, quantizers, context))
        return _with_mask(y, get_keras_mask(x))

    return tree.map_structure(quantized, tensors)


def _scales_of_output(x, quantizers, context):
    return find_scales(x, quantizers.output, context.axes) if quantizers.keeps_scales else None


def is_float_tensor(x):
    return ops.is_tensor(x) and keras.backend.is_float_dtype(ops.dtype(x))


def _with_mask(tensor, mask):
    if mask is not None:
        set_keras_mask(tensor, mask)
    return tensor
