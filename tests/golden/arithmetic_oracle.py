"""Sums of products with every operation rounded, in exact arithmetic: slow, short, independent of the C++.

Numbers are `fractions.Fraction`, so nothing is rounded except where the definition says so. The definition:

* y = sum over k of x_k * w_k, + b. P rounds products, A rounds sums, each an exact real number, once, with the format's own
  bounds. P = none keeps the exact product; A = none rounds to the tensor's type, ties to even.
* step: s = A(s + P(x_k w_k)). once: s = A(exact sum of P(x_k w_k)). chunk:N: s = A(s + exact sum of the next N P(x_k w_k)).
  fused: s = A(s + x_k w_k). s begins as +0; with a bias y = A(s + b), without y = s.
* align:N:F: of s and the next N products P(x_k w_k), E is the largest exponent of those that are not zero; each is cut towards
  zero to a multiple of 2^(E-F); s = A(their exact sum). The exponent of s is floor(log2 |s|), that of a product the sum of
  max(floor(log2 |q|), smallest normal exponent of q's format) over both factors q, with the type's where no format is known. An
  average pool's input counts as a product with 1.
* outer {B, every: N}, or scales S of the factors: t begins as +0; for each segment t = B(t + S_x S_w s), s being its sum as above.
  A segment is the longest run of k that shares both scales, cut also at multiples of N; its numbering of chunks goes on from the
  one before. With a bias y = B(t + b). B = none rounds to the type; so does a left out B where there are scales.
* A convolution's k runs over (input channel, kernel position); with order tap over (kernel position, input channel).
* An exact sum that is zero is -0 only where all its addends are -0; the sum of a chunk (or of all, in once; or in align) that is zero is +0.
  What is rounded to zero keeps its sign, but in fixed point, posits and p3109, which have +0 alone.
* Infinities and NaN follow IEEE 754, then P or A as quantizers do; every NaN in y is the quiet one without payload.
* y becomes a value of the type at the end: ties to even, but never above the largest value of the type within A's range.
* Random rounding takes output o's tile, block and word as an array's element o does, with the tap in place of the block's high
  32 bits: k of the product; for sums k (step, fused), the chunk's number (also in align and once), 2^31 plus the segment's number
  for B, 0xFFFFFFFF for + b.
* Average pool: s adds up the window, then P(s / divisor). Batch normalization: scale = P(gamma P(1 / P(sqrt(var + eps)))),
  y = A(P(x scale) + A(beta - P(mean scale))). There P = none rounds roots, quotients and scale to the type.

Read it top-down: numbers, formats, sums. The layers are in arithmetic_layers.py.
"""

import itertools
import math
from fractions import Fraction

import oracle
from elements import INF, MASK32, NAN, TWO, floor_log2, philox4x32_10, round_to_integer

BIAS_TAP = MASK32
FIRST_OUTER_TAP = 1 << 31


# --- Numbers: a Fraction, INF or NAN, and a sign that zeros and infinities keep ---------------


class Number:
    def __init__(self, value, negative=False):
        self.value = value
        self.negative = value < 0 if isinstance(value, Fraction) and value != 0 else negative

    @property
    def is_finite(self):
        return isinstance(self.value, Fraction)

    @property
    def is_zero(self):
        return self.is_finite and self.value == 0


ZERO = Number(Fraction(0))
ONE = Number(Fraction(1))
NOT_A_NUMBER = Number(NAN)


def decoded(type, bits):
    element = type.decode(bits)
    return Number(element.value, element.negative)


def all_decoded(type, text):
    """Of bits in hexadecimal, one element after the other."""
    digits = 2 * type.size
    return [decoded(type, int(text[i : i + digits], 16)) for i in range(0, len(text), digits)]


def product(x, y):
    negative = x.negative != y.negative
    if x.value == NAN or y.value == NAN:
        return NOT_A_NUMBER
    if not (x.is_finite and y.is_finite):
        return NOT_A_NUMBER if x.is_zero or y.is_zero else Number(INF, negative)
    return Number(x.value * y.value, negative)


def total(numbers):
    """The exact sum."""
    if any(n.value == NAN for n in numbers):
        return NOT_A_NUMBER
    infinite = [n for n in numbers if n.value == INF]
    if infinite:
        same = all(n.negative == infinite[0].negative for n in infinite)
        return Number(INF, infinite[0].negative) if same else NOT_A_NUMBER
    return Number(sum((n.value for n in numbers), Fraction(0)), all(n.negative for n in numbers))


def negated(x):
    return Number(-x.value, not x.negative) if x.is_finite else Number(x.value, not x.negative)


# --- Formats ----------------------------------------------------------------------------------


class Draw:
    """Where a format takes the random numbers of one call from."""

    def __init__(self, seed, stream, step):
        self.seed, self.stream, self.step = seed, stream, step

    def at(self, bits, output, tap):
        """An object for round_to_integer: it has rounds_up(fraction, i)."""
        return OneDraw(self, bits, output, tap)


class OneDraw:
    def __init__(self, draw, bits, output, tap):
        self.draw, self.bits, self.output, self.tap = draw, bits, output, tap

    def integer(self):
        n, o = self.bits, self.output
        halves = n is not None and n <= 16
        tile, j = (o // 128, o % 128 % 64) if halves else (o // 64, o % 64)
        block = 16 * tile + j % 16
        counter = (block & MASK32, self.tap, self.draw.stream, self.draw.step)
        word = philox4x32_10(counter, (self.draw.seed & MASK32, self.draw.seed >> 32))[j // 16]
        if n is None:
            return word >> 8
        if not halves:
            return word >> (32 - n)
        half = word & 0xFFFF if o % 128 < 64 else word >> 16
        return half >> (16 - n)

    def rounds_up(self, fraction, _):
        n = self.bits
        if n is None:
            return self.integer() * TWO**-24 < fraction
        return self.integer() * TWO**-n < math.floor(fraction * 2**n) * TWO**-n


class Format:
    """A format of a product or a sum: rounded(number, draw, output, tap) -> Number."""

    def __init__(self, string, type):
        self.type = type
        name, arguments, keywords = oracle.parse(string)
        self.kind = "fixed"
        self.random_bits = int(keywords["random_bits"]) if "random_bits" in keywords else None
        if name == "none":
            self.kind = "none"
            self.float = oracle.Float(type, type.exponent_bits, type.stored_bits, "even", None, None)
        elif name == "logarithmic":
            self.kind = "logarithmic"
            self.down = arguments == ["down"]
            lowest, highest = type.smallest_exponent, type.bias
            self.lowest = min(max(int(keywords.get("min", lowest)), lowest), highest)
            self.highest = min(max(int(keywords.get("max", highest)), lowest), highest)
        elif name == "float":
            self.kind = "float"
            self.float = oracle.make_format(string, type)
        elif name in ("posit", "p3109"):
            self.kind = "coded"
            self.coded = oracle.make_format(string, type)
        else:
            self.rounding = name
            self.fixed = oracle.make_format(string, type)
            self.fraction = self.fixed.F

    def rounded(self, x, draw, output, tap):
        random = draw.at(self.random_bits, output, tap)
        if x.value == NAN:
            return x
        by_kind = {"fixed": self._fixed, "logarithmic": self._logarithmic, "coded": self._coded}
        return by_kind.get(self.kind, self._float)(x, random)

    def _fixed(self, x, random):
        fixed = self.fixed
        if x.value == INF:
            if fixed.takes_nan:
                return NOT_A_NUMBER
            end = fixed.lowest if x.negative else fixed.highest
            return Number((0 if fixed.overflow == "zero" else end) * TWO**-self.fraction)
        k = fixed.in_range(round_to_integer(x.value * TWO**self.fraction, self.rounding, random))
        return Number(k * TWO**-self.fraction)

    def _logarithmic(self, x, _):
        if x.is_zero:
            return x
        if x.value == INF:
            e = self.highest
        else:
            magnitude = abs(x.value)
            if magnitude < TWO ** (self.lowest if self.down else self.lowest - 1):
                return Number(Fraction(0), x.negative)
            e = floor_log2(magnitude)
            if not self.down and magnitude >= Fraction(3, 2) * TWO**e:
                e += 1
            e = min(max(e, self.lowest), self.highest)
        return Number(-(TWO**e) if x.negative else TWO**e)

    def _coded(self, x, random):
        y = self.coded.result(x, random, 0)
        if y == NAN:
            return NOT_A_NUMBER
        return Number(y, negative=y == INF and x.negative)

    def _float(self, x, random):
        one_zero = self.float.special == "fnuz"
        if x.is_zero:
            return Number(Fraction(0)) if one_zero else x
        y = self.float.of_infinity() if x.value == INF else self.float.rounded(x.value, random, 0)
        if y == NAN:
            return NOT_A_NUMBER
        if y == INF:
            return Number(INF, x.negative)
        return Number(-abs(y) if x.negative else abs(y), x.negative and not (y == 0 and one_zero))

    def encoded(self, x):
        """The bits of the type's value that x, a value of this format, becomes in the end."""
        if x.value == NAN:
            return self.type.quiet_nan_bits
        y = Format("none", self.type).rounded(x, Draw(0, 0, 0), 0, 0)
        if self.kind == "fixed" and self.fixed.highest > 0:
            top = self.fixed.highest * TWO**-self.fraction
            if y.value == INF or y.value > self.type.largest_value_up_to(top):
                y = y if y.negative else Number(self.type.largest_value_up_to(top))
        if self.kind == "fixed" and self.fixed.lowest < 0:
            bottom = self.type.largest_value_up_to(-self.fixed.lowest * TWO**-self.fraction)
            if y.value == INF or y.value < -bottom:
                y = Number(-bottom) if y.negative else y
        if y.value == INF:
            return self.type.encode_inf(y.negative)
        return self.type.encode(y.value, negative_zero=y.negative)


# --- Sums of products -------------------------------------------------------------------------


class Arithmetic:
    def __init__(self, case, type):
        self.type = type
        self.P, self.A = Format(case["product"], type), Format(case["accumulator"], type)
        self.mode, *numbers = case["accumulate"].split(":")
        self.numbers = [int(n) for n in numbers]
        self.order = case.get("order", "channel")
        outer = case.get("outer")
        self.has_outer = outer is not None or any((case.get("scales") or {}).values())
        self.B = Format((outer or {}).get("accumulator", "none"), type)
        self.every = (outer or {}).get("every", 0)
        self.data_exponent, self.weight_exponent = (
            type.min_exponent if case.get(key) is None else case[key]
            for key in ("data_min_exponent", "weight_min_exponent")
        )
        self.products = Draw(case["seed"], case["product_stream"], case["step"])
        self.sums = Draw(case["seed"], case["accumulator_stream"], case["step"])

    def A_of(self, number, output, tap):
        return self.A.rounded(number, self.sums, output, tap)

    def P_of(self, number, output, tap):
        """P, where none keeps the exact number."""
        return number if self.P.kind == "none" else self.P.rounded(number, self.products, output, tap)

    def P_stored(self, number, output, tap):
        """P, where none rounds to the type."""
        return self.P.rounded(number, self.products, output, tap)

    def B_of(self, number, output, tap):
        return self.B.rounded(number, self.sums, output, tap)

    def add_up(self, terms, output, exponents, scales=None):
        """s or, of two levels, t. exponents: of the terms; scales: (S_x, S_w, what names both) of each."""
        if not self.has_outer:
            return self.add_up_segment(terms, exponents, output, itertools.count())
        scales = scales or [(ONE, ONE, 0)] * len(terms)
        numbers = itertools.count()
        t = ZERO
        for segment, (first, last) in enumerate(self.segments([name for _, _, name in scales])):
            s = self.add_up_segment(terms[first:last], exponents[first:last], output, numbers)
            s_x, s_w, _ = scales[first]
            t = self.B_of(total([t, product(product(s_x, s_w), s)]), output, FIRST_OUTER_TAP + segment)
        return t

    def segments(self, names):
        first = 0
        for k in range(1, len(names) + 1):
            cut = k == len(names) or names[k] != names[k - 1] or (self.every and k % self.every == 0)
            if cut:
                yield first, k
                first = k

    def add_up_segment(self, terms, exponents, output, numbers):
        s = ZERO
        size = {"step": 1, "fused": 1, "once": len(terms)}.get(self.mode) or (self.numbers and self.numbers[0]) or 1
        for first in range(0, len(terms), size):
            some = terms[first : first + size]
            if self.mode == "align":
                sum = aligned_total([s, *some], [own_exponent(s), *exponents[first : first + size]], self.numbers[1])
            elif self.mode in ("step", "fused"):
                sum = total([s, *some])
            else:
                sum = total([s, total([ZERO, *some])])
            s = self.A_of(sum, output, next(numbers))
        return s

    def product_exponent(self, x, w):
        if any(not q.is_finite or q.is_zero for q in (x, w)):
            return None
        return max(floor_log2(abs(x.value)), self.data_exponent) + max(floor_log2(abs(w.value)), self.weight_exponent)

    def dot(self, pairs, bias, output, scales=None):
        """The bits of the output."""
        exact = [product(x, w) for x, w in pairs]
        exponents = [self.product_exponent(x, w) for x, w in pairs]
        if self.mode != "fused":
            exact = [self.P_of(p, output, k) for k, p in enumerate(exact)]
        s = self.add_up(exact, output, exponents, scales)
        last = self.B if self.has_outer else self.A
        if bias is not None:
            s = last.rounded(total([s, bias]), self.sums, output, BIAS_TAP)
        return last.encoded(s)


def own_exponent(x):
    return floor_log2(abs(x.value)) if x.is_finite and not x.is_zero else None


def aligned_total(terms, exponents, fraction):
    """The sum of what is left of the terms above a common last bit; +0 where it is zero."""
    live = [e for x, e in zip(terms, exponents) if x.is_finite and not x.is_zero]
    if not live:
        return total([ZERO, *terms])
    bit = TWO ** (max(live) - fraction)
    cut = [Number(math.trunc(x.value / bit) * bit) if x.is_finite else x for x in terms]
    return total([ZERO, *cut])
