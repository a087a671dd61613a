"""Attention, rounded operation by operation, and products of matrices that are written otherwise.

Like those of `rounded.py`, which has their table.
"""

import math

import torch
from torch.nn import functional as F

from tensorquant.frontend.attention import attention_weights
from tensorquant.frontend.product_equation import product_equation
from tensorquant.torch.rounded_values import add, matrix_products, multiply, softmax
from tensorquant.torch.scales import followed, moved


def _scaled_dot_product_attention(
    rounding,
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
):
    """softmax(scale * query @ key^T + mask) @ value, each a rounding of its own."""
    if enable_gqa:
        key, value = (
            followed(torch.repeat_interleave, x, query.shape[-3] // x.shape[-3], -3)
            for x in (key, value)
        )
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = matrix_products(rounding.part("scores"), query, moved(lambda x: x.mT, key))
    if is_causal:
        rows, columns = scores.shape[-2:]
        attn_mask = torch.ones(rows, columns, dtype=torch.bool, device=query.device).tril()
    masks = {}
    if attn_mask is not None:
        masks["visible" if attn_mask.dtype == torch.bool else "addend"] = attn_mask
    weights = attention_weights(_Functions, rounding, scores, scale, **masks)
    weights = F.dropout(weights, dropout_p)
    return matrix_products(rounding.part("mix"), weights, value)


class _Functions:
    """Those of attention_weights()."""

    multiply = staticmethod(multiply)
    where = staticmethod(torch.where)

    @staticmethod
    def add(rounding, scores, addend):
        return add(rounding, scores, addend).to(scores.dtype)

    @staticmethod
    def softmax(rounding, scores):
        return softmax(rounding, scores, -1)

    @staticmethod
    def all_of(condition):
        return condition.all(-1, keepdim=True)


def _baddbmm(rounding, input, batch1, batch2, *, beta=1, alpha=1):
    product = matrix_products(rounding, batch1, batch2)
    if alpha != 1:
        product = multiply(rounding.part("alpha"), product, alpha)
    if beta == 0:
        return product
    if beta != 1:
        input = multiply(rounding.part("beta"), input, beta)
    return add(rounding.part("sum"), input, product)


def _einsum(rounding, equation, *operands):
    """A product of matrices for each point of the indices that both operands and the result have."""
    operands = operands[0] if isinstance(operands[0], (list, tuple)) else operands
    form = product_equation(equation, len(operands))
    batch = len(form.batch)

    def matrices(x, order, first):
        x = moved(lambda x: x.permute(order), x)
        sizes = x.shape[batch:]
        shape = [*x.shape[:batch], math.prod(sizes[:first]), math.prod(sizes[first:])]
        return followed(torch.reshape, x, shape), sizes[:first], sizes[first:]

    a, rows, _ = matrices(operands[0], form.orders[0], len(form.rows))
    b, _, columns = matrices(operands[1], form.orders[1], len(form.taps))
    y = matrix_products(rounding, a, b)
    return y.reshape([*a.shape[:batch], *rows, *columns]).permute(form.result)


FUNCTIONS = {
    "scaled_dot_product_attention": _scaled_dot_product_attention,
    "baddbmm": _baddbmm,
    "einsum": _einsum,
}
