"""What inputs are made of, and the inputs of formats that have one of their own: see make_vectors.py."""

from fractions import Fraction

from elements import philox4x32_10

# Inputs that several strings share: values of each, borders between them, ends, with neighbours.
ELEMENT_FAMILIES = {
    "posits": ["posit,8", "posit,16", "posit,32", "posit,3", "posit,4", "posit,8,0", "posit,9,0", "posit,6,1", "posit,3,6",
               "posit,32,0", "posit,17,3"],
    "p3109": ["p3109,8,3", "p3109,8,4,domain=finite", "p3109,8,1", "p3109,8,3,unsigned", "p3109,8,3,unsigned,overflow=saturate",
              "p3109,6,3,overflow=propagate", "p3109,8,1,rounding=odd", "p3109,8,4,rounding=odd", "p3109,8,1,unsigned", "p3109,2,1",
              "p3109,9,2,unsigned,domain=finite", "p3109,16,9,rounding=nearest", "p3109,7,1,rounding=nearest_up",
              "p3109,8,3,rounding=zero", "p3109,8,3,rounding=down", "p3109,8,3,rounding=stochastic",
              "p3109,8,1,random_bits=8,rounding=stochastic"],
    "steps": ["logarithmic,exponent", "logarithmic,fraction=1", "logarithmic,down,fraction=1", "logarithmic,exponent,fraction=2",
              "logarithmic,fraction=3,max=4,min=-8", "logarithmic,exponent,fraction=5,max=3,min=-140",
              "logarithmic,down,fraction=4,max=-120,min=-130", "logarithmic,fraction=8", "logarithmic,exponent,max=3,min=-4"],
    "tables": ["nf4,scale=1", "apot,3", "apot,5", "apot,7", "apot,2,unsigned", "apot,4,unsigned", "apot,6,unsigned"],
}  # fmt: skip
FAMILY_RANDOM = 150  # bit patterns and normal numbers, as many of each


class Draw:
    """Random inputs: a stream of Philox words, one stream a purpose."""

    def __init__(self, purpose):
        self._purpose, self._counter, self._words = purpose, 0, []

    def word(self):
        if not self._words:
            self._words = list(philox4x32_10((self._counter, 0, self._purpose, 0), (0x54510001, 0)))
            self._counter += 1
        return self._words.pop()

    def bits(self, n):
        return (self.word() << 32 | self.word()) >> (64 - n)

    def below(self, n):
        return self.word() * n >> 32

    def normal(self, scale):
        """Nearly normal: a sum of twelve uniform numbers, exact."""
        return scale * (Fraction(sum(self.bits(53) for _ in range(12)), 2**53) - 6)

    def shuffle(self, items):
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


def to_bits(type, x):
    """Bits of the value nearest to x."""
    rounded = type.nearest_value(x)
    return type.encode(rounded, negative_zero=x < 0)


def around(type, x):
    """Bits of x (rounded to the type) and of its two neighbours; none if x is out of range."""
    if abs(x) > type.largest:
        return []
    bits = to_bits(type, x)
    return [bits - 1, bits, bits + 1] if bits & ~type.sign_bit else [bits, bits + 1]


def specials(type):
    """Zeros, infinities, NaNs of all sorts, the ends of the type."""
    quiet = type.quiet_nan_bits
    magnitudes = [
        0, 1, 2, 3,
        2**type.stored_bits - 1, 2**type.stored_bits, 2**type.stored_bits + 1,  # around the smallest normal
        type.inf_bits - 2, type.inf_bits - 1,  # the largest finite values
        type.inf_bits, quiet, quiet + 0x1234,
        type.inf_bits + 1, type.inf_bits + 0x2345,  # signalling NaNs
    ]  # fmt: skip
    return [m | sign for m in magnitudes for sign in (0, type.sign_bit)]


def family_input(type, formats, draw):
    elements = specials(type)
    for made in formats:
        for point in made.points(draw):
            elements += around(type, point) + [bits ^ type.sign_bit for bits in around(type, point)[1:2]]
    for scale in (1, 30):
        elements += [to_bits(type, draw.normal(Fraction(scale))) for _ in range(FAMILY_RANDOM // 2)]
    elements += [draw.bits(8 * type.size) for _ in range(FAMILY_RANDOM)]
    elements = list(dict.fromkeys(elements))
    draw.shuffle(elements)  # so that a SIMD vector holds values of all kinds
    return elements
