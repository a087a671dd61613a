"""The layers of arithmetic_oracle.py's arithmetic: numbers in C order, bits out."""

import itertools
import math
from fractions import Fraction

from arithmetic_oracle import ONE, ZERO, Arithmetic, Number, NOT_A_NUMBER, all_decoded, negated, product, total
from elements import INF, NAN, TYPES


def matmul(arithmetic, shape, a, b, bias):
    m, k, n = shape["m"], shape["k"], shape["n"]
    return [
        arithmetic.dot([(a[i * k + l], b[l * n + j]) for l in range(k)], bias[j] if bias else None, i * n + j)
        for i in range(m)
        for j in range(n)
    ]


def linear(arithmetic, shape, x, w, bias, scales):
    """x of (m, k), w of (n, k). A scale belongs to each `block` numbers of a line, or of all lines where stride is 0."""
    m, k, n = shape["m"], shape["k"], shape["n"]

    def places(which, line):
        if scales.get(which) is None:
            return [None] * k
        return [line * scales[which]["stride"] + l // scales[which]["block"] for l in range(k)]

    def scale(which, place):
        return ONE if place is None else scales[which]["numbers"][place]

    y = []
    for i, j in itertools.product(range(m), range(n)):
        both = list(zip(places("data", i), places("weights", j)))
        each = [(scale("data", p), scale("weights", q), (p, q)) for p, q in both]
        pairs = [(x[i * k + l], w[j * k + l]) for l in range(k)]
        y.append(arithmetic.dot(pairs, bias[j] if bias else None, i * n + j, each))
    return y


def in_order(arithmetic, channels, kernel):
    """Pairs of an input channel and a kernel position."""
    if arithmetic.order == "channel":
        return itertools.product(range(channels), points(kernel))
    return ((c, tap) for tap in points(kernel) for c in range(channels))


def conv(arithmetic, shape, x, w, bias):
    (batch, channels, *size), (outs, ins, *kernel) = shape["x"], shape["w"]
    stride, padding, dilation, groups = shape["stride"], shape["padding"], shape["dilation"], shape["groups"]
    output = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(size, padding, dilation, kernel, stride)
    ]
    y = []
    for b, o, place in itertools.product(range(batch), range(outs), points(output)):
        group = o // (outs // groups)
        pairs = []
        for c, tap in in_order(arithmetic, ins, kernel):
            at = [q * s - p + t * d for q, s, p, t, d in zip(place, stride, padding, tap, dilation)]
            pairs.append((element(x, [channels, *size], b, [group * ins + c, *at]), w[index([outs, ins, *kernel], [o, c, *tap])]))
        y.append(arithmetic.dot(pairs, bias[o] if bias else None, len(y)))
    return y


def conv_transpose(arithmetic, shape, x, w, bias):
    (batch, channels, *size), (_, outs, *kernel) = shape["x"], shape["w"]
    stride, padding, dilation, groups = shape["stride"], shape["padding"], shape["dilation"], shape["groups"]
    output = [
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for n, s, p, d, k, extra in zip(size, stride, padding, dilation, kernel, shape["output_padding"])
    ]
    y = []
    for b, o, place in itertools.product(range(batch), range(outs * groups), points(output)):
        group, ins = o // outs, channels // groups
        pairs = []
        for c, tap in in_order(arithmetic, ins, kernel):
            # Input i adds to output i * stride - padding + tap * dilation.
            at = [Fraction(q + p - t * d, s) for q, p, t, d, s in zip(place, padding, tap, dilation, stride)]
            meets = all(i.denominator == 1 for i in at)
            value = element(x, [channels, *size], b, [group * ins + c, *map(int, at)]) if meets else ZERO
            pairs.append((value, w[index([channels, outs, *kernel], [group * ins + c, o % outs, *tap])]))
        y.append(arithmetic.dot(pairs, bias[o] if bias else None, len(y)))
    return y


def avg_pool(arithmetic, shape, x):
    (batch, channels, *size), kernel = shape["x"], shape["kernel"]
    output = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(size, shape["padding"], kernel, shape["stride"])]
    divisor = Number(Fraction(shape["divisor"]))
    y = []
    for b, c, place in itertools.product(range(batch), range(channels), points(output)):
        taps = []
        for tap in points(kernel):
            at = [q * s - p + t for q, s, p, t in zip(place, shape["stride"], shape["padding"], tap)]
            taps.append(element(x, [channels, *size], b, [c, *at]))
        exponents = [arithmetic.product_exponent(x, ONE) for x in taps]
        s = arithmetic.add_up(taps, len(y), exponents)
        quotient = Number(s.value / divisor.value, s.negative) if s.is_finite else s
        y.append(arithmetic.P.encoded(arithmetic.P_stored(quotient, len(y), 0)))
    return y


def batch_norm(arithmetic, shape, x, gamma, beta, mean, var, eps):
    channels, plane = shape["x"][1], math.prod(shape["x"][2:])
    scales, shifts = [], []
    for c in range(channels):
        root = arithmetic.P_stored(square_root(total([var[c], eps[0]])), c, 1)
        inverse = arithmetic.P_stored(reciprocal(root), c, 2)
        scale = arithmetic.P_stored(product(gamma[c] if gamma else Number(Fraction(1)), inverse), c, 3)
        moved = arithmetic.P_of(product(mean[c], scale), c, 4)
        scales.append(scale)
        shifts.append(arithmetic.A_of(total([beta[c] if beta else ZERO, negated(moved)]), c, 2))
    y = []
    for i, value in enumerate(x):
        c = i // plane % channels
        scaled = arithmetic.P_of(product(value, scales[c]), i, 0)
        y.append(arithmetic.A.encoded(arithmetic.A_of(total([scaled, shifts[c]]), i, 0)))
    return y


def add(arithmetic, a, b):
    return [arithmetic.A.encoded(arithmetic.A_of(total([x, z]), i, 0)) for i, (x, z) in enumerate(zip(a, b))]


def square_root(x):
    """The root to 400 bits, with a last one that says whether it was exact: more than any format sees."""
    if x.value in (INF, NAN) or x.is_zero:
        return NOT_A_NUMBER if x.value == INF and x.negative else x
    if x.negative:
        return NOT_A_NUMBER
    scale = 4**400
    numerator, denominator = x.value.numerator * scale, x.value.denominator
    root = math.isqrt(numerator // denominator)
    if Fraction(root * root) == Fraction(numerator, denominator):
        return Number(Fraction(root, 2**400))
    return Number(Fraction(2 * root + 1, 2**401))


def reciprocal(x):
    if x.value == NAN:
        return x
    if x.value == INF:
        return Number(Fraction(0), x.negative)
    return Number(INF, x.negative) if x.is_zero else Number(1 / x.value)


def points(size):
    return itertools.product(*map(range, size))


def index(size, place):
    i = 0
    for n, p in zip(size, place):
        i = i * n + p
    return i


def element(x, size, batch, place):
    """x[batch, *place], +0 on the padding."""
    if not all(0 <= p < n for p, n in zip(place, size)):
        return ZERO
    return x[batch * math.prod(size) + index(size, place)]


def outputs(case):
    """The bits of a case's y."""
    type = TYPES[case["type"]]
    arithmetic = Arithmetic(case, type)

    def numbers(key):
        text = case.get(key)
        return text and all_decoded(type, text)

    shape, a, b = case["shape"], numbers("a") or [], numbers("b") or []
    kind = case["kind"]
    if kind == "matmul":
        return matmul(arithmetic, shape, a, b, numbers("bias"))
    if kind == "linear":
        scales = {which: part and {**part, "numbers": all_decoded(type, part["values"])} for which, part in (case.get("scales") or {}).items()}
        return linear(arithmetic, shape, a, b, numbers("bias"), scales)
    if kind == "conv":
        return conv(arithmetic, shape, a, b, numbers("bias"))
    if kind == "conv_transpose":
        return conv_transpose(arithmetic, shape, a, b, numbers("bias"))
    if kind == "avg_pool":
        return avg_pool(arithmetic, shape, a)
    if kind == "batch_norm":
        return batch_norm(arithmetic, shape, a, *map(numbers, ("gamma", "beta", "mean", "var", "eps")))
    return add(arithmetic, a, b)
