"""Rounded matrix products beside what else computes them: MPTorch, CPFloat, QPyTorch, NumPy with ml_dtypes, and oneDNN's product of bytes. One thread.

    python bench/arithmetic/rivals_bench.py [--json] [--size N] [--rounds N] [--cpfloat LIBRARY]

Before the clock starts each rival's numbers are compared with ours: they are the same, or the row says why not and how many differ. CPFloat, QPyTorch
and NumPy have no such product: their rounding is called after each operation, on one tap of all outputs at a time. Factors are normal numbers that the
row's format has rounded, ready made in the type that each rival takes: bytes for oneDNN, float32 for us.

Contenders take turns, a ratio is the median over the turns, and times are the least, of one multiplication and its addition. Rivals that are not there
are named and left out. CPFloat is a shared library with cpfloatf() and cpf_fmaf(): https://github.com/north-numerical-computing/cpfloat; MPTorch, which
no registry has, is https://github.com/mptorch/mptorch.
"""

import argparse
import ctypes
import json
import os
import pathlib
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np

import tensorquant as tq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from processor import processor_name

LEAST_SECONDS = 0.02  # of a sample: so many calls as take it


class Fixed(NamedTuple):
    bits: int
    fraction: int
    ties: str = "even"

    def __str__(self):
        return f"{self.ties},{self.bits},{self.fraction}"


class Float(NamedTuple):
    exponent: int
    significand: int
    ties: str = "even"

    def __str__(self):
        ties = "" if self.ties == "even" else f",rounding={self.ties}"
        return f"float,{self.exponent},{self.significand}{ties}"


class Row(NamedTuple):
    product: Fixed | Float | None  # None: exact
    accumulator: Fixed | Float
    factors: Fixed | Float
    accumulate: str = "step"


E4M3, FP16, BF16 = Float(4, 3), Float(5, 10), Float(8, 7)
FP16_AWAY = Float(5, 10, "nearest")
INT8, INT32 = Fixed(8, 0), Fixed(32, 0)
# Products of such factors are numbers of float32, in which the rivals multiply.
ROWS = [
    Row(Fixed(16, 8), Fixed(16, 8), Fixed(12, 8)),
    Row(Fixed(16, 8, "nearest"), Fixed(16, 8, "nearest"), Fixed(12, 8)),
    Row(FP16, FP16, FP16),
    Row(FP16_AWAY, FP16_AWAY, FP16),
    Row(None, FP16, FP16, "fused"),
    Row(BF16, BF16, BF16),
    Row(E4M3, FP16, E4M3),
    Row(E4M3, BF16, E4M3),
    Row(None, INT32, INT8),
]
TWICE = "its fused multiply-add rounds to float32 first"
REASONS = {("MPTorch", "fused"): TWICE, ("CPFloat", "fused"): TWICE}


def exact(x):
    return x


def tap_by_tap(a, b, round_product, round_sum):
    sums = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(len(b)):
        sums = round_sum(sums + round_product(np.multiply.outer(a[:, k], b[k])))
    return sums


def numpy_rounding(format_, ml_dtypes):
    """What rounds an array to the format; None where NumPy and ml_dtypes have no such rounding."""
    if format_ is None:
        return exact
    if isinstance(format_, Float):
        types = {E4M3: ml_dtypes.float8_e4m3, FP16: np.float16, BF16: ml_dtypes.bfloat16}
        dtype = types.get(format_)
        return dtype and (lambda x: x.astype(dtype).astype(x.dtype))
    to_integer = {"even": np.rint, "nearest": lambda x: np.trunc(x + np.copysign(0.5, x))}
    step, end = 2.0**-format_.fraction, 2.0 ** (format_.bits - 1)
    return lambda x: np.clip(to_integer[format_.ties](x / step), -end, end - 1) * step


def numpy_products(_):
    import ml_dtypes

    def offer(row, a, b):
        if row.accumulator == INT32:
            a, b = a.astype(np.int32), b.astype(np.int32)
            return lambda: a @ b
        roundings = [numpy_rounding(f, ml_dtypes) for f in (row.product, row.accumulator)]
        if None in roundings:
            return None
        if row.accumulate == "fused":  # float64 holds a product and the sum
            a, b = a.astype(np.float64), b.astype(np.float64)
        return lambda: tap_by_tap(a, b, *roundings)

    return offer


class CpfloatOptions(ctypes.Structure):
    """Its optstruct, of version 0.6 and later."""

    _fields_ = (
        ("format", ctypes.c_char * 15),
        ("precision", ctypes.c_uint),
        *((name, ctypes.c_int) for name in ("emin", "emax", "explim", "infinity", "round")),
        *((name, ctypes.c_int) for name in ("saturation", "subnormal", "flip")),
        ("p", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("bitseed", "randseedf", "randseed")),
    )


def cpfloat_options(format_):
    emax = 2 ** (format_.exponent - 1) - 1
    return CpfloatOptions(
        precision=format_.significand + 1,
        emin=1 - emax,
        emax=emax,
        explim=1,
        infinity=1,
        round={"even": 1, "nearest": -1}[format_.ties],
        subnormal=1,
    )


def cpfloat_products(arguments):
    if arguments.cpfloat is None:
        raise ImportError("--cpfloat names its shared library")
    library = ctypes.CDLL(pathlib.Path(arguments.cpfloat).resolve())
    cpfloatf, cpf_fmaf = library.cpfloatf, library.cpf_fmaf

    def call(function, options, *arrays):
        function(
            *(ctypes.c_void_p(x.ctypes.data) for x in arrays),
            ctypes.c_size_t(arrays[0].size),
            ctypes.byref(options),
        )
        return arrays[0]

    def rounding(format_):
        options = cpfloat_options(format_)
        return lambda x: call(cpfloatf, options, x, x)

    def fused(a, b, options):
        sums = np.zeros((len(a), b.shape[1]), np.float32)
        left, right = np.empty_like(sums), np.empty_like(sums)
        for k in range(len(b)):
            left[:], right[:] = a[:, k, None], b[k]
            call(cpf_fmaf, options, sums, left, right, sums)
        return sums

    def offer(row, a, b):
        if not isinstance(row.accumulator, Float):
            return None
        if row.accumulate == "fused":
            return lambda: fused(a, b, cpfloat_options(row.accumulator))
        roundings = [rounding(row.product), rounding(row.accumulator)]
        return lambda: tap_by_tap(a, b, *roundings)

    return offer


def qpytorch_products(_):
    import torch
    from qtorch.quant import float_quantize

    def rounding(format_):
        def quantize(x):
            sizes = format_.exponent, format_.significand
            return float_quantize(torch.from_numpy(x), *sizes, rounding="nearest").numpy()

        return quantize

    def offer(row, a, b):
        if (row.product, row.accumulator) != (FP16_AWAY, FP16_AWAY):
            return None
        roundings = [rounding(row.product), rounding(row.accumulator)]
        return lambda: tap_by_tap(a, b, *roundings)

    return offer


def mptorch_products(_):
    import torch
    from mptorch.quant import float_mm, fxp_mm

    def offer(row, a, b):
        s, p = row.accumulator, row.product or row.accumulator
        if "nearest" in (s.ties, p.ties):
            return None
        a, b, fma = torch.from_numpy(a), torch.from_numpy(b), row.product is None
        if isinstance(s, Fixed):
            sizes = {"wl_add": s.bits, "fl_add": s.fraction, "wl_mul": p.bits, "fl_mul": p.fraction}
            return lambda: fxp_mm(a, b, fma=fma, **sizes)
        sizes = {"man_add": s.significand, "exp_add": s.exponent}
        sizes |= {"man_mul": p.significand, "exp_mul": p.exponent}
        return lambda: float_mm(a, b, fma=fma, saturate=False, **sizes)

    return offer


def onednn_products(_):
    import torch

    if not torch.backends.mkldnn.is_available():
        raise ImportError("this torch has none")

    def offer(row, a, b):
        if row.accumulator != INT32:
            return None
        a, b = (torch.from_numpy(x.astype(np.int8)) for x in (a, b))
        return lambda: torch._int_mm(a, b)

    return offer


# By name: what gives a function (row, a, b) -> what computes it, or None where the rival does not.
RIVALS = {
    "MPTorch": mptorch_products,
    "CPFloat": cpfloat_products,
    "QPyTorch": qpytorch_products,
    "NumPy, ml_dtypes": numpy_products,
    "oneDNN": onednn_products,
}


def rivals_that_are_there(arguments):
    rivals = {}
    for name, products in RIVALS.items():
        try:
            rivals[name] = products(arguments)
        except Exception as error:  # noqa: BLE001  whatever a library breaks on that compiles itself
            print(f"{name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
    return rivals


def factors_of(row, size):
    random = np.random.default_rng(0)
    scale = 32 if row.factors == INT8 else 1
    quantize = tq.Quantizer(str(row.factors))
    shapes = (size, size), (size, size)
    return [quantize(scale * random.standard_normal(s).astype(np.float32)) for s in shapes]


def ours_of(row, a, b, on_plan=None):
    product = row.product and tq.Quantizer(str(row.product))
    accumulator = tq.Quantizer(str(row.accumulator))
    return lambda: tq.matmul(
        a,
        b,
        product=product,
        accumulator=accumulator,
        accumulate=row.accumulate,
        on_plan=on_plan,
    )


def share_that_differs(name, row, ours, theirs):
    """The share of numbers that are not the same.

    Raises:
        SystemExit: some differ without a reason.
    """
    theirs = np.asarray(theirs)
    differs = ours != theirs
    if differs.any() and (name, row.accumulate) not in REASONS:
        at = tuple(np.argwhere(differs)[0].tolist())
        what = f"{name}, {row.product or 'none'} -> {row.accumulator}, element {list(at)}"
        sys.exit(f"rivals_bench.py: {what}: {theirs[at]}, ours is {ours[at]}")
    return differs.mean().item()


def seconds(run):
    start, calls, passed = time.perf_counter(), 0, 0
    while passed < LEAST_SECONDS:
        run()
        calls += 1
        passed = time.perf_counter() - start
    return passed / calls


def measure(row, rivals, size, rounds):
    """A line for each rival that computes the row."""
    a, b = factors_of(row, size)
    plans = []
    expected = ours_of(row, a, b, plans.append)()
    runs = {name: offer(row, a, b) for name, offer in rivals.items()}
    runs = {name: run for name, run in runs.items() if run}
    shares = {name: share_that_differs(name, row, expected, run()) for name, run in runs.items()}
    runs["ours"] = ours_of(row, a, b)
    turns = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    for name, share in shares.items():
        ratios = [turn[name] / turn["ours"] for turn in turns]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        yield {
            "product": str(row.product or "none"),
            "accumulator": str(row.accumulator),
            "accumulate": row.accumulate,
            "factors": str(row.factors),
            "kernel": plans[0].kernel,
            "rival": name,
            "size": size,
            "ours_ns": min(turn["ours"] for turn in turns) / size**3 * 1e9,
            "theirs_ns": min(turn[name] for turn in turns) / size**3 * 1e9,
            "over_ours": middle,
            "over_ours_low": low,
            "over_ours_high": high,
            "differ": share,
            "because": REASONS[name, row.accumulate] if share > 0 else "",
        }


def print_table(groups, rivals, size):
    print(f"Processor: {processor_name()}\n")
    print(f"{size}^3, nanoseconds a product, and times of ours:\n")
    print(f"| product -> accumulator | factors | kernel | ours | {' | '.join(rivals)} |")
    print("|---" * (4 + len(rivals)) + "|")
    for lines in groups:
        first, cells = lines[0], dict.fromkeys(rivals, "")
        for line in lines:
            cells[line["rival"]] = f"{line['theirs_ns']:.3g} (x {line['over_ours']:.3g})"
        what = f"`{first['product']}` -> `{first['accumulator']}`, {first['accumulate']}"
        ours = f"`{first['factors']}` | {first['kernel']} | {first['ours_ns']:.3g}"
        print(f"| {what} | {ours} | {' | '.join(cells.values())} |")
    print()
    for line in (line for lines in groups for line in lines if line["because"]):
        what = f"{line['product']} -> {line['accumulator']}, {line['accumulate']}"
        print(f"{line['rival']}, {what}: {line['differ']:.2g} differ: {line['because']}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=256, help="of the square matrices")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpfloat", default=None, help="its shared library")
    arguments = parser.parse_args()
    if not 1 <= arguments.size <= 1024 or arguments.rounds < 2:
        parser.error("a size from 1 to 1024, whose sums of bytes float32 holds, and 2 rounds")
    if arguments.cpfloat and not pathlib.Path(arguments.cpfloat).is_file():
        parser.error(f"{arguments.cpfloat}: no such file")
    os.environ["OMP_NUM_THREADS"] = "1"
    tq.set_num_threads(1)
    rivals = rivals_that_are_there(arguments)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    groups = [list(measure(row, rivals, arguments.size, arguments.rounds)) for row in ROWS]
    groups = [lines for lines in groups if lines]
    if arguments.json:
        print(json.dumps([line for lines in groups for line in lines], indent=2))
    else:
        print_table(groups, rivals, arguments.size)


if __name__ == "__main__":
    main()
