"""The quantizers of TensorQuant in exact arithmetic: slow, short, independent of the C++.

Written from the definition of the numerics (tables 3.1, 3.2, 3.3) alone. Numbers are
`fractions.Fraction`: nothing is rounded except where the definition says so. The one exception
is ternary's own threshold, which is *defined* as a sum of doubles (Python's float).

Elements travel as bit patterns (ints), so that signed zeros and NaN payloads are never in doubt:

    >>> out = quantize("nearest,8,4", FLOAT32, [0x3F800000])
    >>> hex(out[0])
    '0x3f800000'

Read it top-down: element types, rounding, formats, the parser, `quantize`, `clipped_gradient`.
"""

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

TWO = Fraction(2)
MASK32 = 0xFFFFFFFF


# --- Element types: bits <-> exact values ---------------------------------------------------

INF = "inf"  # value of an infinite Element
NAN = "nan"  # value of a NaN Element


@dataclass(frozen=True)
class Element:
    """One tensor element: its bits, its sign bit, and its value (a Fraction, INF or NAN).

    An infinite Element's `value` is INF for both signs; `negative` tells them apart.
    """

    bits: int
    negative: bool
    value: object


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE 754 binary format: `exponent_bits` and `stored_bits` of the significand."""

    exponent_bits: int
    stored_bits: int

    @property
    def bias(self):
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def min_exponent(self):
        """Exponent of the smallest normal number."""
        return 1 - self.bias

    @property
    def largest(self):
        """The largest finite value."""
        return (2 - TWO**-self.stored_bits) * TWO**self.bias

    @property
    def smallest_exponent(self):
        """Exponent of the smallest subnormal number."""
        return self.min_exponent - self.stored_bits

    def step_exponent(self, x):
        """The values of the format next to x != 0 are 2**step_exponent apart."""
        return max(floor_log2(abs(x)), self.min_exponent) - self.stored_bits


@dataclass(frozen=True)
class ElementType(FloatFormat):
    """float32 or float64: a FloatFormat that tensors are made of, with its bit patterns."""

    name: str
    suffix: str
    pack_code: str

    @property
    def size(self):
        return struct.calcsize(self.pack_code)

    @property
    def sign_bit(self):
        return 1 << (self.exponent_bits + self.stored_bits)

    @property
    def inf_bits(self):
        return (2**self.exponent_bits - 1) << self.stored_bits

    @property
    def quiet_nan_bits(self):
        return self.inf_bits | 1 << (self.stored_bits - 1)

    def decode(self, bits):
        negative = bool(bits & self.sign_bit)
        magnitude = bits & ~self.sign_bit
        if magnitude > self.inf_bits:
            return Element(bits, negative, NAN)
        if magnitude == self.inf_bits:
            return Element(bits, negative, INF)
        biased_exponent = magnitude >> self.stored_bits
        significand = magnitude & (2**self.stored_bits - 1)
        if biased_exponent == 0:
            biased_exponent = 1  # subnormal: no hidden bit
        else:
            significand += 2**self.stored_bits
        value = significand * TWO ** (biased_exponent - self.bias - self.stored_bits)
        return Element(bits, negative, -value if negative else value)

    def encode(self, value, negative_zero=False):
        """Bits of an exact value. It must be a value of the type: nothing is rounded here."""
        if value == 0:
            return self.sign_bit if negative_zero else 0
        sign = self.sign_bit if value < 0 else 0
        step = self.step_exponent(value)
        significand = abs(value) / TWO**step
        if significand.denominator != 1 or abs(value) > self.largest:
            raise AssertionError(f"{value} is not a value of {self.name}")
        # A normal number's hidden bit is a carry into the exponent field, which thus counts from 0.
        exponent_field = step - self.smallest_exponent
        return sign | ((exponent_field << self.stored_bits) + int(significand))

    def encode_inf(self, negative):
        return self.inf_bits | (self.sign_bit if negative else 0)

    def nearest_value(self, x):
        """x rounded to the type, ties to even: what happens to a quantizer's decimal arguments."""
        if x == 0:
            return Fraction(0)
        step = TWO ** self.step_exponent(x)
        rounded = round_to_integer(x / step, "even") * step
        if abs(rounded) > self.largest:
            raise ValueError(f"{x} is not finite in {self.name}")
        return rounded

    def largest_value_up_to(self, x):
        """The largest value of the type that is <= x, for x > 0."""
        step = TWO ** self.step_exponent(x)
        return min(math.floor(x / step) * step, self.largest)

    def to_float(self, bits):
        """The element as a Python float (a double), which holds every float32 and float64."""
        return struct.unpack("<" + self.pack_code, bits.to_bytes(self.size, "little"))[0]

    def from_float(self, x):
        """Bits of a Python float that is a value of the type."""
        return int.from_bytes(struct.pack("<" + self.pack_code, x), "little")

    def read(self, path):
        """The bit patterns in a raw little-endian file."""
        data = path.read_bytes()
        return [int.from_bytes(data[i : i + self.size], "little") for i in range(0, len(data), self.size)]

    def to_bytes(self, elements):
        return b"".join(bits.to_bytes(self.size, "little") for bits in elements)


FLOAT32 = ElementType(8, 23, "float32", "f32", "f")
FLOAT64 = ElementType(11, 52, "float64", "f64", "d")
TYPES = {"float32": FLOAT32, "float64": FLOAT64}


def floor_log2(x):
    """The largest e with 2**e <= x, for a Fraction x > 0."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if TWO**e <= x else e - 1


# --- Random numbers (design, section 3.2) ---------------------------------------------------


def philox4x32_10(counter, key):
    """Philox4x32 with 10 rounds (Salmon et al., 2011): 4 counter words, 2 key words -> 4 words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0 = 0xD2511F53 * c0
        product1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & MASK32,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & MASK32,
        )
        k0 = (k0 + 0x9E3779B9) & MASK32
        k1 = (k1 + 0xBB67AE85) & MASK32
    return c0, c1, c2, c3


# The generator's published known answers.
assert philox4x32_10((0, 0, 0, 0), (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
assert philox4x32_10((MASK32,) * 4, (MASK32,) * 2) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
assert philox4x32_10((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)) == (
    0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)  # fmt: skip


@dataclass
class RandomSource:
    """The random numbers of one array: a function of (seed, stream, step, element index)."""

    seed: int = 0
    stream: int = 0
    step: int = 0
    random_bits: int | None = None  # the keyword random_bits=N; None: left out

    def __post_init__(self):
        self._blocks = {}

    def _word(self, tile, j):
        """The word of place j (0..63) in a tile: word j div 16 of block 16*tile + j mod 16."""
        block = 16 * tile + j % 16
        if block not in self._blocks:
            counter = (block & MASK32, block >> 32 & MASK32, self.stream, self.step)
            key = (self.seed & MASK32, self.seed >> 32)
            self._blocks[block] = philox4x32_10(counter, key)
        return self._blocks[block][j // 16]

    def integer(self, i):
        """Element i's random integer of `random_bits` (24 if left out) bits."""
        n = self.random_bits
        if n is None:
            return self._word(i // 64, i % 64) >> 8
        if n > 16:
            return self._word(i // 64, i % 64) >> (32 - n)
        tile, j = divmod(i, 128)  # one word serves two elements
        word = self._word(tile, j % 64)
        half = word & 0xFFFF if j < 64 else word >> 16
        return half >> (16 - n)

    def rounds_up(self, fraction, i):
        """Whether element i, `fraction` of a step above the grid, goes up to the next step."""
        n = self.random_bits
        if n is None:
            return self.integer(i) * TWO**-24 < fraction
        cut = math.floor(fraction * 2**n) * TWO**-n
        return self.integer(i) * TWO**-n < cut


# --- Rounding -------------------------------------------------------------------------------

ROUNDINGS = ("nearest", "zero", "down", "up", "even", "stochastic")


def round_to_integer(x, rounding, random=None, i=0):
    """The rational x to an integer. `random` and the element index i serve `stochastic` only."""
    floor = math.floor(x)
    fraction = x - floor
    if fraction == 0:
        return floor
    half = Fraction(1, 2)
    if rounding == "nearest":
        up = fraction > half or (fraction == half and x > 0)
    elif rounding == "even":
        up = fraction > half or (fraction == half and floor % 2 == 1)
    elif rounding == "zero":
        up = x < 0
    elif rounding == "down":
        up = False
    elif rounding == "up":
        up = True
    elif rounding == "stochastic":
        up = random.rounds_up(fraction, i)
    else:
        raise ValueError(f"unknown rounding {rounding!r}")
    return floor + up


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
    """k * 2^-F with a two's complement k of W bits."""

    def __init__(self, type, rounding, W, F, wrap, random):
        self.type, self.rounding, self.W, self.F, self.wrap, self.random = type, rounding, W, F, wrap, random
        self.takes_nan = wrap
        self.lowest = -(2 ** (W - 1)) * TWO**-F
        # With W > 25 the largest value may lie between two of float32's.
        self.largest = type.largest_value_up_to((2 ** (W - 1) - 1) * TWO**-F) if W > 1 else Fraction(0)

    def apply(self, x, i):
        if self.wrap and x.value in (INF, NAN):
            return self.type.quiet_nan_bits
        if x.value == INF:
            return self.type.encode(self.lowest if x.negative else self.largest)
        k = round_to_integer(x.value * TWO**self.F, self.rounding, self.random, i)
        if self.wrap:
            half = 2 ** (self.W - 1)
            k = (k + half) % 2**self.W - half
            return self.type.encode(k * TWO**-self.F)
        return self.type.encode(min(max(k * TWO**-self.F, self.lowest), self.largest))

    def clip_limits(self):
        return self.lowest, self.largest


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
    """IEEE-style binary float with E exponent and M stored significand bits."""

    takes_nan = False

    def __init__(self, type, E, M, rounding, saturate, random):
        self.type, self.rounding, self.saturate, self.random = type, rounding, saturate, random
        self.format = FloatFormat(E, M)

    def apply(self, x, i):
        if x.value == INF:
            return self._overflow(x.negative) if self.saturate else x.bits
        if x.value == 0:
            return x.bits
        step = TWO ** self.format.step_exponent(x.value)
        y = round_to_integer(x.value / step, self.rounding, self.random, i) * step
        if abs(y) > self.format.largest:
            return self._overflow(x.negative)
        return self.type.encode(y, negative_zero=x.negative)

    def _overflow(self, negative):
        """Infinity or the largest finite value, as IEEE 754 section 7.4 says for each rounding."""
        toward_zero = {"zero": True, "down": not negative, "up": negative}.get(self.rounding, False)
        if self.saturate or toward_zero:
            return self.type.encode(-self.format.largest if negative else self.format.largest)
        return self.type.encode_inf(negative)

    def clip_limits(self):
        return -self.format.largest, self.format.largest


# --- Quantizer strings ----------------------------------------------------------------------


def parse(string):
    """'nearest,8,4,overflow=wrap' -> ('nearest', ['8', '4'], {'overflow': 'wrap'})"""
    name, *arguments = [part.strip().lower() for part in string.split(",")]
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

    def keyword_is(keyword, value):
        """True if keyword=value, False if the keyword is left out."""
        found = keywords.pop(keyword, None)
        if found not in (None, value):
            raise ValueError(f"{string!r}: {keyword} is {value} or left out")
        return found is not None

    def random_source(rounding):
        if rounding != "stochastic":
            return None
        return RandomSource(seed, stream, step, integer("random_bits"))

    def optional(index, default):
        return Fraction(arguments[index]) if len(arguments) > index else default

    if name == "fp16":
        name, arguments = "float", ["5", "10"]
    if name == "bf16":
        name, arguments = "float", ["8", "7"]

    if name == "none":
        made = Identity(type)
    elif name in ROUNDINGS:
        W, F = map(int, arguments)
        if not (1 <= W <= 32 and -64 <= F <= 64):
            raise ValueError(f"{string!r}: W or F out of range")
        if keywords.get("overflow") == "saturate":  # the default, spelled out
            del keywords["overflow"]
        made = FixedPoint(type, name, W, F, keyword_is("overflow", "wrap"), random_source(name))
    elif name == "logarithmic":
        made = Logarithmic(type, arguments == ["down"], integer("min"), integer("max"))
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
        rounding = keywords.pop("rounding", "even")
        made = Float(type, E, M, rounding, keyword_is("overflow", "saturate"), random_source(rounding))
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
