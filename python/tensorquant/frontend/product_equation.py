"""Equations of einsum() that are a product of matrices for each point of a batch."""

from typing import NamedTuple

from tensorquant._core import Error


class ProductEquation(NamedTuple):
    """What the letters of an equation of two tensors are in (batch..., rows, columns).

    Attributes:
        batch: Letters that both tensors and the result have.
        rows, columns: Those of the first and of the second tensor alone.
        taps: Those that are summed over, in the order of the first tensor.
        orders: The axes of both tensors, in the order (batch, rows, taps) and (batch, taps,
            columns).
        result: The axes of (batch, rows, columns) in the order of the result.
    """

    batch: str
    rows: str
    taps: str
    columns: str
    orders: tuple[list[int], list[int]]
    result: list[int]


def product_equation(equation, operands):
    """The ProductEquation of an equation of so many operands.

    Raises:
        tensorquant.Error: It is no such product.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    a, _, b = inputs.partition(",")
    is_plain = arrow and operands == 2 and a.isalpha() and b.isalpha()
    if (
        not is_plain
        or any(len(set(x)) != len(x) for x in (a, b, output))
        or not set(output) <= set(a + b)
    ):
        raise Error(
            f"einsum of '{equation}' cannot be rounded: only products of two tensors can be"
        )
    batch = "".join(i for i in a if i in b and i in output)
    taps = "".join(i for i in a if i in b and i not in output)
    rows, columns = ("".join(i for i in x if i not in batch + taps) for x in (a, b))
    if any(i not in output for i in rows + columns):
        raise Error(f"einsum of '{equation}' sums up one tensor alone, which cannot be rounded")
    found = batch + rows + columns
    return ProductEquation(
        batch,
        rows,
        taps,
        columns,
        ([a.index(i) for i in batch + rows + taps], [b.index(i) for i in batch + taps + columns]),
        [found.index(i) for i in output],
    )
