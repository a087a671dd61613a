#!/usr/bin/env python3
"""The references of formats/ against second hands, bit for bit:

* exact fractions (tests/golden/oracle.py) on all values of binary16, and on ties, ends and their neighbours;
* Python's own binary16 (struct's "e") for fp16, between any two neighbours;
* the quantization and overflow modes of ap_fixed, as AMD's Vitis HLS user guide UG1399 describes them.

No real arithmetic is wanted anywhere: what decides, ties and powers of two included, is rational.

Usage: second_hand_test.py REFERENCE, the program made from reference.cc. Needs Python 3.10 and nothing else.
"""

import pathlib
import random
import struct
import subprocess
import sys
import unittest
from concurrent.futures import ProcessPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))
import elements  # noqa: E402
import oracle  # noqa: E402

REFERENCE = ""
HALVES = [struct.unpack("<e", struct.pack("<H", bits))[0] for bits in range(1 << 16)]


def pack(values):
    return struct.pack(f"<{len(values)}f", *values)


def bits_of(data):
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def reference(spec, data):
    """The reference's bits for packed float32."""
    return bits_of(subprocess.run([REFERENCE, spec], input=data, stdout=subprocess.PIPE, check=True).stdout)


def wanted(task):
    spec, bits = task
    return oracle.quantize(spec, elements.FLOAT32, bits)


def with_neighbours(values):
    """Packed float32: the values that float32 holds, and for each the number before and behind it."""
    bits = set()
    for value in values:
        if abs(value) >= 2.0**127:
            continue
        (own,) = struct.unpack("<I", struct.pack("<f", value))
        bits |= {own, own ^ 0x80000000, (own & 0x7FFFFFFF) + 1}
        if own & 0x7FFFFFFF:
            bits.add(own - 1)
    return struct.pack(f"<{len(bits)}I", *sorted(bits))


class Fractions(unittest.TestCase):
    def expect_oracle(self, spec, data, pool, pieces=16):
        bits = bits_of(data)
        length = -(-len(bits) // pieces)
        tasks = [(spec, bits[i : i + length]) for i in range(0, len(bits), length)]
        right = [y for part in pool.map(wanted, tasks) for y in part]
        found = reference(spec, data)
        self.assertEqual(len(found), len(right))
        for x, y, z in zip(bits, found, right):
            self.assertEqual(f"{y:08x}", f"{z:08x}", f"{spec}, x = {x:08x}")

    def test_all_values_of_binary16(self):
        data = pack(HALVES)
        specs = [
            f"{rounding},{shape}"
            for rounding in elements.ROUNDINGS
            if rounding != "stochastic"
            for shape in ("8,4", "16,-3", "8,4,unsigned")
        ]
        specs += ["nearest,12,20", "down,6,2,overflow=wrap", "even,32,16,overflow=wrap"]
        specs += ["odd,7,2,unsigned,overflow=wrap", "zero,6,1,overflow=sign_magnitude", "up,6,2,overflow=zero"]
        specs += ["logarithmic", "logarithmic,down", "logarithmic,max=3,min=-4"]
        specs += ["posit,8", "posit,6,1", "p3109,8,3", "p3109,6,1,rounding=odd", "nf4,scale=1", "apot,5"]
        specs += ["logarithmic,exponent", "logarithmic,down,fraction=2"]
        specs += ["float,4,3", "float,5,2,overflow=saturate", "float,3,2,rounding=up", "bf16"]
        with ProcessPoolExecutor() as pool:
            for spec in specs:
                self.expect_oracle(spec, data, pool)

    def test_ties_ends_and_their_neighbours_of_fixed_point(self):
        generator = random.Random(1)
        with ProcessPoolExecutor() as pool:
            for rounding in elements.ROUNDINGS[:5] + elements.ROUNDINGS[6:]:
                for bits, fraction in (
                    (1, 0),
                    (2, 1),
                    (8, 4),
                    (8, -4),
                    (16, 8),
                    (24, 12),
                    (25, 0),
                    (32, 16),
                    (32, 64),
                    (4, -64),
                    (48, 24),
                    (64, 32),
                ):
                    highest = 2 ** (bits - 1)
                    codes = {0, 1, 2, 3, highest - 2, highest - 1, highest, highest + 1, 2 * highest, 3 * highest}
                    codes |= {generator.randrange(highest) for _ in range(20)}
                    step = 2.0**-fraction
                    data = with_neighbours([k * step for k in codes] + [(k + 0.5) * step for k in codes])
                    for overflow in ("", *(f",overflow={word}" for word in oracle.FixedPoint.OVERFLOWS[1:])):
                        self.expect_oracle(f"{rounding},{bits},{fraction}{overflow}", data, pool, pieces=2)
                    for overflow in ("", ",overflow=zero", ",overflow=wrap"):
                        self.expect_oracle(f"{rounding},{bits},{fraction},unsigned{overflow}", data, pool, pieces=2)

    def test_ties_ends_and_their_neighbours_of_powers_of_two(self):
        data = with_neighbours([m * 2.0**e for e in range(-149, 127) for m in (1, 1.25, 1.5, 1.75)])
        with ProcessPoolExecutor() as pool:
            for spec in (
                "logarithmic",
                "logarithmic,down",
                "logarithmic,max=3,min=-4",
                "logarithmic,down,max=-126,min=-140",
            ):
                self.expect_oracle(spec, data, pool)

    def test_ties_ends_and_their_neighbours_of_floats(self):
        with ProcessPoolExecutor() as pool:
            for exponent, stored in ((2, 1), (4, 3), (5, 2), (5, 10), (8, 7)):
                lowest = 2 - 2 ** (exponent - 1) - stored
                powers = [*range(lowest - 2, lowest + 3), -1, 0, 2 ** (exponent - 1) - 1, 2 ** (exponent - 1)]
                unit = 2.0 ** -(stored + 1)
                data = with_neighbours(
                    [
                        (1 + k * unit) * 2.0**e
                        for e in powers
                        if -149 < e < 127
                        for k in {0, 1, 2, 3, 2 ** (stored + 1) - 1}
                    ]
                )
                for rounding in elements.ROUNDINGS[:5] + elements.ROUNDINGS[6:]:
                    for overflow in ("", "overflow=saturate,"):
                        self.expect_oracle(
                            f"float,{exponent},{stored},{overflow}rounding={rounding}", data, pool, pieces=2
                        )


class Binary16(unittest.TestCase):
    def test_between_any_two_neighbours(self):
        values = sorted(x for x in HALVES if abs(x) < float("inf"))
        middles = [(a + b) / 2 for a, b in zip(values, values[1:])]
        data = with_neighbours(values + middles)
        inputs = struct.unpack(f"<{len(data) // 4}f", data)
        right = []
        for x in inputs:
            try:
                right.append(struct.unpack("<e", struct.pack("<e", x))[0])
            except OverflowError:  # Python's word for infinity
                right.append(float("inf") if x > 0 else float("-inf"))
        self.assertGreater(len(right), 200000)
        for spec in ("fp16", "float,5,10"):
            for x, y, z in zip(inputs, reference(spec, data), bits_of(pack(right))):
                self.assertEqual(f"{y:08x}", f"{z:08x}", f"{spec}, x = {x.hex()}")


class ApFixed(unittest.TestCase):
    """UG1399, "Arbitrary Precision Fixed-Point Data Types": quantization and overflow modes."""

    def expect(self, spec, table):
        found = reference(spec, pack([x for x, _ in table]))
        self.assertEqual(found, bits_of(pack([y for _, y in table])), spec)

    def test_quantization_modes(self):
        # ap_fixed<3, 2, mode, AP_SAT>: one fractional bit.
        self.expect("nearest,3,1", [(1.25, 1.5), (-1.25, -1.5), (0.75, 1.0), (-0.75, -1.0)])  # AP_RND_INF
        self.expect("even,3,1", [(0.75, 1.0), (-0.75, -1.0), (1.25, 1.0), (-1.25, -1.0)])  # AP_RND_CONV
        self.expect("down,3,1", [(1.25, 1.0), (-1.25, -1.5), (0.75, 0.5), (-0.75, -1.0)])  # AP_TRN
        self.expect("zero,3,1", [(1.25, 1.0), (-1.25, -1.0), (0.75, 0.5), (-0.75, -0.5)])  # AP_TRN_ZERO
        self.expect("nearest_up,3,1", [(1.25, 1.5), (-1.25, -1.0)])  # AP_RND
        self.expect("nearest_zero,3,1", [(1.25, 1.0), (-1.25, -1.0)])  # AP_RND_ZERO
        self.expect("nearest_down,3,1", [(1.25, 1.0), (-1.25, -1.5)])  # AP_RND_MIN_INF

    def test_overflow_modes(self):
        # ap_fixed<4, 4, AP_RND, mode>
        self.expect("nearest,4,0", [(19.0, 7.0), (-19.0, -8.0)])  # AP_SAT
        self.expect("nearest,4,0,unsigned", [(19.0, 15.0), (-19.0, 0.0)])
        self.expect("nearest,4,0,overflow=zero", [(19.0, 0.0), (-19.0, 0.0)])  # AP_SAT_ZERO
        self.expect("nearest,4,0,unsigned,overflow=zero", [(19.0, 0.0), (-19.0, 0.0)])
        self.expect("nearest,4,0,overflow=symmetric", [(19.0, 7.0), (-19.0, -7.0)])  # AP_SAT_SYM
        self.expect("nearest,4,0,unsigned,overflow=wrap", [(31.0, 15.0), (-19.0, 13.0)])  # AP_WRAP
        self.expect("nearest,4,0,overflow=sign_magnitude", [(19.0, -4.0), (-19.0, 2.0)])  # AP_WRAP_SM
        self.expect("nearest,4,0,overflow=wrap", [(31.0, -1.0), (-19.0, -3.0), (8.0, -8.0), (-9.0, 7.0)])  # AP_WRAP


if __name__ == "__main__":
    REFERENCE = sys.argv.pop(1)
    unittest.main()
