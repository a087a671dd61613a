"""The layers of arithmetic_oracle.py's arithmetic that work on values: functions, softmax, normalizations, batches of matrices.

The definition, beside that of arithmetic_oracle.py:

* These layers know one accumulator, the last: the outer one where there are two. P rounds products, quotients, roots and
  functions, A rounds sums and differences. P = none rounds to the type what is stored: all but the squares in a sum and the
  product before an addition.
* function: y = P(f(x)), the exact real number. At an infinity, and at -0, f is its limit. An exp of more than 1000 is infinite
  where P wraps. sub: A(a - b), mul: P(a b), div: P(a / b).
* softmax of a row: d = A(x - max x), e = P(exp(d)), s = the sum of e, y = P(e / s); log_softmax: y = A(d - P(log(s))).
* layer_norm of a row of n: m = P(sum x / n), c = A(x - m), v = P(sum P(c c) / n), r = P(1 / P(sqrt(v + eps))),
  y = A(P(P(c r) gamma) + beta). rms_norm: c = x, no beta. group_norm: rows are groups of channels. Without beta y = P(P(c r) gamma),
  without gamma y = P(c r).
* Random rounding: elements have their own index; P's taps are 0 (function, exp, mul, div, c c), 1 (e / s, c r), 2 (gamma); A's 0 (a - b,
  x - max x, x - m) and 1 (the last sum). A row has its number as index; P's taps 2^31 (log s, m) and 1, 2, 3 more (v, root, r),
  A's 2^31 + chunk (s, sum x) and 3 * 2^30 + chunk (sum c c).
* products: matrices of a batch, whose sizes are broadcast; y's index is that in the whole result.

Functions come from mpmath with 3000 bits, cut to 400 of which the last one says that there are more.
"""

import itertools
import math
from fractions import Fraction

import mpmath

from arithmetic_layers import add, reciprocal, square_root
from arithmetic_oracle import ONE, ZERO, Arithmetic, Number, NOT_A_NUMBER, all_decoded, negated, product, total
from elements import INF, NAN, TWO, TYPES, floor_log2

FIRST_ROW_TAP, SECOND_SUM_TAP = 1 << 31, 3 << 30
HALF = Fraction(1, 2)
mpmath.mp.prec = 3000


def real(x):
    return mpmath.mpf(x.numerator) / x.denominator  # a power of two: exact


def rational(x):
    sign, significand, exponent, _ = x._mpf_
    value = Fraction(int(significand)) * TWO**exponent
    return -value if sign else value


def cut(x):
    """A real number as a fraction that every format rounds alike."""
    value = rational(x)
    if value == 0:
        raise AssertionError("a function has underflowed")
    bit = TWO ** (min(floor_log2(abs(value)), 0) - 400)
    k = value / bit
    nearest = Fraction(round(k))
    if abs(k - nearest) < TWO**-1900:  # it is that number
        return nearest * bit
    return (math.floor(k) + HALF) * bit


def clamped(x):
    return min(max(x + 3, Fraction(0)), Fraction(6)) / 6


def phi(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def tanh_gelu(x):
    inner = mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf(44715) / 1000000 * x**3)
    return x * sigmoid(2 * inner)


SMOOTH = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "erf": mpmath.erf,
    "tanh": mpmath.tanh,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * phi(x),
    "gelu_tanh": tanh_gelu,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}
EXACT = {
    "sqrt": square_root,
    "rsqrt": lambda x: square_root(reciprocal(x)) if not x.negative or x.is_zero else NOT_A_NUMBER,
    "reciprocal": reciprocal,
    "hardsigmoid": lambda x: Number(clamped(x.value)),
    "hardswish": lambda x: Number(x.value * clamped(x.value), x.negative),
}
FUNCTIONS = [*SMOOTH, *EXACT]
# At minus infinity, -0, +0 and infinity; None: f itself.
MINUS_ZERO, INFINITY, MINUS_INFINITY = Number(Fraction(0), True), Number(INF), Number(INF, True)
LIMITS = {
    "exp": (ZERO, ONE, ONE, INFINITY),
    "log": (NOT_A_NUMBER, MINUS_INFINITY, MINUS_INFINITY, INFINITY),
    "sqrt": (NOT_A_NUMBER, MINUS_ZERO, ZERO, INFINITY),
    "rsqrt": (NOT_A_NUMBER, MINUS_INFINITY, INFINITY, ZERO),
    "reciprocal": (MINUS_ZERO, MINUS_INFINITY, INFINITY, ZERO),
    "erf": (negated(ONE), MINUS_ZERO, ZERO, ONE),
    "tanh": (negated(ONE), MINUS_ZERO, ZERO, ONE),
    "sigmoid": (ZERO, Number(HALF), Number(HALF), ONE),
    **dict.fromkeys(("silu", "gelu", "gelu_tanh", "hardswish"), (MINUS_ZERO, MINUS_ZERO, ZERO, INFINITY)),
    "softplus": (ZERO, None, None, INFINITY),
    "hardsigmoid": (ZERO, Number(HALF), Number(HALF), ONE),
}
# From where on f(x) is next to a number that is known, further than 3000 bits tell, or beyond all numbers that count.
FAR = {"erf": (20, 20), "tanh": (500, 500), "gelu": (100, 20), "gelu_tanh": (100, 20)}
BEYOND = TWO**2000  # stands for all numbers that are larger, its inverse for all that are smaller


def function(name, x, wraps=False):
    if x.value == NAN:
        return x
    if x.is_zero or not x.is_finite:
        limits = LIMITS[name]
        limit = limits[0 if x.negative else 3] if not x.is_finite else limits[1 if x.negative else 2]
        if limit is not None:
            return limit
    if name in EXACT:
        return EXACT[name](x)
    if name == "log":
        return NOT_A_NUMBER if x.negative else Number(cut(SMOOTH[name](real(x.value)))) if x.value != 1 else ZERO
    if abs(x.value) > FAR.get(name, (1000, 1000))[0 if x.negative else 1]:
        return far_value(name, x, wraps)
    return Number(cut(SMOOTH[name](real(x.value))))


def far_value(name, x, wraps):
    """f(x), where it has become a number beyond any or next to one that is known."""
    tail = 1 / BEYOND
    if name == "exp" and not x.negative:
        return INFINITY if wraps else Number(BEYOND)
    if name in ("erf", "tanh"):
        return Number(-1 + tail if x.negative else 1 - tail)
    if x.negative:
        return Number(-tail if name in ("silu", "gelu", "gelu_tanh") else tail)
    if name == "sigmoid":
        return Number(1 - tail)
    return Number(x.value * (1 + tail) if name == "softplus" else x.value * (1 - tail))


def quotient(x, y):
    if not (x.is_finite and y.is_finite) or y.is_zero or x.is_zero:
        if x.is_zero and y.is_zero or x.value == NAN or y.value == NAN:
            return NOT_A_NUMBER
        return product(x, reciprocal(y))
    return Number(x.value / y.value)


class Values:
    """An Arithmetic of values."""

    def __init__(self, arithmetic):
        self.all = arithmetic
        self.P, self.A = arithmetic.P, arithmetic.B if arithmetic.has_outer else arithmetic.A
        arithmetic.A, arithmetic.has_outer = self.A, False
        self.stored, self.kept, self.sum = arithmetic.P_stored, arithmetic.P_of, arithmetic.A_of

    def f(self, name, x, index, tap):
        wraps = self.P.kind == "fixed" and self.P.fixed.overflow in ("wrap", "sign_magnitude")
        return self.stored(function(name, x, wraps), index, tap)

    def difference(self, x, y, index, tap):
        return self.sum(total([x, negated(y)]), index, tap)

    def sum_of(self, numbers, row, tap):
        exponents = [self.all.product_exponent(x, ONE) for x in numbers]
        return self.all.add_up_segment(numbers, exponents, row, itertools.count(tap))

    def sum_of_squares(self, numbers, first, row, tap):
        exponents = [self.all.product_exponent(x, x) or 0 for x in numbers]  # 0: P of an infinity
        squares = [product(x, x) for x in numbers]
        if self.all.mode != "fused":
            squares = [self.kept(x, first + k, 0) for k, x in enumerate(squares)]
        return self.all.add_up_segment(squares, exponents, row, itertools.count(tap))


def is_greater(x, y):
    def key(n):
        return (math.inf if not n.negative else -math.inf) if n.value == INF else n.value

    return key(x) > key(y)


def largest(numbers):
    most = numbers[0]
    for x in numbers:
        if x.value == NAN or most.value == NAN:
            return NOT_A_NUMBER
        if is_greater(x, most):
            most = x
    return most


def softmax(values, size, x, is_logarithm):
    y = []
    for row in range(len(x) // size if size else 0):
        first, some = row * size, x[row * size : (row + 1) * size]
        most = largest(some)
        d = [values.difference(n, most, first + k, 0) for k, n in enumerate(some)]
        e = [values.f("exp", n, first + k, 0) for k, n in enumerate(d)]
        s = values.sum_of(e, row, FIRST_ROW_TAP)
        if is_logarithm:
            log = values.f("log", s, row, FIRST_ROW_TAP)
            y += [values.A.encoded(values.difference(n, log, first + k, 1)) for k, n in enumerate(d)]
        else:
            y += [values.P.encoded(values.stored(quotient(n, s), first + k, 1)) for k, n in enumerate(e)]
    return y


def norm(values, size, plane, x, gamma, beta, eps, is_centered):
    y, n = [], Number(Fraction(size))
    for row in range(len(x) // size if size else 0):
        first, c = row * size, x[row * size : (row + 1) * size]
        if is_centered:
            mean = values.stored(quotient(values.sum_of(c, row, FIRST_ROW_TAP), n), row, FIRST_ROW_TAP)
            c = [values.difference(z, mean, first + k, 0) for k, z in enumerate(c)]
        squares = values.sum_of_squares(c, first, row, SECOND_SUM_TAP)
        variance = values.stored(quotient(squares, n), row, FIRST_ROW_TAP + 1)
        root = values.stored(square_root(total([variance, eps])), row, FIRST_ROW_TAP + 2)
        r = values.stored(reciprocal(root), row, FIRST_ROW_TAP + 3)
        for i, z in enumerate(c, first):
            z = values.stored(product(z, r), i, 1)
            if gamma is None:
                y.append(values.P.encoded(z))
                continue
            channel = i // plane % len(gamma)
            z = product(z, gamma[channel])
            if beta is None:
                y.append(values.P.encoded(values.stored(z, i, 2)))
            else:
                last = total([values.kept(z, i, 2), beta[channel]])
                y.append(values.A.encoded(values.sum(last, i, 1)))
    return y


def products(arithmetic, shape, a, b):
    (*a_batch, m, k), (*b_batch, _, n) = shape["a"], shape["b"]
    dimensions = max(len(a_batch), len(b_batch))
    a_batch, b_batch = ([1] * (dimensions - len(sizes)) + sizes for sizes in (a_batch, b_batch))
    y = []

    def matrix(sizes, place):
        number = 0
        for size, i in zip(sizes, place):
            number = number * size + (0 if size == 1 else i)
        return number

    for place in itertools.product(*(range(q if p == 1 else p) for p, q in zip(a_batch, b_batch))):
        at, bt = matrix(a_batch, place) * m * k, matrix(b_batch, place) * k * n
        for i, j in itertools.product(range(m), range(n)):
            pairs = [(a[at + i * k + l], b[bt + l * n + j]) for l in range(k)]
            y.append(arithmetic.dot(pairs, None, len(y)))
    return y


def outputs(case):
    """The bits of a case's y."""
    type = TYPES[case["type"]]
    arithmetic = Arithmetic(case, type)
    numbers = {key: all_decoded(type, case[key]) for key in ("a", "b", "gamma", "beta", "eps") if case.get(key) is not None}
    a, b, kind, shape = numbers["a"], numbers.get("b"), case["kind"], case["shape"]
    if kind == "products":
        return products(arithmetic, shape, a, b)
    values = Values(arithmetic)
    if kind == "function":
        return [values.P.encoded(values.f(shape["function"], x, i, 0)) for i, x in enumerate(a)]
    if kind == "add":
        return add(arithmetic, a, b)
    if kind == "sub":
        return add(arithmetic, a, [negated(x) for x in b])
    if kind in ("mul", "div"):
        operation = product if kind == "mul" else quotient
        return [values.P.encoded(values.stored(operation(x, y), i, 0)) for i, (x, y) in enumerate(zip(a, b))]
    if kind in ("softmax", "log_softmax"):
        return softmax(values, shape["x"][-1], a, kind == "log_softmax")
    gamma, beta, eps = numbers.get("gamma"), numbers.get("beta"), numbers["eps"][0]
    if kind == "group_norm":
        plane = math.prod(shape["x"][2:])
        size = shape["x"][1] // shape["groups"] * plane
    else:
        plane, size = 1, math.prod(shape["x"][-shape["dimensions"] :])
    return norm(values, size, plane, a, gamma, beta, eps, kind != "rms_norm")
