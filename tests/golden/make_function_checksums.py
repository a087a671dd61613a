#!/usr/bin/env python3
"""Writes functions.json: checksums of each function of all bfloat16 numbers, rounded to float32.

    python3 make_function_checksums.py            # writes the file
    python3 make_function_checksums.py --check    # computes it anew and says whether it differs

A checksum is the CRC-32 of the results' bits, little-endian, in the order of the inputs' bits; every NaN is the quiet one. `even`
rounds ties to even, `up` upwards, so that it also tells on which side of a float32 each result lies. Zeros and infinities have
the limits of arithmetic_values.py; functions come from mpmath with 330 bits, more than lie between a result and a border.
"""

import json
import multiprocessing
import pathlib
import struct
import sys
import zlib
from fractions import Fraction

import mpmath

import arithmetic_values as values
from arithmetic_oracle import Number, decoded
from elements import FLOAT32, INF, NAN

OUT = pathlib.Path(__file__).resolve().parent / "functions.json"
PRECISION, FRACTION_BITS = 330, 2800


def rounded(negative, significand, exponent, up):
    """The magnitude's bits of significand * 2^exponent in float32."""
    step = max(significand.bit_length() + exponent - 24, -149)
    shift = step - exponent
    if shift <= 0:
        whole, rest, half = significand << -shift, 0, 1
    else:
        whole, rest, half = significand >> shift, significand & ((1 << shift) - 1), 1 << (shift - 1)
        if 0 < abs(rest - half) < 1 << max(shift - 200, 0):
            raise AssertionError("too near to a tie")
    if up:
        whole += rest != 0 and not negative
    else:
        whole += rest > half or (rest == half and whole & 1)
    bits = whole + (step + 149 << 23)  # a hidden bit is a carry into the exponent
    if bits >= FLOAT32.inf_bits:
        return FLOAT32.inf_bits - 1 if up and negative else FLOAT32.inf_bits
    return bits


def exact_result(name, bits):
    """A Number, or mpmath's number."""
    x = decoded(FLOAT32, bits)
    if x.value in (NAN, INF) or x.is_zero or name in values.EXACT or (name == "log" and (x.negative or x.value == 1)):
        return values.function(name, x)
    if abs(x.value) > values.FAR.get(name, (1000, 1000))[0 if x.negative else 1]:
        return values.far_value(name, x, wraps=False)
    return values.SMOOTH[name](values.real(x.value))


def result(y, up):
    """The bits of what becomes of it in float32."""
    if not isinstance(y, Number):
        negative, significand, exponent, _ = y._mpf_
        return rounded(bool(negative), int(significand), exponent, up) | (FLOAT32.sign_bit if negative else 0)
    if y.value == NAN:
        return FLOAT32.quiet_nan_bits
    sign = FLOAT32.sign_bit if y.negative else 0
    if y.value == INF:
        return FLOAT32.inf_bits | sign
    # A fraction: as many bits, and one that says that there are more.
    value = abs(y.value)
    significand, rest = divmod(value.numerator << FRACTION_BITS, value.denominator)
    return (rounded(y.negative, 2 * significand + (rest != 0), -FRACTION_BITS - 1, up) if value else 0) | sign


def checksums(name):
    mpmath.mp.prec = PRECISION
    results = [exact_result(name, high << 16) for high in range(1 << 16)]

    def sum_of(up):
        return zlib.crc32(struct.pack(f"<{1 << 16}I", *(result(y, up) for y in results)))

    return {"even": sum_of(False), "up": sum_of(True)}


def main():
    assert rounded(False, 3, -1, False) == 0x3FC00000 and rounded(False, 1, -149, False) == 1 and Fraction(1, 2) == values.HALF
    with multiprocessing.Pool() as pool:
        found = pool.map(checksums, values.FUNCTIONS, 1)
    text = json.dumps(dict(zip(values.FUNCTIONS, found)), indent=2) + "\n"
    if "--check" not in sys.argv[1:]:
        OUT.write_text(text)
        print(f"wrote {OUT.name}")
        return 0
    same = OUT.read_text() == text
    print(f"{OUT.name}: {'good' if same else 'differs'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
