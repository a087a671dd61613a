"""What attention makes of its scores, rounded operation by operation."""

import math


def attention_weights(functions, rounding, scores, scale, visible=None, addend=None):
    """softmax(scale * scores + addend), and 0 where nothing is visible.

    Args:
        functions: The front-end's: multiply(rounding, x, number), add(rounding, x, y),
            softmax(rounding, x) of the last axis, where(condition, x, number), and all_of(condition)
            along the last axis, which it keeps.
        rounding: A Rounding; each operation has a part of it.
        scores: (..., queries, keys).
        scale: A number, or None for none.
        visible: Truth values; scores are -infinity where they are false.
        addend: A mask of numbers.
    """
    if scale is not None:
        scores = functions.multiply(rounding.part("scale"), scores, scale)
    if addend is not None:
        scores = functions.add(rounding.part("mask"), scores, addend)
    if visible is not None:
        scores = functions.where(visible, scores, -math.inf)
    sees_something = ~functions.all_of(scores == -math.inf)
    # The softmax of zeros has gradients that are numbers.
    scores = functions.where(sees_something, scores, 0.0)
    weights = functions.softmax(rounding.part("softmax"), scores)
    return functions.where(sees_something, weights, 0.0)
