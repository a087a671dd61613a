#!/usr/bin/env python3
"""Write the golden vectors of vectors/ from oracle.py, or compare them with what is there.

    python3 make_vectors.py            write vectors/
    python3 make_vectors.py --check    recompute everything, name each file that differs; exit 1 if any

Needs nothing but Python >= 3.10. Everything is a function of the files here: random
inputs come from the oracle's own Philox, and no library function with platform-dependent last
bits (log, cos, ...) takes part.
"""

import json
import re
import sys
from fractions import Fraction
from pathlib import Path

from elements import FLOAT32, FLOAT64, TWO, RandomSource
from inputs import ELEMENT_FAMILIES, Draw, around, family_input, specials, to_bits
from oracle import clipped_gradient, make_format, quantize, ternary_threshold

VECTORS = Path(__file__).resolve().parent / "vectors"

INPUT_LENGTH = 2801  # odd on purpose: every loop has a tail
GRADIENT_LENGTH = 1003
EDGES_LENGTH = 301
TERNARY_LENGTHS = (1, 15, 16, 17, 1023, 1024, 1025, 3000)

HALF = Fraction(1, 2)


# --- Which quantizers -----------------------------------------------------------------------

# Every rounding meets the first seven; nearest meets all.
FIXED = [(1, 0), (2, 1), (8, 4), (16, -20), (24, 40), (32, 16), (31, -64),
         (8, -2), (25, 0), (26, 20), (32, 64), (16, 8)]  # fmt: skip

WRAPPED = ["nearest,8,4", "nearest,1,0", "nearest,32,16", "nearest,26,-2", "zero,16,8", "zero,32,-20", "down,8,4",
           "down,1,-64", "up,2,1", "up,25,0", "even,8,-2", "even,32,64", "even,24,12"]  # fmt: skip

# The other roundings and overflows of ap_fixed, unsigned, and more bits than float32 or float64 hold.
FIXED_LIKE_HARDWARE = [
    *(f"{r},{shape}" for r in ("nearest_up", "nearest_down", "nearest_zero", "odd") for shape in ("8,4", "16,-20", "32,64")),
    "nearest_up,8,4,overflow=symmetric", "nearest,1,0,overflow=symmetric", "odd,32,16,overflow=symmetric",
    "down,8,4,overflow=zero", "even,32,16,overflow=zero", "up,25,0,overflow=zero",
    "zero,8,4,overflow=sign_magnitude", "even,4,0,overflow=sign_magnitude", "nearest_down,32,16,overflow=sign_magnitude",
    "nearest_zero,8,4,overflow=wrap", "odd,24,12,overflow=wrap",
    "nearest,8,4,unsigned", "nearest_down,1,0,unsigned", "zero,32,16,unsigned", "even,6,2,unsigned,overflow=zero",
    "down,8,8,unsigned,overflow=wrap", "odd,25,0,unsigned,overflow=wrap", "up,32,64,unsigned,overflow=wrap",
    "even,40,20", "nearest,64,32", "zero,64,64", "up,64,0,overflow=symmetric", "zero,36,30,unsigned", "down,64,0,unsigned",
    "down,48,24,overflow=wrap", "even,64,8,overflow=wrap", "odd,64,8,unsigned,overflow=wrap",
    "nearest,64,0,overflow=sign_magnitude", "zero,33,-20,overflow=zero",
]  # fmt: skip

# (string, seed, stream, step)
RANDOM = [
    ("stochastic,8,4", 0, 0, 0),
    ("stochastic,8,4", 1, 0, 0),
    ("stochastic,16,8", 7, 1, 0),
    ("stochastic,16,8", 7, 0, 1),
    ("stochastic,32,16", 2**32 + 5, 0xDEADBEEF, 41),
    ("stochastic,24,40", 2**64 - 1, 2**32 - 1, 2**32 - 1),
    ("stochastic,1,0", 3, 0, 0),
    ("stochastic,26,-2", 2**40, 12, 0),
    ("stochastic,12,6,overflow=wrap", 11, 0, 5),
    ("stochastic,32,20,overflow=wrap", 12, 3, 0),
    ("stochastic,8,4,random_bits=1", 21, 0, 0),
    ("stochastic,8,4,random_bits=8", 22, 5, 6),
    ("stochastic,16,-20,random_bits=16", 2**33 + 1, 0, 9),
    ("stochastic,16,8,random_bits=17", 24, 1, 2),
    ("stochastic,20,12,random_bits=24", 25, 0, 0),
    ("stochastic,6,3,overflow=wrap,random_bits=3", 26, 0, 0),
    ("stochastic,8,4,unsigned", 27, 0, 0),
    ("stochastic,8,4,overflow=zero,random_bits=8", 28, 0, 3),
    ("stochastic,40,20", 29, 0, 0),
    ("stochastic,8,-4,overflow=sign_magnitude", 30, 2, 0),
    ("float,4,3,rounding=stochastic", 31, 0, 0),
    ("float,5,2,rounding=stochastic", 2**50 + 3, 2, 1),
    ("float,8,1,rounding=stochastic", 33, 0, 7),
    ("float,8,22,rounding=stochastic", 34, 0, 0),
    ("float,2,1,overflow=saturate,rounding=stochastic", 35, 0, 0),
    ("float,2,23,rounding=stochastic", 36, 0, 0),
    ("bf16,rounding=stochastic", 37, 8, 0),
    ("float,5,10,random_bits=13,rounding=stochastic", 38, 0, 0),
    ("float,4,3,overflow=saturate,random_bits=8,rounding=stochastic", 39, 0, 4),
    ("float,7,23,random_bits=20,rounding=stochastic", 40, 1, 1),
    ("e4m3fn,rounding=stochastic", 41, 0, 0),
    ("e2m1,random_bits=4,rounding=stochastic", 42, 0, 0),
]

LOGARITHMIC = ["", "down", "min=-10", "down,min=-10", "max=3", "down,max=3", "max=3,min=-10", "down,max=3,min=-10",
               "max=127,min=-149", "min=-140", "down,min=-140", "max=0,min=0", "down,max=-20,min=-20",
               "down,max=-130", "min=127"]  # fmt: skip
LOGARITHMIC64 = ["max=1023,min=-1074", "min=-1060", "down,min=-1060", "max=-1050", "max=-1074,min=-1074", "min=1023"]

FLOATS = [(8, 1), (8, 22), (8, 23), (2, 1), (2, 23), (5, 10), (4, 3), (5, 2), (7, 23), (3, 4)]
DIRECTED_FLOATS = {  # every pair meets at least two of these roundings
    "nearest": [(4, 3), (8, 22), (2, 1), (7, 23), (5, 2)],
    "zero": [(4, 3), (8, 1), (2, 23), (5, 10), (3, 4)],
    "down": [(4, 3), (8, 23), (2, 1), (5, 2), (8, 1)],
    "up": [(4, 3), (8, 22), (2, 23), (7, 23), (5, 10)],
    "nearest_up": [(4, 3), (8, 22), (2, 1)],
    "nearest_down": [(4, 3), (8, 1), (5, 10)],
    "nearest_zero": [(4, 3), (8, 7), (2, 23)],
    "odd": [(4, 3), (8, 22), (5, 2), (2, 1)],
}
SATURATED_FLOATS = ["float,8,23,overflow=saturate", "float,4,3,overflow=saturate", "float,2,1,overflow=saturate",
                    "float,5,2,overflow=saturate,rounding=nearest", "float,5,10,overflow=saturate,rounding=zero",
                    "float,3,4,overflow=saturate,rounding=down", "float,4,3,overflow=saturate,rounding=odd", "float,8,1,overflow=saturate,rounding=up",
                    "bf16,overflow=saturate"]  # fmt: skip

# Of the OCP, of NVIDIA, AMD and Graphcore, and exponents that no one else has.
SPECIAL_FLOATS = ["e4m3fn", "e4m3fn,overflow=nan", "e4m3fn,overflow=nan,rounding=zero", "e4m3fn,rounding=odd", "e5m2",
                  "e5m2,overflow=propagate", "e4m3fnuz", "e4m3fnuz,overflow=nan", "e5m2fnuz", "e4m3b11fnuz", "e3m2", "e2m3", "e2m1",
                  "e2m1,rounding=nearest_up", "float,4,3,bias=1,special=finite", "float,5,2,bias=30,overflow=nan,special=fn",
                  "float,8,3,overflow=propagate", "float,8,2,special=fnuz", "float,8,3,bias=140", "float,7,20,bias=126,rounding=up",
                  "float,5,10,overflow=propagate,rounding=down"]  # fmt: skip

THRESHOLDS = ["0", "0.5", "0.1", "1e-40", "65504"]
MAGNITUDES = ["1", "0.5", "0.7", "1e-40"]
OTHERS = ["none", "fp16", "bf16", "binary", "binary,0.1", "binary,1e-40", "ternary", "ternary,0.7", "ternary,0.7,0.5",
          "ternary,1,0", "ternary,2,0.1"] + [f"sparse,{t}" for t in THRESHOLDS]  # fmt: skip

GRADIENTS = ["none", "nearest,8,4", "nearest,26,20", "zero,32,16", "down,16,-20", "up,12,6,overflow=wrap", "even,1,0",
             "stochastic,8,4", "float,4,3", "float,2,1,overflow=saturate", "float,8,23", "fp16", "bf16",
             "logarithmic", "logarithmic,down,max=3,min=-10", "sparse,0.5", "binary", "binary,0.7", "ternary",
             "ternary,0.5,0.25"]  # fmt: skip


def deterministic_strings(type):
    strings = []
    for rounding in ("nearest", "zero", "down", "up", "even"):
        strings += [f"{rounding},{W},{F}" for W, F in (FIXED if rounding == "nearest" else FIXED[:7])]
    strings += ["zero,25,0", "up,26,20", "down,8,-2", "even,8,-2", "even,25,0"]
    strings += [f"{string},overflow=wrap" for string in WRAPPED]
    strings += FIXED_LIKE_HARDWARE
    for options in LOGARITHMIC + (LOGARITHMIC64 if type is FLOAT64 else []):
        strings.append("logarithmic" + ("," + options if options else ""))
    strings += [f"float,{E},{M}" for E, M in FLOATS]
    for rounding, pairs in DIRECTED_FLOATS.items():
        strings += [f"float,{E},{M},rounding={rounding}" for E, M in pairs]
    return strings + SATURATED_FLOATS + SPECIAL_FLOATS + OTHERS


# --- Inputs ---------------------------------------------------------------------------------


def grid_points(type, draw):
    """Ties of many fixed-point grids and the values next to them."""
    for F in (-64, -20, -2, 0, 1, 3, 4, 8, 12, 16, 20, 40, 64):
        ks = [0, -1, 1, -2] + [draw.below(2**n) - 2 ** (n - 1) for n in (7, 12, 22)]
        for k in ks:
            yield from around(type, (k + HALF) * TWO**-F)


def tiny_negatives(type):
    """-1 < x*2^F < 0 and, now and then, 0 < x*2^F < 1, down to far below the random numbers' 24 bits."""
    for F in (-20, 0, 4, 8, 16, 40):
        for n in (1, 8, 17, 24, 25, 53, 60):
            yield to_bits(type, -(TWO ** -(F + n)))
            yield to_bits(type, TWO ** -(F + n) - TWO**-F)
            yield to_bits(type, TWO ** -(F + n))


def format_bounds(type):
    """The ends of every format used here, with the ties beyond them."""
    fixed = FIXED + [tuple(map(int, string.split(",")[1:])) for string in WRAPPED] + [(12, 6), (20, 12), (6, 3)]
    for W, F in sorted(set(fixed)):
        step, low, high = TWO**-F, -(2 ** (W - 1)) * TWO**-F, (2 ** (W - 1) - 1) * TWO**-F
        for x in (low, low - step / 2, low - step, high, high + step / 2, high + step, high + 3 * step):
            yield from around(type, x)
    for E, M in FLOATS:
        bias = 2 ** (E - 1) - 1
        top_step, subnormal, normal = TWO ** (bias - M), TWO ** (1 - bias - M), TWO ** (1 - bias)
        for sign in (1, -1):
            largest = TWO ** (bias + 1) - top_step
            for x in (largest, largest + top_step / 2, largest + top_step, subnormal / 2, 3 * subnormal / 2, normal):
                yield from around(type, sign * x)
            for x in (largest + top_step / 4, subnormal / 4, subnormal, 5 * subnormal / 2, normal - subnormal / 2,
                      1 + TWO ** -(M + 1), 1 + 3 * TWO ** -(M + 1)):  # fmt: skip
                yield from around(type, sign * x)[1:2]
    for text in THRESHOLDS + MAGNITUDES:
        yield from around(type, Fraction(text))
        yield from around(type, -Fraction(text))
    for options in LOGARITHMIC + LOGARITHMIC64:
        for e in map(int, re.findall(r"=(-?\d+)", options)):
            if type.smallest_exponent <= e <= type.bias:
                for x in (TWO**e, TWO**e / 2, TWO**e * 3 / 2):
                    yield from around(type, x)


def powers_of_two(type):
    """2^e, 1.5*2^e (logarithmic's tie) and something near them for the whole exponent range."""
    exponents = range(type.smallest_exponent, type.bias + 1)
    if type is FLOAT64:  # all that float32 has, and a choice of the rest
        exponents = [e for e in exponents if -152 <= e <= 130 or e % 19 == 0 or e < -1070 or e > 1020]
    for e in exponents:
        sign = -1 if e % 2 else 1
        power, tie = sign * TWO**e, sign * TWO**e * 3 / 2
        near = [around(type, power)[0], around(type, power)[-1], to_bits(type, power * 5 / 4),
                around(type, tie)[0], around(type, tie)[-1], to_bits(type, power * 7 / 4)]  # fmt: skip
        yield to_bits(type, power)
        yield to_bits(type, -tie if e % 4 < 2 else tie)
        yield near[e % 6]


def random_patterns(type, draw, count):
    """Any bits at all; for float64 half of them with exponents that float32 has, too."""
    for i in range(count):
        if type is FLOAT64 and i % 2:
            exponent_field = type.bias - 160 + draw.below(300)
            yield draw.bits(1) << 63 | exponent_field << 52 | draw.bits(52)
        else:
            yield draw.bits(8 * type.size)


def main_input(type):
    draw = Draw(1)
    elements = [*grid_points(type, draw), *tiny_negatives(type), *format_bounds(type), *powers_of_two(type)]
    elements += random_patterns(type, draw, 150)
    elements = list(dict.fromkeys(specials(type) + elements))  # each value once
    missing = INPUT_LENGTH - len(elements)
    assert missing >= 300, f"{type.name}: only {missing} places left for random numbers"
    scales = [Fraction(1), Fraction(1, 16), Fraction(8), Fraction(200), Fraction(30000), TWO**-18]
    elements += [to_bits(type, draw.normal(scales[i % len(scales)])) for i in range(missing)]
    draw.shuffle(elements)  # so that a SIMD vector holds values of all kinds
    return elements


def gradient_inputs(type):
    """x around the limits of every format in GRADIENTS, and a dy with all sorts of values."""
    draw = Draw(2)
    x = specials(type)
    for string in GRADIENTS:
        for limit in make_format(string, type).clip_limits() or ():
            x += around(type, limit)
    scales = [Fraction(1), Fraction(20), Fraction(1000)]
    x += [to_bits(type, draw.normal(scales[i % 3])) for i in range(GRADIENT_LENGTH - len(x))]
    draw.shuffle(x)
    dy = specials(type) * 3
    dy += [to_bits(type, draw.normal(1)) for _ in range(GRADIENT_LENGTH - len(dy))]
    draw.shuffle(dy)
    return x, dy


# Inputs that lie exactly on the random numbers, one file a case: (name, string, unit, seed, stream, step);
# unit is the grid's step where the input lies.
STOCHASTIC_EDGES = [
    ("edges_24", "stochastic,8,0", Fraction(1), 2**32 + 1, 0, 0),
    ("edges_24_fine", "stochastic,8,5", TWO**-5, 101, 9, 8),
    ("edges_1", "stochastic,8,0,random_bits=1", Fraction(1), 102, 0, 0),
    ("edges_8", "stochastic,8,0,random_bits=8", Fraction(1), 103, 0, 1),
    ("edges_16", "stochastic,8,-3,random_bits=16", Fraction(8), 104, 1, 0),
    ("edges_17", "stochastic,8,0,random_bits=17", Fraction(1), 105, 0, 0),
    ("edges_n24", "stochastic,8,0,random_bits=24", Fraction(1), 106, 0, 0),
    ("edges_float", "float,5,2,rounding=stochastic", TWO**-16, 107, 0, 0),
    ("edges_float_8", "float,5,2,random_bits=8,rounding=stochastic", TWO**-16, 108, 4, 2),
]


def stochastic_edges(type, case):
    """frac(x) equal to the element's own random number, or next to it on either side.

    Equal must not round up; with random_bits=N nothing below the next multiple of 2^-N may.
    """
    name, string, unit, seed, stream, step = case
    n = dict(part.split("=") for part in string.split(",") if "=" in part).get("random_bits")
    source = RandomSource(seed, stream, step, n and int(n))
    place = TWO ** -(source.random_bits or 24)
    floors = (0, -1) if type is FLOAT32 else (0, -1, 2, -3)  # where floor + u is exact
    elements = []
    for i in range(EDGES_LENGTH):
        u = source.integer(i) * place
        if i % 8 >= 5:
            u += place  # the first fraction that rounds up under random_bits
        x = (floors[i % len(floors)] + u) * unit
        neighbours = around(type, x)
        elements.append(neighbours[(i // 4) % len(neighbours)])
    return elements


def ternary_input(type, length, with_specials):
    """Random numbers and, where there is room, values at and next to the array's own threshold."""
    # With these numbers each wrong summation that was tried (in one go, exact, without blocks, lanes
    # in pairs, not-finite elements skipped first, 0.7 * (sum / count)) changes some float64 file.
    draw = Draw(61000 + length)
    elements = [to_bits(type, draw.normal(1)) for _ in range(length)]
    if with_specials:
        not_counted = [bits for bits in specials(type) if not isinstance(type.decode(bits).value, Fraction)]
        for i, bits in enumerate([0, type.sign_bit] + not_counted):
            elements[(5 * i + 3) % length] = bits
    if length < 15:
        return elements
    places = [(7 * n + 2) % length for n in range(6)]
    for _ in range(100):
        before = list(elements)
        values = [type.decode(bits).value for bits in elements]
        t = ternary_threshold([float(abs(value)) if isinstance(value, Fraction) else None for value in values])
        near = around(type, Fraction(t))
        for place, bits in zip(places, near + [bits | type.sign_bit for bits in near]):
            elements[place] = bits
        if elements == before:
            return elements  # the threshold of the array with those values in it is still t
    return elements


# --- Everything -----------------------------------------------------------------------------


def slug(string):
    return re.sub(r"[^A-Za-z0-9.-]+", "_", string)


class Collection:
    """The files (name -> bytes) and the manifest's entries."""

    def __init__(self):
        self.files, self.entries, self._inputs = {}, [], {}

    def add(self, type, name, elements):
        file = f"{name}.{type.suffix}"
        if file in self.files:
            raise AssertionError(f"two files called {file}")
        self.files[file] = type.to_bytes(elements)
        self._inputs[file] = elements
        return file

    def quantized(self, type, string, input, random=None):
        """One vector; random = (seed, stream, step) for random rounding."""
        seed, stream, step = random or (0, 0, 0)
        name = slug(string)
        if random:
            name += f"_seed{seed}_stream{stream}_step{step}"
        if not input.startswith("input."):
            name += "__" + input.rsplit(".", 1)[0]
        output = self.add(type, name, quantize(string, type, self._inputs[input], seed, stream, step))
        entry = {"quantizer": string, "type": type.name, "input": input, "output": output}
        if random:
            entry |= {"seed": seed, "stream": stream, "step": step}
        self.entries.append(entry)

    def gradient(self, type, string, input, output_gradient):
        string += ",grad=clipped"
        dx = clipped_gradient(string, type, self._inputs[input], self._inputs[output_gradient])
        output = self.add(type, slug(string), dx)
        self.entries.append({"quantizer": string, "type": type.name, "input": input,
                             "output_gradient": output_gradient, "input_gradient": output})  # fmt: skip


def random_integers():
    """Single random numbers, some at element indices that no file reaches."""
    indices = [0, 1, 15, 16, 63, 64, 127, 128, 1000, 2**24 + 77, 2**32 - 1, 2**32, 2**34 - 1, 2**34, 2**34 + 99,
               2**35 - 1, 2**35, 2**40 + 12345, 2**52 + 64 + 17]  # fmt: skip
    sources = [(0, 0, 0), (2**64 - 1, 5, 2**32 - 1), (0x0123456789ABCDEF, 0xFEDCBA98, 0x76543210)]
    return [
        {"seed": seed, "stream": stream, "step": step, "element": i, "random_bits": n,
         "integer": RandomSource(seed, stream, step, n).integer(i)}
        for seed, stream, step in sources for n in (None, 1, 8, 16, 17, 24) for i in indices
    ]  # fmt: skip


def make():
    collection = Collection()
    for type in (FLOAT32, FLOAT64):
        input = collection.add(type, "input", main_input(type))
        for string in deterministic_strings(type):
            collection.quantized(type, string, input)
        for string, *random in RANDOM:
            collection.quantized(type, string, input, random)
        for number, (family, strings) in enumerate(ELEMENT_FAMILIES.items()):
            formats = [make_format(string, type) for string in strings]
            family = collection.add(type, family, family_input(type, formats, Draw(100 + number)))
            for string in strings:
                random = (50, 1, number) if "stochastic" in string else None
                collection.quantized(type, string, family, random)
        for case in STOCHASTIC_EDGES:
            name, string, _, *random = case
            edges = collection.add(type, name, stochastic_edges(type, case))
            collection.quantized(type, string, edges, random)
        for length in TERNARY_LENGTHS:
            for with_specials in (False, True) if length in (16, 17, 1025, 3000) else (False,):
                name = f"ternary_{length}" + ("_specials" if with_specials else "")
                small = collection.add(type, name, ternary_input(type, length, with_specials))
                collection.quantized(type, "ternary,0.7", small)
        no_finite = [type.inf_bits, type.quiet_nan_bits, type.inf_bits | type.sign_bit, type.quiet_nan_bits + 7]
        collection.quantized(type, "ternary", collection.add(type, "no_finite", no_finite))
        x, dy = gradient_inputs(type)
        x, dy = collection.add(type, "gradient_x", x), collection.add(type, "gradient_dy", dy)
        for string in GRADIENTS:
            collection.gradient(type, string, x, dy)
    collection.files["manifest.json"] = json_lines(collection.entries)
    collection.files["random.json"] = json_lines(random_integers())
    return collection.files


def json_lines(entries):
    """A JSON array with one entry a line."""
    return ("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n").encode()


def check(files):
    """Name what differs between `files` and vectors/; True if nothing does."""
    on_disk = {path.name: path.read_bytes() for path in VECTORS.iterdir()} if VECTORS.is_dir() else {}
    for name in sorted(files.keys() | on_disk.keys()):
        if name not in on_disk:
            print(f"{name}: missing")
        elif name not in files:
            print(f"{name}: not made by make_vectors.py")
        elif files[name] != on_disk[name]:
            print(f"{name}: differs")
    return files == on_disk


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    files = make()
    size = sum(map(len, files.values()))
    if sys.argv[1:]:
        if not check(files):
            sys.exit(1)
        print(f"{len(files)} files, {size} bytes: all as in {VECTORS.name}/")
        return
    VECTORS.mkdir(exist_ok=True)
    for path in VECTORS.iterdir():
        if path.name not in files:
            path.unlink()
    for name, data in files.items():
        (VECTORS / name).write_bytes(data)
    print(f"{len(files)} files, {size} bytes written to {VECTORS.name}/")


if __name__ == "__main__":
    main()
