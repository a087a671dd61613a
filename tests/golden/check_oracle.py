#!/usr/bin/env python3
"""Check oracle.py against things that were made without it.

    python3 check_oracle.py

1. original/: the outputs of the original TensorQuant's C kernels and of another exact implementation
2. NumPy: float16 and float32 conversions, fixed point and logarithmic with textbook formulas in double
3. ml_dtypes: bfloat16 and all its floats of 8, 6 and 4 bits
4. gfloat: floats of any size, every deterministic rounding, both overflow rules
5. the laws of the definition: idempotent, monotone

Prints one line a check; what is not installed is skipped and named. Exit code 1 if anything differs.
`pip install numpy ml_dtypes gfloat` has all of it.
"""

import importlib
import json
import math
import sys
from fractions import Fraction
from pathlib import Path

import make_vectors
from elements import FLOAT32, FLOAT64, NAN, TYPES
from oracle import quantize

HERE = Path(__file__).resolve().parent
failures = 0


def report(name, type, inputs, ours, theirs, exact_zero_sign=True):
    """Compare bit patterns as values: any NaN equals any NaN. Counts a failure and shows the first one."""
    global failures

    def key(bits):
        x = type.decode(bits)
        if x.value == NAN:
            return NAN
        return 0 if x.value == 0 and not exact_zero_sign else bits

    different = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if key(a) != key(b)]
    if different:
        failures += 1
        i = different[0]
        x, a, b = (type.to_float(bits[i]) for bits in (inputs, ours, theirs))
        print(f"FAILED: {name}: {len(different)} of {len(ours)}, first at {i}: x = {x!r}, oracle {a!r}, other {b!r}")
    else:
        print(f"ok: {name}: {len(ours)} values")
    return not different


def needs(*modules):
    """The modules, or None (and a line that says so) if one is missing."""
    try:
        return [importlib.import_module(module) for module in modules]
    except ImportError as error:
        print(f"skipped: {error.name} is not installed")
        return None


def check_original():
    """Every file of original/ without a `note`; with one, the difference must be as the note says."""
    folder = HERE / "original"
    if not folder.is_dir():
        return print("skipped: original/ is missing")
    for entry in json.loads((folder / "manifest.json").read_text()):
        x, theirs = (FLOAT32.read(folder / entry[which]) for which in ("input", "output"))
        string = entry["quantizer"]
        ours = quantize(string, FLOAT32, x, seed=entry.get("seed", 0))
        if "note" in entry:
            x, ours, theirs, string = as_noted(string, x, ours, theirs)
        report(f"original {string}", FLOAT32, x, ours, theirs, exact_zero_sign=False)


def as_noted(string, x, ours, theirs):
    """Leave out, or compute as the original did, what the notes name."""
    values = [FLOAT32.decode(bits).value for bits in x]
    if string == "fp16":  # it truncates; only finite results are compared
        ours = quantize("float,5,10,rounding=zero", FLOAT32, x)
        keep = [2**-14 <= abs(v) <= 65504 for v in values]
    elif string == "logarithmic":  # floor of log2(|x| + 1e-9)
        ours = quantize("logarithmic,down", FLOAT32, x)
        keep = [2**-20 < abs(v) < 2**30 for v in values]
    elif string.startswith("sparse"):
        threshold = FLOAT32.nearest_value(Fraction(string.split(",")[1]))
        keep = [abs(v) != threshold for v in values]
    else:  # nearest,32,16: it clamps at 2^15
        keep = [b != FLOAT32.from_float(32768.0) for b in theirs]
    kept = [tuple(row) for row, k in zip(zip(x, ours, theirs), keep) if k]
    x, ours, theirs = zip(*kept)
    return x, ours, theirs, f"{string} (noted; without the noted values)"


def as_numpy(np, type, elements):
    return np.frombuffer(type.to_bytes(elements), np.dtype(f"<f{type.size}"))


def from_numpy(np, type, array):
    return np.ascontiguousarray(array, np.dtype(f"<f{type.size}")).view(f"<u{type.size}").tolist()


def check_conversions(inputs):
    """Type conversions of NumPy and ml_dtypes are floats with ties to even and overflow to infinity."""
    modules = needs("numpy")
    if not modules:
        return
    np = modules[0]
    pairs = [("fp16", np.float16, FLOAT32), ("fp16", np.float16, FLOAT64), ("float,8,23", np.float32, FLOAT64)]
    if modules := needs("ml_dtypes"):
        ml_dtypes = modules[0]
        # from float32 only: from float64 ml_dtypes may round twice
        pairs += [("bf16", ml_dtypes.bfloat16, FLOAT32), ("float,5,2", ml_dtypes.float8_e5m2, FLOAT32),
                  ("float,4,3", ml_dtypes.float8_e4m3, FLOAT32), ("float,3,4", ml_dtypes.float8_e3m4, FLOAT32),
                  ("e4m3fn,overflow=nan", ml_dtypes.float8_e4m3fn, FLOAT32),
                  ("e4m3fnuz,overflow=nan", ml_dtypes.float8_e4m3fnuz, FLOAT32),
                  ("e5m2fnuz,overflow=nan", ml_dtypes.float8_e5m2fnuz, FLOAT32),
                  ("e4m3b11fnuz,overflow=nan", ml_dtypes.float8_e4m3b11fnuz, FLOAT32)]  # fmt: skip
        # These have no NaN; ours stays NaN.
        numbers = [bits for bits in inputs[FLOAT32] if FLOAT32.decode(bits).value != NAN]
        for string, dtype in [("e3m2", ml_dtypes.float6_e3m2fn), ("e2m3", ml_dtypes.float6_e2m3fn),
                              ("e2m1", ml_dtypes.float4_e2m1fn)]:  # fmt: skip
            with np.errstate(all="ignore"):
                theirs = as_numpy(np, FLOAT32, numbers).astype(dtype).astype("<f4")
            ours = quantize(string, FLOAT32, numbers)
            report(f"{np.dtype(dtype).name} {string}", FLOAT32, numbers, ours, from_numpy(np, FLOAT32, theirs))
    for string, dtype, type in pairs:
        elements = inputs[type]
        with np.errstate(all="ignore"):
            theirs = as_numpy(np, type, elements).astype(dtype).astype(f"<f{type.size}")
        name = f"{np.dtype(dtype).name} {string} on {type.name}"
        report(name, type, elements, quantize(string, type, elements), from_numpy(np, type, theirs))


def check_fixed_point(inputs):
    """Textbook formulas in double, which holds every float32 times 2^F exactly."""
    modules = needs("numpy")
    if not modules:
        return
    np = modules[0]
    functions = {
        "nearest": lambda y: np.trunc(y + np.copysign(0.5, y)),
        "zero": np.trunc,
        "down": np.floor,
        "up": np.ceil,
        "even": np.rint,
    }
    finite = [bits for bits in inputs[FLOAT32] if isinstance(FLOAT32.decode(bits).value, Fraction)]
    x = as_numpy(np, FLOAT32, finite).astype(np.float64)
    for W, F in [(1, 0), (2, 1), (5, -3), (8, 4), (12, 14), (16, -20), (16, 8), (24, 40), (25, 0)]:
        for rounding, function in functions.items():
            k = function(np.ldexp(x, F))
            clamped = np.clip(k, -(2.0 ** (W - 1)), 2.0 ** (W - 1) - 1) + 0.0  # + 0.0: one zero
            wrapped = [(int(one) + 2 ** (W - 1)) % 2**W - 2 ** (W - 1) for one in k]
            for overflow, codes in (("saturate", clamped), ("wrap", np.array(wrapped, np.float64))):
                string = f"{rounding},{W},{F},overflow={overflow}"
                theirs = from_numpy(np, FLOAT32, np.ldexp(codes, -F).astype("<f4"))
                report(f"formula {string}", FLOAT32, finite, quantize(string, FLOAT32, finite), theirs)


def check_logarithmic(inputs):
    """frexp gives floor(log2) and the place between two powers of two."""
    for type in TYPES.values():
        finite = [bits for bits in inputs[type] if isinstance(type.decode(bits).value, Fraction)]
        theirs, theirs_down = [], []
        for bits in finite:
            x = type.to_float(bits)
            fraction, exponent = math.frexp(abs(x))  # |x| = fraction * 2^exponent, 0.5 <= fraction < 1
            up = min(exponent - (fraction < 0.75), type.bias)
            theirs.append(type.from_float(math.copysign(math.ldexp(1.0, up), x) if x else x))
            theirs_down.append(type.from_float(math.copysign(math.ldexp(1.0, exponent - 1), x) if x else x))
        for string, other in (("logarithmic", theirs), ("logarithmic,down", theirs_down)):
            report(f"frexp {string} on {type.name}", type, finite, quantize(string, type, finite), other)


def check_gfloat(inputs):
    modules = needs("numpy", "gfloat")
    if not modules:
        return
    gfloat = modules[1]
    modes = {
        "even": gfloat.RoundMode.TiesToEven,
        "nearest": gfloat.RoundMode.TiesToAway,
        "zero": gfloat.RoundMode.TowardZero,
        "down": gfloat.RoundMode.TowardNegative,
        "up": gfloat.RoundMode.TowardPositive,
    }
    for E, M in [(2, 1), (2, 23), (3, 4), (4, 3), (5, 2), (5, 10), (6, 9), (7, 23), (8, 1), (8, 7), (8, 22), (8, 23)]:
        info = gfloat.FormatInfo(f"float,{E},{M}", 1 + E + M, M + 1, bias=2 ** (E - 1) - 1, is_signed=True,
                                 domain=gfloat.Domain.Extended, has_nz=True, num_high_nans=2**M - 1,
                                 has_subnormals=True, is_twos_complement=False)  # fmt: skip
        for rounding, mode in modes.items():
            for saturate in (False, True):
                for type in TYPES.values():
                    if type is FLOAT64 and rounding == "nearest":
                        continue  # gfloat's test for a tie away from zero rounds when given 53 bits
                    elements = inputs[type]
                    if rounding != "even":
                        elements = elements[::3]
                    string = f"float,{E},{M},rounding={rounding}" + (",overflow=saturate" if saturate else "")
                    theirs = [
                        type.from_float(float(gfloat.round_float(info, type.to_float(bits), mode, saturate)))
                        for bits in elements
                    ]
                    ours = quantize(string, type, elements)
                    report(f"gfloat {string} on {type.name}", type, elements, ours, theirs)


def check_laws(inputs):
    """Idempotent, and monotone but where it turns round, over all deterministic strings of the vectors. NaN is left out."""
    global failures
    turning = ("overflow=wrap", "overflow=zero", "overflow=sign_magnitude")
    for type in TYPES.values():
        elements = [bits for bits in inputs[type][::4] if not math.isnan(type.to_float(bits))]
        elements.sort(key=type.to_float)
        for string in make_vectors.deterministic_strings(type):
            once = quantize(string, type, elements)
            values = [value for value in map(type.to_float, once) if not math.isnan(value)]
            ordered = all(a <= b for a, b in zip(values, values[1:])) or any(word in string for word in turning)
            own_threshold = string.startswith("ternary") and string.count(",") < 2
            idempotent = own_threshold or quantize(string, type, without_nan(type, once)) == without_nan(type, once)
            if not (idempotent and ordered):
                failures += 1
                print(f"FAILED: law: {string} on {type.name}: idempotent {idempotent}, monotone {ordered}")
    print("checked: idempotent, monotone")


def without_nan(type, elements):
    return [bits for bits in elements if not math.isnan(type.to_float(bits))]


def main():
    inputs = {type: make_vectors.main_input(type) for type in TYPES.values()}
    check_original()
    check_conversions(inputs)
    check_fixed_point(inputs)
    check_logarithmic(inputs)
    check_gfloat(inputs)
    check_laws(inputs)
    print("all good" if not failures else f"{failures} checks FAILED")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
