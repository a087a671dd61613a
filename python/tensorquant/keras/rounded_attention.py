"""Products of two tensors and attention, rounded operation by operation."""

import math
import string

import keras
from keras import layers, ops

from tensorquant._core import Error
from tensorquant.frontend.attention import attention_weights
from tensorquant.frontend.product_equation import product_equation
from tensorquant.keras.keras_internals import (
    attention_parts,
    attention_regularizer,
    get_keras_mask,
    set_keras_mask,
)
from tensorquant.keras.rounded_products import einsum_dense
from tensorquant.keras.rounded_values import SoftmaxFunctions, binary, function, normalized, sum_of
from tensorquant.keras.rounding import Operand
from tensorquant.keras.twin import float_class


def _einsum(rounding, equation, a, b):
    """A product of matrices for each point of the indices that both Operands and the result have."""
    form = product_equation(equation, 2)
    batch = len(form.batch)

    def matrices(x, order, first):
        x = x.transposed(order)
        sizes = tuple(ops.shape(x.tensor))
        shape = (*sizes[:batch], math.prod(sizes[batch:][:first]), math.prod(sizes[batch:][first:]))
        x = x if len(shape) == len(sizes) else x.reshaped(shape)
        return x, sizes[:batch], sizes[batch:][:first], sizes[batch:][first:]

    a, points, rows, _ = matrices(a, form.orders[0], len(form.rows))
    b, _, _, columns = matrices(b, form.orders[1], len(form.taps))
    y = rounding.run("matmul", (a, b), ops.matmul, has_weights=False)
    return ops.transpose(ops.reshape(y, (*points, *rows, *columns)), form.result)


def _dot(layer, rounding, inputs):
    x, y = inputs
    ranks = len(x.shape), len(y.shape)
    axes = layer.axes
    if isinstance(axes, int):
        axes = (axes, axes)
    axes = [axis % rank for axis, rank in zip(axes, ranks)]
    operands = Operand.of(x), Operand.of(y)
    if layer.normalize:
        epsilon = keras.config.epsilon()
        operands = [
            Operand(normalized(rounding.part(f"input{i}"), z, axis, epsilon))
            for i, (z, axis) in enumerate(zip(inputs, axes))
        ]
    first = list(string.ascii_lowercase[: ranks[0]])
    second = [first[0], *string.ascii_uppercase[: ranks[1] - 1]]
    second[axes[1]] = tap = first[axes[0]]
    result = [i for i in first + second[1:] if i != tap]
    letters = ("".join(part) for part in (first, second, result))
    found = _einsum(rounding, "{},{}->{}".format(*letters), *operands)
    return ops.expand_dims(found, -1) if len(result) == 1 else found


def _attention(layer, rounding, inputs, mask=None, training=False, **options):
    """Attention and AdditiveAttention."""
    query, value = inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    scores, scale = _scores(layer, rounding.part("scores"), query, key)
    query_mask, value_mask = mask[:2] if mask else (None, None)
    causal = options.get("use_causal_mask", False)
    visible = layer._calculate_score_mask(scores, value_mask, causal)
    if visible is not None:
        visible = ops.cast(visible, "bool")
        visible = ops.expand_dims(visible, axis=-2) if len(visible.shape) == 2 else visible
    weights = attention_weights(SoftmaxFunctions(-1), rounding, scores, scale, visible)
    dropped = weights
    if training and layer.dropout > 0:
        dropped = keras.random.dropout(weights, layer.dropout, seed=layer.seed_generator)
    y = _einsum(rounding.part("mix"), "abc,acd->abd", Operand(dropped), Operand.of(value))
    if query_mask is not None:
        y = ops.where(ops.expand_dims(query_mask, axis=-1), y, 0.0)
    return (y, weights) if options.get("return_attention_scores", False) else y


def _scores(layer, rounding, query, key):
    """And what they are to be multiplied by, or None."""
    is_additive = float_class(layer) is layers.AdditiveAttention
    if not is_additive and layer.score_mode == "dot":
        return _einsum(rounding, "abc,adc->abd", Operand.of(query), Operand.of(key)), layer.scale
    query, key = ops.expand_dims(query, axis=-2), ops.expand_dims(key, axis=-3)
    terms = binary(rounding.part("sum"), "add", query, key)
    if is_additive:
        terms = function(rounding.part("tanh"), "tanh", terms)
        if layer.scale is not None:
            terms = binary(rounding.part("scale"), "multiply", terms, layer.scale)
        return ops.squeeze(sum_of(rounding, terms, -1), -1), None
    if layer.scale is not None:
        terms = binary(rounding.part("scale"), "multiply", terms, layer.scale)
    terms = function(rounding.part("tanh"), "tanh", terms)
    return ops.squeeze(sum_of(rounding, terms, -1), -1), layer.concat_score_weight


def _multi_head_attention(
    layer,
    rounding,
    query,
    value,
    key=None,
    query_mask=None,
    value_mask=None,
    key_mask=None,
    attention_mask=None,
    return_attention_scores=False,
    training=None,
    use_causal_mask=False,
):
    """MultiHeadAttention and GroupQueryAttention."""
    parts = attention_parts(layer)
    key = value if key is None else key
    if parts.masks_its_output:
        query_mask = get_keras_mask(query)
    visible = layer._compute_attention_mask(
        query,
        value,
        query_mask=query_mask,
        value_mask=value_mask,
        key_mask=key_mask,
        attention_mask=attention_mask,
        use_causal_mask=use_causal_mask,
    )
    gate = None
    if parts.gate is not None:
        gate = einsum_dense(parts.gate, rounding.part("gate"), query)
    query = einsum_dense(parts.query, rounding.part("query"), query)
    key = einsum_dense(parts.key, rounding.part("key"), key)
    value = einsum_dense(parts.value, rounding.part("value"), value)
    if parts.repeats > 1:
        key, value = (ops.repeat(x, parts.repeats, axis=-2) for x in (key, value))
    scores = _einsum(rounding.part("scores"), parts.scores, Operand(query), Operand(key))
    axes = tuple(range(-parts.axes, 0))
    if visible is not None:
        visible = ops.cast(visible, "bool")
        for _ in range(len(scores.shape) - len(visible.shape)):  # of the heads
            visible = ops.expand_dims(visible, axis=-2 * parts.axes - 1)
    functions = SoftmaxFunctions(axes)
    weights = attention_weights(functions, rounding, scores, parts.scale, visible)
    dropped = parts.dropout(weights, training=training)
    y = _einsum(rounding.part("mix"), parts.mix, Operand(dropped), Operand(value))
    if gate is not None:
        y = binary(rounding.part("gated"), "multiply", y, gate)
    y = einsum_dense(parts.output, rounding.part("output"), y)
    if parts.masks_its_output and query_mask is not None:
        set_keras_mask(y, query_mask)
    return (y, weights) if return_attention_scores else y


def refuse_regularizer(layer):
    """Raises a tensorquant.Error where the projections of attention tell of losses."""
    if float_class(layer) in _MULTI_HEAD and attention_regularizer(layer) is not None:
        raise Error("attention with an activity_regularizer cannot be rounded")


_MULTI_HEAD = (layers.MultiHeadAttention, layers.GroupQueryAttention)
LAYERS = {
    layers.Dot: _dot,
    **dict.fromkeys((layers.Attention, layers.AdditiveAttention), _attention),
    **dict.fromkeys(_MULTI_HEAD, _multi_head_attention),
}
