"""Run by test_torch_triton.py with TRITON_INTERPRET=1: kernels on tensors of the CPU."""

import torch
from numbers_at_borders import bits, numbers, ties
from specs import axes_of, specs

from tensorquant.ops.torch import composite, triton
from tensorquant.ops.torch.formats import TYPES, format_of
from tensorquant.ops.torch.library import quantize_op

CONTEXT = 2**63 + 5 - 2**64, 7, torch.tensor(3)  # seed, stream, step


def check(x: torch.Tensor, spec: str) -> None:
    context = (spec, *CONTEXT, axes_of(spec))
    found, wanted = triton.quantize(x, *context), quantize_op(x, *context)
    assert found.stride() == wanted.stride(), spec
    differ = bits(found) != bits(wanted)
    if differ.any():
        raise SystemExit(f"{spec} in {x.dtype}: {int(differ.sum())} of {x.numel()} differ")


def main() -> None:
    def fail(*_):
        raise SystemExit("computed by the composite")

    composite.grid = composite._element = fail
    for dtype in TYPES:
        x = torch.cat([numbers(dtype, 1024), numbers(dtype, 1024).flip(0)], 2)
        every = 5 if dtype == torch.float32 else 30
        for spec in specs()[::every]:
            form = format_of(spec, dtype)
            if form is not None and form.scale is None and form.element["kind"] != "same":
                check(x, spec)
    for spec in ("nearest,8,4", "odd,8,4", "e4m3fn", "posit,16", "stochastic,8,4"):
        check(ties(32), spec)
        check(torch.randn(4, 6, 5).transpose(0, 2), spec)
        check(torch.randn(4, 6, 5)[:, ::2], spec)


if __name__ == "__main__":
    main()
