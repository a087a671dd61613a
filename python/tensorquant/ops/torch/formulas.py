"""Quantization in integers alone: the formulas, for a tensor's bits on any device.

A number is its magnitude's bits m, without the sign, and whether it is negative. Nothing here is
arithmetic on floats: no unit flushes a subnormal, fuses two operations or changes a NaN.

The functions take tensors of PyTorch. They are Python of so few words that Triton reads them, too:
triton.py makes its kernels of the same functions.
"""

import torch

where = torch.where


def rounded(
    m,
    negative,
    word,
    last_bit,
    significand_bits,
    step,
    mantissa,
    bias,
    rounding,
    random_bits,
    is_power,
    is_wide,
):
    """A finite magnitude, rounded as if there were no largest.

    Results are multiples of 2^last_bit, whose bits are `step`, with significand_bits behind their
    leading one; is_power: with none; is_wide: some have a leading one where the type, of `mantissa`
    and `bias`, is subnormal. word: 32 random bits.
    """
    field = m >> mantissa
    exponent = where(field > 0, field, 1) - bias
    significand = (m & ((1 << mantissa) - 1)) + where(field > 0, 1 << mantissa, 0)
    # How many bits are lost: those below the last one of all values, or of this one.
    all_lost = mantissa + last_bit - exponent
    own_lost = mantissa - significand_bits
    if is_wide:
        zeros = zeros_before(significand, mantissa)
        own_lost = own_lost - zeros
        exponent = exponent - zeros
    lost = where(all_lost > own_lost, all_lost, own_lost)
    shift = where(lost < mantissa + 2, lost, mantissa + 2)  # from there on all are alike
    unit = 1 << shift
    rest = significand & (unit - 1)
    # The last bit that stays; with the leading one alone the exponent's, counted from the smallest.
    last = (significand >> shift) & 1
    if is_power:
        last = last & ~(exponent - last_bit)
    if rounding == "nearest":
        up = (rest > 0) & (rest + rest >= unit)
    elif rounding == "even":
        up = rest + rest + last > unit
    elif rounding == "nearest_up":
        up = rest + rest + where(negative, 0, 1) > unit
    elif rounding == "nearest_down":
        up = rest + rest + where(negative, 1, 0) > unit
    elif rounding == "nearest_zero":
        up = rest + rest > unit
    elif rounding == "up":
        up = (rest > 0) & ~negative
    elif rounding == "down":
        up = (rest > 0) & negative
    elif rounding == "odd":
        up = (rest > 0) & (last == 0)
    elif rounding == "stochastic":
        up = drawn_up(rest, lost, negative, word, mantissa, random_bits)
    else:  # zero
        up = rest < 0
    whole = m - rest + (where(up, 1, 0) << shift)  # a carry runs into the exponent
    return where(lost > mantissa, where(up, step, 0), whole)


def zeros_before(significand, mantissa):
    """How many zeros stand in the places before an integer's leading bit, from `mantissa` on."""
    zeros = significand * 0
    for i in range(6):
        move = 32 >> i
        if move < mantissa:
            is_small = (significand >> (mantissa + 1 - move)) == 0
            significand = where(is_small, significand << move, significand)
            zeros = where(is_small, zeros + move, zeros)
    return zeros


def drawn_up(rest, lost, negative, word, mantissa, random_bits):
    """Whether a magnitude is rounded up that is rest / 2^lost of a step above the value below it.

    The number goes up, a negative one's magnitude down, with the probability of its distance to
    the number below it: compared with 24 random bits, or cut to random_bits and compared with them.
    """
    count = random_bits if random_bits > 0 else 24
    left = where(lost < count, count - lost, 0)
    right = where(lost > count, lost - count, 0)
    right = where(right < mantissa + 1, right, mantissa + 1)
    floor = (rest << left) >> right
    ceil = floor + where((rest & ((1 << right) - 1)) > 0, 1, 0)
    if random_bits > 0:
        goes_up = word >> (32 - count) < floor
        stays_below = word >> (32 - count) >= (1 << count) - ceil
    else:
        goes_up = word >> 8 < ceil
        stays_below = word >> 8 >= (1 << 24) - floor
    return (rest > 0) & where(negative, stays_below, goes_up)


def in_range(r, negative, largest, largest_negative, beyond, beyond_negative, negative_zero, sign):
    """The bits of a rounded magnitude: what is too large is `beyond`."""
    too_large = r > where(negative, largest_negative, largest)
    signed = where(negative, where(r > 0, r + sign, negative_zero), r)
    return where(too_large, where(negative, beyond_negative, beyond), signed)


def wrapped(r, negative, last_bit, bits, mantissa, bias, sign, is_unsigned, is_sign_magnitude):
    """The bits of a rounded magnitude, whose integer is taken modulo 2^bits. In 64 bits.

    What the type cannot hold is cut towards zero.
    """
    field = r >> mantissa
    exponent = where(field > 0, field, 1) - bias
    significand = (r & ((1 << mantissa) - 1)) + where(field > 0, 1 << mantissa, 0)
    shift = exponent - mantissa - last_bit  # the integer is the significand times 2^shift
    left = where(shift > 0, shift, 0)
    right = where(shift < 0, -shift, 0)
    k = (significand >> where(right < 63, right, 63)) << where(left < 63, left, 63)
    k = where(left > 63, 0, k)
    k = where(negative, -k, k)
    if is_unsigned:
        below_zero = negative & (r < 0)  # never
        k = k & (((((k * 0 + 1) << (bits - 1)) - 1) << 1) | 1)
    else:
        k = (k << (64 - bits)) >> (64 - bits)
        if is_sign_magnitude:
            # Bit `bits` of the integer in two's complement: inverted where negative, unless all
            # below it are zero.
            place = bits - shift
            is_there = (place >= 0) & (place <= mantissa)
            lost = where(is_there, (significand >> where(is_there, place, 0)) & 1, 0)
            lost = where(negative & (k != 0), 1 - lost, lost)
            k = where(lost == where(k < 0, 1, 0), k, ~k)
        below_zero = k < 0
    # 64 bits without a sign, as 63 and an exponent; then the leading bit goes to the top. The least
    # integer by itself: what a compiler makes of its magnitude need not be one.
    has_64 = where(below_zero, k == -(1 << 63), k < 0)
    top = where(has_64, 63, 62)
    k = where(has_64, (k >> 1) & 0x7FFFFFFFFFFFFFFF, where(below_zero, -k, k))
    is_zero = k == 0
    k, zeros = leading(k)
    top = top - zeros
    field = (top + last_bit + bias) << mantissa
    m = field | ((k >> (62 - mantissa)) & ((1 << mantissa) - 1))
    return where(is_zero, 0, where(below_zero, m + sign, m))


def leading(k):
    """Moves a positive integer's leading bit to place 62: by how many?"""
    zeros = k * 0
    for i in range(6):
        move = 32 >> i
        is_small = (k >> (63 - move)) == 0
        k = where(is_small, k << move, k)
        zeros = where(is_small, zeros + move, zeros)
    return k, zeros


def posit(m, bits, exponent_bits, smallest, largest, mantissa, bias):
    """A positive finite magnitude, as the nearest posit: its endless string, rounded."""
    string = m - (bias << mantissa)  # exponent and fraction, less the leading one
    regime = string >> (mantissa + exponent_bits)
    kept = bits - 2 - where(regime < 0, -regime, regime + 1)  # bits of exponent and fraction
    kept = where(kept > 0, kept, 0)
    lost = mantissa + exponent_bits - kept
    lost = where(lost > 0, lost, 0)
    rest = string & ((1 << lost) - 1)
    # The string's last bit; without exponent and fraction what ends the regime.
    last = where(kept > 0, (string >> lost) & 1, where(regime < 0, 1, 0))
    up = where(rest + rest + last > (1 << lost), 1, 0)
    r = m - rest + (up << lost)
    r = where((m <= smallest) | (r < smallest), smallest, r)
    return where((m >= largest) | (r > largest), largest, r)


def product_of_words(a_low, a_high, b):
    """The high and the low 32 bits of a product of 32 bits each, in 64 with a sign."""
    low = a_low * b
    high = a_high * b + (low >> 16)
    return high >> 16, ((high & 0xFFFF) << 16) | (low & 0xFFFF)


def random_word(index, seed_low, seed_high, stream, random_step, random_bits):
    """The random bits of elements by their index: Philox4x32-10, in tiles of 64 or 128 elements."""
    halves = (random_bits > 0) & (random_bits <= 16)
    place = index & 63
    tile = index >> 7 if halves else index >> 6
    block = (tile << 4) + (place & 15)
    c0 = block & 0xFFFFFFFF
    c1 = block >> 32
    c2 = c0 * 0 + stream
    c3 = c0 * 0 + random_step
    key_low = c0 * 0 + seed_low
    key_high = c0 * 0 + seed_high
    for _ in range(10):
        high0, low0 = product_of_words(0x1F53, 0xD251, c0)
        high1, low1 = product_of_words(0x8D57, 0xCD9E, c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ key_low, low1, high0 ^ c3 ^ key_high, low0
        key_low = (key_low + 0x9E3779B9) & 0xFFFFFFFF
        key_high = (key_high + 0xBB67AE85) & 0xFFFFFFFF
    which = place >> 4
    word = where(which < 2, where(which < 1, c0, c1), where(which < 3, c2, c3))
    if halves:
        word = where((index & 64) > 0, word >> 16, word & 0xFFFF) << 16
    return word


def finished(x, m, negative, y, infinity, infinity_negative, nan, type_infinity):
    """y, where x is a finite number; `nan` 0: NaN stays."""
    y = where(m == type_infinity, where(negative, infinity_negative, infinity), y)
    return where(m > type_infinity, where(nan + m * 0 == 0, x, nan), y)


def grid(
    x,
    word,
    last_bit,
    significand_bits,
    step,
    largest,
    largest_negative,
    beyond,
    beyond_negative,
    infinity,
    infinity_negative,
    negative_zero,
    nan,
    bits,
    mantissa,
    bias,
    sign,
    rounding,
    random_bits,
    is_power,
    is_wide,
    wrap,
    is_unsigned,
):
    """Fixed point, floats: the bits of a number x, likewise as bits."""
    negative = x < 0
    m = where(negative, x - sign, x)
    r = rounded(
        m,
        negative,
        word,
        last_bit,
        significand_bits,
        step,
        mantissa,
        bias,
        rounding,
        random_bits,
        is_power,
        is_wide,
    )
    if wrap == 0:
        y = in_range(
            r, negative, largest, largest_negative, beyond, beyond_negative, negative_zero, sign
        )
    else:
        y = wrapped(r, negative, last_bit, bits, mantissa, bias, sign, is_unsigned, wrap == 2)
    type_infinity = (2 * bias + 1) << mantissa
    return finished(x, m, negative, y, infinity, infinity_negative, nan, type_infinity)


def posits(x, bits, exponent_bits, smallest, largest, nan, mantissa, bias, sign):
    negative = x < 0
    m = where(negative, x - sign, x)
    r = posit(m, bits, exponent_bits, smallest, largest, mantissa, bias)
    y = where(m == 0, 0, where(negative, r + sign, r))
    type_infinity = (2 * bias + 1) << mantissa
    return finished(x, m, negative, y, nan, nan, 0, type_infinity)


def sparse(x, threshold, sign):
    """Magnitude pruning; a NaN's magnitude is above all."""
    m = where(x < 0, x - sign, x)
    return where(m < threshold, 0, x)


def key(x, sign):
    """Numbers without NaN in the order of integers: -0 is -1, +0 is 0."""
    return where(x < 0, sign - x - 1, x)


def widened(x, mantissa, bias, sign):
    """The bits of a float32 from those of a type of 16 bits, which has all its exponents less."""
    m = where(x < 0, x + 0x8000, x)
    move = 23 - mantissa
    field = m >> mantissa
    normal = (m << move) + ((127 - bias) << 23)
    normal = where(field == 2 * bias + 1, normal + ((127 - bias) << 23), normal)
    # A subnormal number's leading bit goes to the implicit one's place.
    zeros = zeros_before(m << move, 23)
    subnormal = where(m == 0, 0, (m << (move + zeros)) + ((127 - bias - zeros) << 23))
    if bias == 127:
        y = m << move
    else:
        y = where(field == 0, subnormal, normal)
    return where(x < 0, y + sign, y)


def narrowed(x, mantissa, bias, sign):
    """And back: the nearest one, ties to even; NaN keeps its payload's high bits."""
    negative = x < 0
    m = where(negative, x - sign, x)
    move = 23 - mantissa
    payload = (m >> move) & ((1 << mantissa) - 1)
    # Below the normal numbers places are lost one by one.
    field = m >> 23
    exponent = where(field > 0, field, 1) - (127 - bias)
    lost = move + where(exponent < 1, 1 - exponent, 0)
    lost = where(lost < 25, lost, 25)
    significand = (m & 0x7FFFFF) + where(field > 0, 1 << 23, 0)
    kept = significand >> lost
    rest = significand & ((1 << lost) - 1)
    up = where(rest + rest + (kept & 1) > (1 << lost), 1, 0)
    y = kept + up + (where(exponent > 1, exponent - 1, 0) << mantissa)
    infinity = (2 * bias + 1) << mantissa
    y = where(y < infinity, y, infinity)
    nan = infinity | where(payload == 0, 1 << (mantissa - 1), payload)
    y = where(m > 0x7F800000, nan, y)
    return where(negative, y - 0x8000, y)


def nearest_float(k, exponent):
    """The float32 nearest to k * 2^exponent, ties to even.

    A k of more than 32 bits may have a last bit that is 1 where smaller ones were lost.
    """
    is_zero = k == 0
    k, zeros = leading(k)
    exponent = exponent + 62 - zeros  # of the leading bit
    k = (k >> 2) | where((k & 3) > 0, 1, 0)
    lost = 37 + where(exponent < -126, -126 - exponent, 0)
    lost = where(lost < 62, lost, 62)
    kept = k >> lost
    rest = k & (((k * 0 + 1) << lost) - 1)
    up = where(rest + rest + (kept & 1) > ((k * 0 + 1) << lost), 1, 0)
    y = kept + up + (where(exponent > -126, exponent + 126, 0) << 23)
    y = where(exponent > 127, 0x7F800000, where(y < 0x7F800000, y, 0x7F800000))
    return where(is_zero, 0, y)


def significand_of(m):
    """A float32's magnitude as an integer and its exponent."""
    field = m >> 23
    significand = (m & 0x7FFFFF) + where(field > 0, 1 << 23, 0)
    return significand, where(field > 0, field, 1) - 150


def product(a, b):
    """Of two magnitudes of float32, rounded once; b is finite."""
    x, x_exponent = significand_of(a)
    y, y_exponent = significand_of(b)
    return where(a >= 0x7F800000, a, nearest_float(x * y, x_exponent + y_exponent))


def quotient(a, b):
    """a / b likewise, and b > 0."""
    x, x_exponent = significand_of(a)
    y, y_exponent = significand_of(b)
    k, zeros = leading(x)
    k = where(x == 0, 0, k)
    y = where(y > 0, y, 1)
    whole = k // y
    k = (whole << 1) | where(whole * y == k, 0, 1)
    return where(a >= 0x7F800000, a, nearest_float(k, x_exponent - zeros - y_exponent - 1))


def sum_of(a, b):
    """a + b likewise, a finite, too."""
    low = where(a < b, a, b)
    high = where(a < b, b, a)
    x, x_exponent = significand_of(high)
    y, y_exponent = significand_of(low)
    x = x << 32
    y = y << 32
    move = x_exponent - y_exponent
    move = where(move < 60, move, 60)
    moved = y >> move
    k = x + (moved | where((moved << move) == y, 0, 1))
    return nearest_float(k, x_exponent - 32)


def power_scale(amax, exponent, threshold):
    """2^(the exponent of amax - exponent), one more from a significand of `threshold` on; E8M0's."""
    k, own_exponent = significand_of(amax)
    k, zeros = leading(k)
    significand = (k >> 39) & 0x7FFFFF
    e = own_exponent + 62 - zeros - exponent + where(significand >= threshold, 1, 0)
    e = where(e < -127, -127, where(e > 127, 127, e))
    return where(e < -126, 1 << 22, (e + 127) << 23)


def integer_of(m):
    """A float32 below 2^32 to the nearest integer, ties to even."""
    r = rounded(m, m < 0, m, 0, 23, 0x3F800000, 23, 127, "even", 0, False, False)
    k, exponent = significand_of(r)
    right = where(exponent < 0, -exponent, 0)
    return (k >> where(right < 25, right, 25)) << where(exponent > 0, exponent, 0)
