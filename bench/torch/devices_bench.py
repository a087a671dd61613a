"""Times of the quantizers on a GPU, beside a copy of the same tensor.

usage: python devices_bench.py [--elements N] [SPEC ...]

A copy reads and writes each number once, as a quantizer must: a ratio of 1 is the floor. Before the
clock starts the result is compared with the CPU's, bit for bit.
"""

import argparse
import functools

import torch

from tensorquant.ops.torch import quantize

SPECS = [
    *("nearest,8,4", "stochastic,8,4", "even,8,4,overflow=wrap", "bf16", "e4m3fn", "e2m1"),
    *("p3109,8,3", "posit,8", "posit,16", "logarithmic", "apot,5", "sparse,0.5", "ternary,1,0.3"),
    *("int,8,scale=0.0123", "int,8,scale=max", "mxfp4", "nvfp4", "nf4"),
]


def milliseconds(function, runs=20) -> float:
    """The median of several runs."""
    for _ in range(3):
        function()
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(runs)]
    for begin, end in events:
        begin.record()
        function()
        end.record()
    torch.cuda.synchronize()
    return sorted(begin.elapsed_time(end) for begin, end in events)[runs // 2]


def measure(specs: list[str], elements: int, dtype: torch.dtype) -> None:
    x = torch.randn(elements, device="cuda").to(dtype)
    y = torch.empty_like(x)
    copy = milliseconds(lambda: y.copy_(x))
    print(f"{dtype!s:16} {'copy':24} {copy:8.3f}")
    part = x[: 2**20].contiguous()
    for spec in specs:
        if not torch.equal(quantize(part, spec).cpu(), quantize(part.cpu(), spec)):
            raise SystemExit(f"{spec}: not the CPU's bits")
        time = milliseconds(functools.partial(quantize, x, spec))
        print(f"{'':16} {spec:24} {time:8.3f} {time / copy:6.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("specs", nargs="*", metavar="SPEC", default=SPECS)
    parser.add_argument("--elements", type=int, default=2**26, metavar="N")
    options = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    print(f"{options.elements} elements; milliseconds, and the ratio to a copy")
    for dtype in (torch.float32, torch.bfloat16):
        measure(options.specs, options.elements, dtype)


if __name__ == "__main__":
    main()
