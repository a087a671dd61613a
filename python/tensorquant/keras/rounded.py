"""Layers with everything that they compute rounded, as an intrinsic map asks for."""

from keras import layers

from tensorquant.keras import (
    einsum,
    rounded_activations,
    rounded_attention,
    rounded_norms,
    rounded_products,
    rounded_values,
)
from tensorquant.keras.moving import only_moves_values
from tensorquant.keras.rounding import Rounding
from tensorquant.keras.twin import float_class
from tensorquant.numbers.quantizer import Quantizer
from tensorquant.ops.common import traits

_ROUNDED = {
    **rounded_activations.LAYERS,
    **rounded_attention.LAYERS,
    **rounded_norms.LAYERS,
    **rounded_products.LAYERS,
    **rounded_values.LAYERS,
}


def can_round(layer):
    """Whether rounded_call() knows the arithmetic of a layer.

    Classes are compared exactly: one derived from Dense may do anything.
    """
    kind = float_class(layer)
    if kind not in _ROUNDED or only_moves_values(layer):
        return False
    if kind is layers.EinsumDense:
        return einsum.is_matrix_product(layer.equation, layer.bias_axes)
    if kind in rounded_activations.LAYERS:
        return rounded_activations.is_rounded(layer)
    return True


def refuse(layer, arithmetic_of_layer, weight):
    """Raises a tensorquant.Error where the settings of a layer are such that it cannot be rounded.

    Args:
        layer: A layer of which can_round() holds.
        arithmetic_of_layer: Its LayerArithmetic.
        weight: What quantizes its weights, or None.
    """
    kind = float_class(layer)
    if kind in rounded_products.GLOBAL_POOLS:
        rounded_products.refuse_masks(layer)
    if kind in rounded_norms.LAYERS:
        rounded_norms.refuse_norm(layer)
    if kind in rounded_attention.LAYERS:
        rounded_attention.refuse_regularizer(layer)
    if kind in rounded_products.LAYERS:
        rounded_activations.refuse_activation(layer)
    if kind in rounded_products.CONVS and isinstance(weight, Quantizer):
        spec = weight.spec
        arithmetic_of_layer.refuse_blocks(spec, traits(spec).per, layer.kernel_size)


def rounded_call(layer, arithmetic_of_layer, step, *args, **kwargs):
    """What call() of a layer gives, with everything that it computes rounded.

    Args:
        layer: A layer of which can_round() holds.
        arithmetic_of_layer: Its LayerArithmetic.
        step: Of random rounding.
        args, kwargs: Those of call().
    """
    rounding = Rounding(arithmetic_of_layer, 0, step)
    return _ROUNDED[float_class(layer)](layer, rounding, *args, **kwargs)
