"""Attention, rounded operation by operation, and products of matrices that are written otherwise.

Like those of `rounded.py`, which has their table.
"""

import math

import torch
from torch.nn import functional as F

from tensorquant._core import Error
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
    scores = multiply(rounding.part("scale"), scores, scale)
    if is_causal:
        rows, columns = scores.shape[-2:]
        attn_mask = torch.ones(rows, columns, dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = add(rounding.part("mask"), scores, attn_mask).to(query.dtype)
    sees_nothing = (scores == -math.inf).all(-1, keepdim=True)
    scores = scores.masked_fill(sees_nothing, 0)  # whose softmax has gradients that are numbers
    weights = softmax(rounding.part("softmax"), scores, -1)
    weights = weights.masked_fill(sees_nothing, 0)  # as in PyTorch
    weights = F.dropout(weights, dropout_p)
    return matrix_products(rounding.part("mix"), weights, value)


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
    inputs, _, output = equation.replace(" ", "").partition("->")
    a, _, b = inputs.partition(",")
    letters = (a, b, output)
    is_plain = "->" in equation and len(operands) == 2 and a.isalpha() and b.isalpha()
    if (
        not is_plain
        or any(len(set(x)) != len(x) for x in letters)
        or set(output) != {i for i in a + b if i in output}
    ):
        raise Error(
            f"einsum of '{equation}' cannot be rounded: only products of two tensors can be"
        )
    shared = [i for i in a if i in b]
    batch = [i for i in shared if i in output]
    taps = [i for i in shared if i not in output]
    rows, columns = ([i for i in x if i not in shared] for x in (a, b))
    if any(i not in output for i in rows + columns):
        raise Error(f"einsum of '{equation}' sums up one tensor alone, which cannot be rounded")
    sizes = {i: n for x, tensor in zip((a, b), operands) for i, n in zip(x, tensor.shape)}

    def matrices(x, tensor, first, second):
        order = [x.index(i) for i in (*batch, *first, *second)]
        shape = [[sizes[i] for i in part] for part in (batch, first, second)]
        ordered = moved(lambda x: x.permute(order), tensor)
        return followed(torch.reshape, ordered, [math.prod(part) for part in shape])

    y = matrix_products(
        rounding, matrices(a, operands[0], rows, taps), matrices(b, operands[1], taps, columns)
    )
    found = [*batch, *rows, *columns]
    return y.reshape([sizes[i] for i in found]).permute([found.index(i) for i in output])


FUNCTIONS = {
    "scaled_dot_product_attention": _scaled_dot_product_attention,
    "baddbmm": _baddbmm,
    "einsum": _einsum,
}
