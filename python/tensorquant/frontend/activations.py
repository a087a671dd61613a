"""Activations that are several operations, each of which is rounded.

`functions` is the front-end's: function(rounding, name, x), one of the core's functions;
binary(rounding, name, x, y) of two tensors or of one and a number; where(condition, x, y) of which
one may be a number; and absolute(x). P rounds products, quotients and functions, A sums.
"""

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def elu(functions, rounding, x, alpha=1.0):
    """x, or P(alpha A(P(exp(x)) - 1)) where it is not above 0."""
    return functions.where(x > 0, x, _below(functions, rounding, x, x, alpha))


def celu(functions, rounding, x, alpha=1.0):
    """x, or P(alpha A(P(exp(P(x / alpha))) - 1)) where it is not above 0."""
    z = x
    if alpha != 1:
        z = functions.binary(rounding.part("quotient"), "divide", x, alpha)
    return functions.where(x > 0, x, _below(functions, rounding, x, z, alpha))


def selu(functions, rounding, x):
    """P(s x), or P(s alpha A(P(exp(x)) - 1)) where x is not above 0."""
    above = functions.binary(rounding.part("scale"), "multiply", x, _SELU_SCALE)
    below = _below(functions, rounding, x, x, _SELU_SCALE * _SELU_ALPHA)
    return functions.where(x > 0, above, below)


def _below(functions, rounding, x, z, factor):
    """P(factor A(P(exp(z)) - 1)) where x is not above 0."""
    z = functions.where(x > 0, 0.0, z)  # whose gradient is a number
    y = functions.function(rounding, "exp", z)
    y = functions.binary(rounding, "subtract", y, 1)
    return y if factor == 1 else functions.binary(rounding.part("factor"), "multiply", y, factor)


def mish(functions, rounding, x):
    """P(x P(tanh(P(log(1 + exp(x))))))."""
    y = functions.function(rounding.part("softplus"), "softplus", x)
    y = functions.function(rounding.part("tanh"), "tanh", y)
    return functions.binary(rounding, "multiply", x, y)


def log_sigmoid(functions, rounding, x):
    """-P(log(1 + exp(-x)))."""
    return -functions.function(rounding, "softplus", -x)


def softsign(functions, rounding, x):
    """P(x / A(1 + |x|))."""
    divisor = functions.binary(rounding, "add", functions.absolute(x), 1)
    return functions.binary(rounding, "divide", x, divisor)


def tanh_shrink(functions, rounding, x):
    """A(x - P(tanh(x)))."""
    return functions.binary(rounding, "subtract", x, functions.function(rounding, "tanh", x))


def soft_shrink(functions, rounding, x, threshold=0.5):
    """A(x - threshold) above the threshold, A(x + threshold) below its negative, 0 between."""
    above = functions.binary(rounding, "subtract", x, threshold)
    below = functions.binary(rounding, "add", x, threshold)
    moved = functions.where(x > 0, above, below)
    return functions.where(functions.absolute(x) <= threshold, 0.0, moved)
