"""Posits, logarithmic formats with fractions, tables of values and P3109: classes as those of oracle.py.

None of them computes what it can list or compare: a posit is found by bisection among its strings, roots of two are
integers of 200 bits, tables and codes are searched. points() gives what a test of the format should look at.
"""

import bisect
import functools
import math
from fractions import Fraction

from elements import INF, NAN, TWO, floor_log2, round_to_integer

HALF = Fraction(1, 2)


class Posit:
    """Posits of the standard of 2022: N bits, es of them for the exponent."""

    takes_nan = False

    def __init__(self, type, N, es):
        if not (3 <= N <= 32 and es >= 0 and (N - 2) * 2**es <= 126):
            raise ValueError(f"posit,{N},{es}: out of range")
        self.type, self.N, self.es = type, N, es

    def value(self, code, N=None):
        """What a positive string of N bits stands for, as the standard says it."""
        text = format(code, f"0{(N or self.N) - 1}b")
        run = len(text) - len(text.lstrip(text[0]))
        regime = run - 1 if text[0] == "1" else -run
        rest = text[run + 1 :]
        exponent = int(rest[: self.es].ljust(self.es, "0") or "0", 2)
        fraction = rest[self.es :]
        return (1 + Fraction(int(fraction or "0", 2), 2 ** len(fraction))) * TWO ** (regime * 2**self.es + exponent)

    def nearest(self, x):
        """The string for x > 0. The border between neighbours is the string of one bit more; ties to even."""
        last = 2 ** (self.N - 1) - 1
        if x <= self.value(1):
            return 1
        if x >= self.value(last):
            return last
        code = bisect.bisect_right(range(last + 1), x, lo=1, key=self.value) - 1
        border = self.value(2 * code + 1, self.N + 1)
        return code + (x > border or (x == border and code % 2 == 1))

    def result(self, x, random=None, i=0):
        """The value, a Fraction or NAN, that a number or an infinity becomes."""
        if x.value == INF:
            return NAN
        if x.value == 0:
            return Fraction(0)
        magnitude = self.value(self.nearest(abs(x.value)))
        return -magnitude if x.negative else magnitude

    def apply(self, x, i):
        y = self.result(x)
        return self.type.quiet_nan_bits if y == NAN else self.type.encode(y)

    def clip_limits(self):
        largest = self.value(2 ** (self.N - 1) - 1)
        return -largest, largest

    def points(self, draw):
        last = 2 ** (self.N - 1) - 1
        codes = sorted({*range(1, min(last, 8)), *range(max(1, last - 7), last + 1),
                        *(1 + draw.below(last) for _ in range(16))})  # fmt: skip
        for code in codes:
            yield self.value(code)
            yield self.value(2 * code + 1, self.N + 1)  # the border above it
        yield self.value(1) / 2


@functools.cache
def root(k, q):
    """floor(2^(k/q) * 2^200) for q a power of two, exactly: the floor of a root is the root of floors."""
    n = 2 ** (k + 200 * q)
    while q > 1:
        n, q = math.isqrt(n), q // 2
    return n


def is_at_least(x, floor200, exact):
    """Whether a Fraction x is at or above a number given by its floor at 200 bits, which is no Fraction unless exact."""
    scaled = x * 2**200
    assert exact or not floor200 <= scaled <= floor200 + 2, "200 bits do not decide"
    return scaled >= floor200


class LogarithmicSteps:
    """sign(x) * 2^(k/2^f), rounded to the type, with min * 2^f <= k <= max * 2^f."""

    takes_nan = False

    def __init__(self, type, rounding, fraction, min_exponent, max_exponent):
        self.type, self.rounding, self.q = type, rounding, 2**fraction
        self.min = type.smallest_exponent if min_exponent is None else min_exponent
        self.max = type.bias if max_exponent is None else max_exponent
        if not (type.smallest_exponent <= self.min <= self.max <= type.bias and 0 <= fraction <= 8):
            raise ValueError("min, max and fraction do not fit the type")

    def goes_above(self, significand, j):
        """Whether a significand in [1, 2), not below 2^(j/q), goes to 2^((j+1)/q)."""
        if self.rounding == "down":
            return is_at_least(significand, root(j + 1, self.q), exact=j + 1 == self.q)
        if self.rounding == "exponent":
            return is_at_least(significand, root(2 * j + 1, 2 * self.q), exact=False)
        return is_at_least(2 * significand, root(j, self.q) + root(j + 1, self.q), exact=self.q == 1)

    def step(self, x):
        """k for x > 0, as if there were no bounds."""
        e = floor_log2(x)
        significand = x / TWO**e
        inside = range(self.q)
        j = bisect.bisect_left(inside, True, key=lambda j: not self.goes_above(significand, j))
        return e * self.q + j

    def value(self, k):
        e, j = divmod(k, self.q)
        if j == 0:
            return TWO**e
        step = TWO ** max(e - self.type.stored_bits, self.type.smallest_exponent)
        scaled = Fraction(root(j, self.q), 2**200) * TWO**e / step
        rounded = math.floor(scaled + HALF)
        assert math.floor(scaled + HALF + TWO**-100) == rounded, "200 bits do not decide"
        return rounded * step

    def apply(self, x, i):
        lowest, highest = self.min * self.q, self.max * self.q
        if x.value == INF:
            magnitude = self.value(highest)
        else:
            magnitude = self._of_number(abs(x.value), lowest, highest)
        return self.type.encode(-magnitude if x.negative else magnitude, negative_zero=x.negative)

    def _of_number(self, x, lowest, highest):
        if x == 0 or x < TWO ** (self.min - 1):
            return Fraction(0)
        k = self.step(x)
        if k < lowest and self.rounding != "nearest":
            return Fraction(0)
        return self.value(min(max(k, lowest), highest))

    def clip_limits(self):
        return -(TWO**self.max), TWO**self.max

    def points(self, draw):
        lowest, highest = self.min * self.q, self.max * self.q
        ends = [*range(lowest - 2, lowest + 4), *range(highest - 3, highest + 2)]
        ks = ends + [lowest + draw.below(highest - lowest + 1) for _ in range(12)]
        ks += [draw.below(16 * self.q) - 8 * self.q for _ in range(12)]
        for k in ks:
            e, j = divmod(k, self.q)
            for floor200 in (root(j, self.q), root(2 * j + 1, 2 * self.q), (root(j, self.q) + root(j + 1, self.q)) // 2):
                yield Fraction(floor200, 2**200) * TWO**e
        yield TWO ** (self.min - 1)


class Table:
    """The nearest of some values; a tie to the lower one, or to the one of smaller magnitude."""

    takes_nan = False

    def __init__(self, type, values, tie):
        self.type, self.values, self.tie = type, sorted(values), tie

    def apply(self, x, i):
        if x.value == INF:
            return self.type.encode(self.values[0] if x.negative else self.values[-1])
        key = {"lower": lambda v: v, "smaller": abs}[self.tie]
        return self.type.encode(min(self.values, key=lambda v: (abs(x.value - v), key(v))))

    def clip_limits(self):
        return self.values[0], self.values[-1]

    def points(self, draw):
        yield from self.values
        for a, b in zip(self.values, self.values[1:]):
            yield (a + b) / 2
        yield from (2 * self.values[-1], -self.values[-1], -2 * self.values[-1])


# QLoRA (arXiv:2305.14314), appendix E, as float32.
NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
       -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
       0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
       0.7229568362236023, 1.0]  # fmt: skip


def nf4(type):
    return Table(type, [Fraction(value) for value in NF4], "lower")


def apot(type, B, unsigned):
    """Additive powers of two (arXiv:1909.13144, eq. 5, k = 2), not normalised."""
    bits = B if unsigned else B - 1
    if bits not in (2, 4, 6):
        raise ValueError(f"apot,{B}: a magnitude has 2, 4 or 6 bits")
    n = bits // 2
    sums = {Fraction(0)}
    for i in range(n):
        sums = {a + b for a in sums for b in (Fraction(0), TWO**-i, TWO ** -(i + n), TWO ** -(i + 2 * n))}
    return Table(type, sums if unsigned else sums | {-a for a in sums}, "smaller")


class P3109:
    """IEEE P3109, interim report 3.2.0: K bits, P of them precision."""

    takes_nan = False

    def __init__(self, type, K, P, unsigned, domain, rounding, overflow, random):
        if not (1 <= P < K <= 16 and K - P <= 7):
            raise ValueError(f"p3109,{K},{P}: out of range")
        self.type, self.K, self.P, self.unsigned, self.domain = type, K, P, unsigned, domain
        self.rounding, self.random = rounding, random
        self.overflow = overflow or ("infinity" if domain == "extended" else "saturate")
        allowed = ("infinity", "saturate", "propagate") if domain == "extended" else ("saturate",)
        if self.overflow not in allowed:
            raise ValueError(f"no overflow {overflow!r} in domain={domain}")
        self.bias = 2 ** (K - P) if unsigned else 2 ** (K - P - 1)
        codes = 2**K - 1 if unsigned else 2 ** (K - 1)  # zero included, NaN not
        self.last = codes - 1 - (domain == "extended")

    def value(self, code):
        """Of a code that is zero or positive; beyond the last one as if there were more exponents."""
        field, trailing = divmod(code, 2 ** (self.P - 1))
        if field == 0:
            return trailing * TWO ** (2 - self.bias - self.P)
        return (2 ** (self.P - 1) + trailing) * TWO ** (field + 1 - self.bias - self.P)

    def rounded_code(self, x, random, i):
        """The code of the neighbour of |x| that is chosen; it may be beyond the last one."""
        magnitude = abs(x)
        if magnitude >= self.value(self.last + 1):
            return self.last + 1
        code = bisect.bisect_right(range(self.last + 2), magnitude, key=self.value) - 1
        below, above = self.value(code), self.value(code + 1)
        distance = (magnitude - below) / (above - below)
        if distance == 0:
            return code
        if self.rounding == "even":
            return code + (distance > HALF or (distance == HALF and code % 2 == 1))
        if self.rounding == "odd":
            return code + (code % 2 == 0)
        # The others look at the sign and the distance, not at the code.
        signed = -distance if x < 0 else distance
        return code + abs(round_to_integer(signed, self.rounding, random, i))

    def _beyond(self, negative):
        largest = self.value(self.last)
        inwards = {"zero": True, "down": not negative, "up": negative}.get(self.rounding, False)
        return largest if inwards or self.overflow != "infinity" else INF

    def result(self, x, random, i):
        """What a number or an infinity becomes: a Fraction, NAN, or INF, whose sign is that of x."""
        if x.value == INF:
            magnitude = self.value(self.last) if self.overflow == "saturate" else INF
        elif x.value == 0:
            return Fraction(0)
        else:
            code = self.rounded_code(x.value, random, i)
            magnitude = self.value(code) if code <= self.last else self._beyond(x.negative)
        if magnitude == 0:
            return Fraction(0)
        if x.negative and self.unsigned:
            return NAN if self.overflow == "infinity" else Fraction(0)
        return -magnitude if x.negative and magnitude != INF else magnitude

    def apply(self, x, i):
        y = self.result(x, self.random, i)
        if y == NAN:
            return self.type.quiet_nan_bits
        return self.type.encode_inf(x.negative) if y == INF else self.type.encode(y)

    def clip_limits(self):
        largest = self.value(self.last)
        return (Fraction(0) if self.unsigned else -largest), largest

    def points(self, draw):
        codes = sorted({*range(min(self.last, 6)), *range(max(0, self.last - 4), self.last + 2),
                        *(draw.below(self.last + 1) for _ in range(12))})  # fmt: skip
        for code in codes:
            below, above = self.value(code), self.value(code + 1)
            yield below
            yield (below + above) / 2
            yield (3 * below + above) / 4
        yield self.value(1) / 4
