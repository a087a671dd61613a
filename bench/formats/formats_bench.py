"""Formats of hardware beside the libraries that emulate them: torch, torchao, microxcaling and ml_dtypes, on the same tensor and threads.

    python bench/formats/formats_bench.py [--json] [--elements N] [--threads N] [--rounds N] [--microxcaling DIR]

Before the clock starts each library's numbers are compared with ours: they are the same bits, or the row says why not and how many differ. A
contender returns float32 numbers, as emulation wants them: what makes codes is followed by its way back. Contenders take turns, and a ratio is the
median over the turns. Libraries that are not installed are named and left out; microxcaling, which no registry has, is a checkout:
https://github.com/microsoft/microxcaling.
"""

import argparse
import importlib
import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from processor import processor_name

COLUMNS = 1024  # blocks and rows run along them
PRODUCTS = "it multiplies by 1/s, which moves ties"


def torch_contenders(torch):
    """(quantizer, what computes it, why its numbers may differ) of torch alone."""
    zeros = torch.zeros(1, dtype=torch.int32)

    def per_tensor(x):
        return torch.fake_quantize_per_tensor_affine(x, 0.05, 0, -128, 127)

    def per_channel(x):
        scales = x.abs().amax(1) / 127
        return torch.fake_quantize_per_channel_affine(
            x, scales, zeros.expand(len(x)).contiguous(), 0, -128, 127
        )

    def cast(dtype):
        return lambda x: x.to(dtype).to(torch.float32)

    return [
        ("int,8,scale=0.05", per_tensor, PRODUCTS),
        ("int,8,per=channel,scale=max", per_channel, PRODUCTS),
        ("e4m3fn", cast(torch.float8_e4m3fn), None),
        ("e5m2", cast(torch.float8_e5m2), None),
    ]


def torchao_contenders(torch):
    from torchao.prototype.mx_formats.mx_tensor import MXTensor
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale

    def blocks(dtype):
        return lambda x: MXTensor.to_mx(x, dtype).dequantize(torch.float32)

    def nvfp4(x):
        scale = per_tensor_amax_to_scale(x.abs().amax())
        return NVFP4Tensor.to_nvfp4(x, per_tensor_scale=scale).dequantize(torch.float32)

    return [
        ("mxfp8_e4m3", blocks(torch.float8_e4m3fn), None),
        ("mxfp4", blocks(torch.float4_e2m1fn_x2), None),
        ("nvfp4", nvfp4, PRODUCTS + "; block scales are at least 2^-6"),
    ]


def microxcaling_contenders(torch):
    from mx.mx_ops import quantize_mx_op
    from mx.specs import MxSpecs

    def blocks(name):
        specs = MxSpecs()
        specs.update({"block_size": 32, "scale_bits": 8, "custom_cuda": False})
        return lambda x: quantize_mx_op(x, specs, elem_format=name, axes=[-1], round="even")

    return [
        ("mxfp8_e4m3", blocks("fp8_e4m3"), None),
        ("mxfp6_e2m3", blocks("fp6_e2m3"), None),
        ("mxfp4", blocks("fp4_e2m1"), None),
        ("mxint8", blocks("int8"), None),
    ]


def ml_dtypes_contenders(torch):
    import ml_dtypes
    import numpy as np

    def cast(dtype):
        return lambda x: torch.from_numpy(x.numpy().astype(dtype).astype(np.float32))

    return [
        ("e4m3fn", cast(ml_dtypes.float8_e4m3fn), None),
        ("e3m2", cast(ml_dtypes.float6_e3m2fn), None),
        ("e2m1", cast(ml_dtypes.float4_e2m1fn), None),
    ]


LIBRARIES = {
    "torch": torch_contenders,
    "torchao": torchao_contenders,
    "mx": microxcaling_contenders,
    "ml_dtypes": ml_dtypes_contenders,
}
NAMES = {"mx": "microxcaling"}


def contenders(torch):
    """Yields (library, quantizer, what computes it, why its numbers may differ)."""
    for module, make in LIBRARIES.items():
        name = NAMES.get(module, module)
        try:
            importlib.import_module(module)
        except ImportError:
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        for quantizer, run, reason in make(torch):
            yield name, quantizer, run, reason


def share_that_differs(torch, name, quantizer, ours, theirs, reason):
    """The share of numbers that are not the same bits.

    Raises:
        SystemExit: some differ without a reason.
    """
    differs = ours.view(torch.int32) != theirs.contiguous().view(torch.int32)
    zeros = (ours == 0) & (theirs == 0)
    share = (differs & ~zeros).double().mean().item()
    if share > 0 and reason is None:
        at = (differs & ~zeros).nonzero()[0].tolist()
        sys.exit(
            f"formats_bench.py: {name} {quantizer}, element {at}: {theirs[tuple(at)].item()}, ours is {ours[tuple(at)].item()}"
        )
    return share


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(elements, threads, rounds):
    """A row for each library and format."""
    import torch

    import tensorquant as tq

    torch.set_num_threads(threads)
    tq.set_num_threads(threads)
    torch.manual_seed(0)
    x = 3 * torch.randn(elements // COLUMNS, COLUMNS)
    out = torch.empty_like(x)

    def ours_of(quantizer):
        q = tq.Quantizer(quantizer)
        axes = {"reduction_axis": 1, "channel_axis": 0} if q.needs_layout else {}
        return lambda: q(x, out=out, **axes)

    cases = []
    for name, quantizer, run, reason in contenders(torch):
        ours = ours_of(quantizer)
        share = share_that_differs(torch, name, quantizer, ours(), run(x), reason)
        cases.append((name, quantizer, ours, lambda run=run: run(x), share, reason))
    times = [[] for _ in cases]
    for _ in range(rounds):
        for case, own in zip(cases, times, strict=True):
            own.append((seconds(case[2]), seconds(case[3])))
    for (name, quantizer, _, _, share, reason), own in zip(cases, times, strict=True):
        ratios = [theirs / ours for ours, theirs in own]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        yield {
            "library": name,
            "quantizer": quantizer,
            "elements": x.numel(),
            "threads": threads,
            "ours_ns": min(ours for ours, _ in own) / x.numel() * 1e9,
            "theirs_ns": min(theirs for _, theirs in own) / x.numel() * 1e9,
            "over_ours": middle,
            "over_ours_low": low,
            "over_ours_high": high,
            "differ": share,
            "because": reason if share > 0 else "",
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--elements", type=int, default=1 << 24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--microxcaling", default=None, help="its checkout")
    arguments = parser.parse_args()
    if arguments.elements < COLUMNS or arguments.rounds < 2:
        parser.error(f"at least {COLUMNS} elements and 2 rounds")
    if arguments.microxcaling:
        sys.path.insert(0, arguments.microxcaling)
    rows = list(measure(arguments.elements, arguments.threads, arguments.rounds))
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"Processor: {processor_name()}\n")
    print("| quantizer | library | ours, ns | theirs, ns | x ours | numbers that differ |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        differ = f"{row['differ']:.2g}: {row['because']}" if row["because"] else "none"
        print(
            f"| `{row['quantizer']}` | {row['library']} | {row['ours_ns']:.3f} | {row['theirs_ns']:.2f} | {row['over_ours']:.3g} | {differ} |"
        )


if __name__ == "__main__":
    main()
