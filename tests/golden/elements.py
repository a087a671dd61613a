"""The elements of tensors as bits and as exact values, the random numbers of an array, and rounding to integers."""

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

ROUNDINGS = (
    "nearest",
    "zero",
    "down",
    "up",
    "even",
    "stochastic",
    "nearest_up",
    "nearest_down",
    "nearest_zero",
    "odd",
)


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
    elif rounding == "nearest_up":
        up = fraction >= half
    elif rounding == "nearest_down":
        up = fraction > half
    elif rounding == "nearest_zero":
        up = fraction > half or (fraction == half and x < 0)
    elif rounding == "odd":
        up = floor % 2 == 0
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
