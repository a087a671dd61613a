"""What the override needs of Keras beyond its public interface, all in one place."""

from typing import Any, NamedTuple

import keras
from keras.src.backend import AutocastScope
from keras.src.backend import core as backend_core
from keras.src.backend.common import global_state
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.backend.common.tensor_attributes import get_tensor_attr as get_tensor_attribute
from keras.src.backend.common.tensor_attributes import set_tensor_attr as set_tensor_attribute
from keras.src.backend.common.variables import get_autocast_scope
from keras.src.models.functional import Functional
from keras.src.saving import serialization_lib
from keras.src.saving.keras_saveable import KerasSaveable

__all__ = [
    "Functional",
    "KerasSaveable",
    "attention_parts",
    "attention_regularizer",
    "backend_core",
    "every_layer",
    "functional_of",
    "get_keras_mask",
    "get_tensor_attribute",
    "held_layers",
    "is_training",
    "operations_of",
    "own_trainable_variables",
    "public_name",
    "rematerializes_activation",
    "set_keras_mask",
    "set_tensor_attribute",
    "sublayers",
    "track_seed_generator",
    "untrack_seed_generator",
    "value_as_stored",
    "with_inner",
]


def sublayers(layer):
    """The layers that a layer or model holds itself, in the order of their creation."""
    return layer._flatten_layers(include_self=False, recursive=False)


def with_inner(layer):
    """A layer, the layers inside it, and those inside these, one after the other."""
    return [layer, *(inner for child in sublayers(layer) for inner in with_inner(child))]


def held_layers(layer):
    """Keras' own list of them, which may have one twice: it costs nothing to look at."""
    return layer._layers


def own_trainable_variables(layer):
    """The variables that a layer made as trainable ones; freezing it does not change them."""
    return layer._trainable_variables


def value_as_stored(variable):
    """A variable's value in the variable's own type, which mixed precision would cast."""
    if get_autocast_scope() is None:
        return variable.value
    with AutocastScope(None):
        return variable.value


def is_training(kwargs):
    """Whether the running call is one in training mode.

    Keras hands `training` to the layers whose call() takes it and keeps it in the call's context for all others.
    """
    training = kwargs.get("training")
    if training is None:
        context = global_state.get_global_attribute("current_call_ctx")
        training = None if context is None else context.get_value("training")
    return bool(training)


def rematerializes_activation(layer):
    """Whether Keras has put another function in the place of a layer's activation for a call."""
    mode = getattr(layer, "_remat_mode", None)
    return mode is not None and mode.mode == "activations" and hasattr(layer, "activation")


def track_seed_generator(layer, generator):
    """Makes a generator's state part of `layer.variables`, but not of `layer.weights`."""
    tracker = layer._tracker
    locked = tracker.locked
    tracker.unlock()
    try:
        tracker.add_to_store("seed_generators", generator)
    finally:
        if locked:
            tracker.lock()


def untrack_seed_generator(layer, generator):
    layer._tracker.untrack(generator)


class AttentionParts(NamedTuple):
    """What a MultiHeadAttention or a GroupQueryAttention is made of, once it is built.

    Attributes:
        query, key, value, output: EinsumDense layers.
        gate: Another one, or None.
        repeats: How many heads of queries share keys and values.
        scale: What scores are multiplied by.
        scores, mix: Equations of queries and keys, and of weights and values.
        axes: How many axes weights are normalized over.
        dropout: A Dropout layer.
        masks_its_output: Whether its call() gives the output the mask of the query.
    """

    query: Any
    key: Any
    value: Any
    output: Any
    gate: Any
    repeats: int
    scale: float
    scores: str
    mix: str
    axes: int
    dropout: Any
    masks_its_output: bool


def attention_parts(layer):
    """The AttentionParts of a layer."""
    is_multi_head = isinstance(layer, keras.layers.MultiHeadAttention)
    scores = layer._dot_product_equation  # of a MultiHeadAttention: the keys come first
    if is_multi_head:
        operands, result = scores.split("->")
        scores = ",".join(reversed(operands.split(","))) + "->" + result
    return AttentionParts(
        query=layer._query_dense,
        key=layer._key_dense,
        value=layer._value_dense,
        output=layer._output_dense,
        gate=getattr(layer, "_gate_dense", None),
        repeats=1 if is_multi_head else layer.num_repeats,
        scale=layer._inverse_sqrt_key_dim if is_multi_head else layer._inverse_sqrt_head_dim,
        scores=scores,
        mix=layer._combine_equation,
        axes=len(layer._attention_axes) if is_multi_head else 1,
        dropout=layer._dropout_layer,
        masks_its_output=is_multi_head,
    )


def functional_of(model):
    """The Functional that a model is or, being Sequential and built, has; else None."""
    if isinstance(model, keras.Sequential):
        return model._functional
    return model if isinstance(model, Functional) else None


def operations_of(functional):
    """What a Functional does, in order: triples of an operation, its input and its output tensors."""
    depths = functional._nodes_by_depth
    for depth in sorted(depths, reverse=True):
        for node in depths[depth]:
            yield node.operation, node.input_tensors, node.output_tensors


def attention_regularizer(layer):
    """What the projections of such a layer give their activity_regularizer."""
    is_multi_head = isinstance(layer, keras.layers.MultiHeadAttention)
    return layer._activity_regularizer if is_multi_head else layer.activity_regularizer


def public_name(cls):
    """How Keras names a layer class in a saved model: its module, name and registered name."""
    name = serialization_lib.serialize_with_public_class(cls)
    return {key: name[key] for key in ("module", "class_name", "registered_name")}


def every_layer(layer):
    """A layer and all layers inside it."""
    return layer._flatten_layers()
