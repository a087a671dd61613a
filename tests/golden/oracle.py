"""The quantizers of TensorQuant in exact arithmetic: slow, short, independent of the C++.

Written from the definition of the numerics (tables 3.1, 3.2, 3.3) alone. Numbers are
`fractions.Fraction`: nothing is rounded except where the definition says so. The one exception
is ternary's own threshold, which is *defined* as a sum of doubles (Python's float).

Elements travel as bit patterns (ints), so that signed zeros and NaN payloads are never in doubt:

    >>> out = quantize("nearest,8,4", FLOAT32, [0x3F800000])
    >>> hex(out[0])
    '0x3f800000'

Element types, random numbers and rounding are those of elements.py, newer formats those of element_formats.py. Read it top-down: formats, the
parser, `quantize`, `clipped_gradient`.
"""

import math
from fractions import Fraction

from element_formats import P3109, LogarithmicSteps, Posit, apot, nf4
from elements import INF, NAN, ROUNDINGS, TWO, RandomSource, floor_log2, round_to_integer

# --- Formats: one class a row of the table, apply() takes and gives an element ---------------
#
# Each has apply(element, i) -> bits and clip_limits() -> (lo, hi), or None for "everywhere".
# NaN never reaches apply(): quantize() passes it through, except where a class wants it (takes_nan).


class Identity:
    """none"""

    takes_nan = False

    def __init__(self, type):
        pass

    def apply(self, x, i):
        return x.bits

    def clip_limits(self):
        return None


class FixedPoint:
    """k * 2^-F with an integer k of W bits, in two's complement or unsigned."""

    OVERFLOWS = ("saturate", "symmetric", "zero", "wrap", "sign_magnitude")

    def __init__(self, type, rounding, W, F, unsigned, overflow, random):
        self.type, self.rounding, self.W, self.F, self.random = type, rounding, W, F, random
        self.unsigned, self.overflow = unsigned, overflow
        self.takes_nan = overflow in ("wrap", "sign_magnitude")
        self.lowest = 0 if unsigned else -(2 ** (W - 1))
        self.highest = 2**W - 1 if unsigned else 2 ** (W - 1) - 1
        if overflow == "symmetric":
            self.lowest = -self.highest

    def apply(self, x, i):
        if x.value == INF:
            if self.takes_nan:
                return self.type.quiet_nan_bits
            end = self.lowest if x.negative else self.highest
            return self._encode(0 if self.overflow == "zero" else end)
        if x.value == NAN:
            return self.type.quiet_nan_bits
        return self._encode(self.in_range(round_to_integer(x.value * TWO**self.F, self.rounding, self.random, i)))

    def in_range(self, k):
        if self.overflow in ("saturate", "symmetric"):
            return min(max(k, self.lowest), self.highest)
        if self.overflow == "zero":
            return k if self.lowest <= k <= self.highest else 0
        low_bits = k % 2**self.W
        if self.unsigned:
            return low_bits
        wrapped = low_bits - 2**self.W if low_bits >= 2 ** (self.W - 1) else low_bits
        if self.overflow == "wrap":
            return wrapped
        lost_bit = (k >> self.W) & 1  # of two's complement
        return ~wrapped if lost_bit != (wrapped < 0) else wrapped

    def _encode(self, k):
        return self.type.encode(self._value(k))

    def _value(self, k):
        """In the type; where it has too many bits for it, the value of the type below it in magnitude."""
        if k == 0:
            return Fraction(0)
        magnitude = self.type.largest_value_up_to(abs(k) * TWO**-self.F)
        return -magnitude if k < 0 else magnitude

    def clip_limits(self):
        return self._value(self.lowest), self._value(self.highest)


class Logarithmic:
    """sign(x) * 2^e with min <= e <= max."""

    takes_nan = False

    def __init__(self, type, down, min_exponent, max_exponent):
        self.type, self.down = type, down
        self.min = type.smallest_exponent if min_exponent is None else min_exponent
        self.max = type.bias if max_exponent is None else max_exponent
        if not type.smallest_exponent <= self.min <= self.max <= type.bias:
            raise ValueError("min and max do not fit the type")

    def apply(self, x, i):
        if x.value == INF:
            magnitude = TWO**self.max
        else:
            magnitude = self._power_of_two(abs(x.value))
        return self.type.encode(-magnitude if x.negative else magnitude, negative_zero=x.negative)

    def _power_of_two(self, magnitude):
        below = TWO**self.min if self.down else TWO ** (self.min - 1)
        if magnitude < below:
            return Fraction(0)
        e = floor_log2(magnitude)
        if not self.down and magnitude >= Fraction(3, 2) * TWO**e:
            e += 1
        return TWO ** min(max(e, self.min), self.max)

    def clip_limits(self):
        return -(TWO**self.max), TWO**self.max


class Sparse:
    """x where abs(x) >= T, else +0."""

    takes_nan = False

    def __init__(self, type, threshold):
        self.type, self.threshold = type, type.nearest_value(threshold)

    def apply(self, x, i):
        return x.bits if x.value == INF or abs(x.value) >= self.threshold else 0

    def clip_limits(self):
        return None


class Binary:
    """+m where x >= 0 (also -0), else -m."""

    takes_nan = False

    def __init__(self, type, m):
        self.type, self.m = type, type.nearest_value(m)

    def apply(self, x, i):
        non_negative = not x.negative or x.value == 0
        return self.type.encode(self.m if non_negative else -self.m)

    def clip_limits(self):
        return -self.m, self.m


class Ternary:
    """+m where x > t, -m where x < -t, else +0."""

    takes_nan = False

    def __init__(self, type, m, t):
        self.type, self.m = type, type.nearest_value(m)
        self.t = None if t is None else float(type.nearest_value(t))  # a double holds both types

    def look_at(self, elements):
        """Find the threshold of an array, if the string gave none."""
        if self.t is None:
            magnitudes = [None if x.value in (INF, NAN) else abs(self.type.to_float(x.bits)) for x in elements]
            self.t = ternary_threshold(magnitudes)

    def apply(self, x, i):
        value = self.type.to_float(x.bits)
        if value > self.t:
            return self.type.encode(self.m)
        if value < -self.t:
            return self.type.encode(-self.m)
        return 0

    def clip_limits(self):
        return -self.m, self.m


def ternary_threshold(magnitudes):
    """0.7 * sum / count over the finite elements (None marks the others), in double.

    The only floating-point arithmetic in this file: each `+`, `*`, `/` below is one double
    operation, and their order is the definition. A sum beyond the range of doubles is taken of
    the elements times 2^-64, and the quotient is scaled back.
    """
    threshold = ternary_threshold_of_sum(magnitudes)
    if threshold < math.inf:
        return threshold
    return ternary_threshold_of_sum([None if m is None else m * 2.0**-64 for m in magnitudes]) * 2.0**64


def ternary_threshold_of_sum(magnitudes):
    total = 0.0
    for start in range(0, len(magnitudes), 1024):
        lanes = [0.0] * 16
        for j, magnitude in enumerate(magnitudes[start : start + 1024]):
            if magnitude is not None:
                lanes[j % 16] += magnitude
        block = 0.0
        for lane in lanes:
            block += lane
        total += block
    count = sum(magnitude is not None for magnitude in magnitudes)
    return 0.7 * total / count if count else 0.0


class Float:
    """A binary float with E exponent and M stored significand bits, whose largest codes may be special."""

    takes_nan = False
    OVERFLOWS = {
        "ieee": ("infinity", "saturate", "propagate"),
        "fn": ("saturate", "nan"),
        "finite": ("saturate",),
        "fnuz": ("saturate", "nan"),
    }

    def __init__(self, type, E, M, rounding, overflow, random, special="ieee", bias=None):
        self.type, self.rounding, self.random, self.special = type, rounding, random, special
        self.overflow = overflow or self.OVERFLOWS[special][0]
        if self.overflow not in self.OVERFLOWS[special]:
            raise ValueError(f"no overflow {overflow!r} in special={special}")
        if bias is None:
            bias = 2 ** (E - 1) - (special != "fnuz")
        self.smallest_exponent = 1 - bias - M  # of the smallest value
        self.M = M
        fields = 2**E - (special == "ieee")  # exponent fields of finite values
        codes = fields * 2**M - (special == "fn")  # of one sign, zero included
        self.largest = self._value(codes - 1)

    def _value(self, code):
        field, significand = divmod(code, 2**self.M)
        if field == 0:
            return significand * TWO**self.smallest_exponent
        return (2**self.M + significand) * TWO ** (self.smallest_exponent + field - 1)

    def rounded(self, x, random, i):
        """A Fraction; `INF`, `NAN` or the largest value where the rounded magnitude exceeds it."""
        step = TWO ** max(floor_log2(abs(x)) - self.M, self.smallest_exponent)
        y = round_to_integer(x / step, self.rounding, random, i) * step
        return y if abs(y) <= self.largest else self._beyond(x < 0)

    def of_infinity(self):
        return {"saturate": self.largest, "nan": NAN}.get(self.overflow, INF)

    def _beyond(self, negative):
        """As IEEE 754 section 7.4 says for each rounding, or the largest finite value."""
        inwards = {"zero": True, "odd": True, "down": not negative, "up": negative}.get(self.rounding, False)
        if inwards or self.overflow in ("saturate", "propagate"):
            return -self.largest if negative else self.largest
        return INF if self.overflow == "infinity" else NAN

    def apply(self, x, i):
        if x.value == INF:
            return self._encode(self.of_infinity(), x.negative)
        if x.value == 0:
            return self._encode(Fraction(0), x.negative)
        return self._encode(self.rounded(x.value, self.random, i), x.negative)

    def _encode(self, magnitude, negative):
        if magnitude == NAN:
            return self.type.quiet_nan_bits
        if magnitude == INF:
            return self.type.encode_inf(negative)
        value = -abs(magnitude) if negative else abs(magnitude)
        return self.type.encode(value, negative_zero=negative and self.special != "fnuz")

    def clip_limits(self):
        return -self.largest, self.largest


SHORT_FLOATS = {
    "fp16": "float,5,10",
    "bf16": "float,8,7",
    "e4m3fn": "float,4,3,special=fn",
    "e5m2": "float,5,2",
    "e4m3fnuz": "float,4,3,special=fnuz",
    "e5m2fnuz": "float,5,2,special=fnuz",
    "e4m3b11fnuz": "float,4,3,bias=11,special=fnuz",
    "e3m2": "float,3,2,special=finite",
    "e2m3": "float,2,3,special=finite",
    "e2m1": "float,2,1,special=finite",
}


# --- Quantizer strings ----------------------------------------------------------------------


def parse(string):
    """'nearest,8,4,overflow=wrap' -> ('nearest', ['8', '4'], {'overflow': 'wrap'})"""
    name, *arguments = [part.strip().lower() for part in string.split(",")]
    if name in SHORT_FLOATS:
        name, *own = SHORT_FLOATS[name].split(",")
        arguments = own + arguments
    positional = [a for a in arguments if "=" not in a]
    keywords = dict([part.strip() for part in a.split("=")] for a in arguments if "=" in a)
    return name, positional, keywords


def make_format(string, type, seed=0, stream=0, step=0):
    """The format object behind a quantizer string."""
    name, arguments, keywords = parse(string)
    if keywords.pop("grad", "clipped") != "clipped":
        raise ValueError(f"{string!r}: grad is clipped or left out")

    def integer(keyword):
        text = keywords.pop(keyword, None)
        return None if text is None else int(text)

    def random_source(rounding):
        if rounding != "stochastic":
            return None
        return RandomSource(seed, stream, step, integer("random_bits"))

    def optional(index, default):
        return Fraction(arguments[index]) if len(arguments) > index else default

    if name == "none":
        made = Identity(type)
    elif name in ROUNDINGS:
        unsigned = arguments[2:] == ["unsigned"]
        W, F = map(int, arguments[:2] if unsigned else arguments)
        overflow = keywords.pop("overflow", "saturate")
        if not (1 <= W <= 64 and -64 <= F <= 64):
            raise ValueError(f"{string!r}: W or F out of range")
        if overflow not in FixedPoint.OVERFLOWS or (unsigned and overflow in ("symmetric", "sign_magnitude")):
            raise ValueError(f"{string!r}: no such overflow")
        made = FixedPoint(type, name, W, F, unsigned, overflow, random_source(name))
    elif name == "logarithmic":
        fraction, rounding = integer("fraction") or 0, arguments[0] if arguments else "nearest"
        if fraction == 0 and rounding != "exponent":
            made = Logarithmic(type, rounding == "down", integer("min"), integer("max"))
        else:
            made = LogarithmicSteps(type, rounding, fraction, integer("min"), integer("max"))
    elif name == "posit":
        made = Posit(type, int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 2)
    elif name == "nf4" and keywords.pop("scale", None) == "1":  # its values as they are
        made = nf4(type)
    elif name == "apot":
        made = apot(type, int(arguments[0]), arguments[1:] == ["unsigned"])
    elif name == "p3109":
        K, P = map(int, arguments[:2])
        rounding = keywords.pop("rounding", "even")
        made = P3109(type, K, P, arguments[2:] == ["unsigned"], keywords.pop("domain", "extended"), rounding,
                     keywords.pop("overflow", None), random_source(rounding))  # fmt: skip
    elif name == "sparse":
        made = Sparse(type, Fraction(arguments[0]))
    elif name == "binary":
        made = Binary(type, optional(0, Fraction(1)))
    elif name == "ternary":
        made = Ternary(type, optional(0, Fraction(1)), optional(1, None))
    elif name == "float":
        E, M = map(int, arguments)
        if not (2 <= E <= 8 and 1 <= M <= 23):
            raise ValueError(f"{string!r}: E or M out of range")
        rounding, special = keywords.pop("rounding", "even"), keywords.pop("special", "ieee")
        made = Float(
            type, E, M, rounding, keywords.pop("overflow", None), random_source(rounding), special, integer("bias")
        )
    else:
        raise ValueError(f"{string!r}: unknown name")
    if keywords:
        raise ValueError(f"{string!r}: unknown keywords {sorted(keywords)}")
    return made


# --- The two functions all of this is for ---------------------------------------------------


def quantize(string, type, elements, seed=0, stream=0, step=0):
    """Quantize an array of bit patterns; gives the bit patterns of the result."""
    made = make_format(string, type, seed, stream, step)
    decoded = [type.decode(bits) for bits in elements]
    if isinstance(made, Ternary):
        made.look_at(decoded)
    return [x.bits if x.value == NAN and not made.takes_nan else made.apply(x, i) for i, x in enumerate(decoded)]


def clipped_gradient(string, type, elements, output_gradient):
    """dx of `grad=clipped`: dy where x lies in the format's range, else +0 (also for NaN)."""
    limits = make_format(string, type).clip_limits()

    def passes(x):
        if x.value == NAN:
            return False
        if limits is None:
            return True
        return x.value != INF and limits[0] <= x.value <= limits[1]

    return [dy if passes(type.decode(bits)) else 0 for bits, dy in zip(elements, output_gradient, strict=True)]
