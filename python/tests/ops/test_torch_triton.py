"""Triton's kernels without a GPU: interpreted, and compiled to the code of one."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

FLOATS = re.compile(r"\b(fma|add|sub|mul|div|cvt|setp|min|max)\S*\.(f16|bf16|f32|f64)\b|\.ftz\b")


def test_interpreted_kernels_have_the_bits_of_the_cpu():
    script = pathlib.Path(__file__).with_name("interpreted_triton.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, script], env=environment, check=True, timeout=900)


def assembly(kernel, numbers, choices, dtype) -> str:
    """What a kernel becomes for a GPU of NVIDIA's: without one, and without its tools."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    pointer = f"*i{torch.iinfo(dtype).bits}"
    types = [pointer, pointer] + ["i64" if abs(n) >= 2**31 else "i32" for n in numbers]
    names = kernel.arg_names
    signature = dict(zip(names, types))
    constants = dict(zip(names[len(types) :], choices))
    signature |= dict.fromkeys(constants, "constexpr")
    places = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel, signature, places)
    return compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]


@pytest.mark.parametrize(
    "spec, dtype",
    [
        ("nearest,8,4", torch.float32),
        ("even,8,4,overflow=sign_magnitude", torch.float32),
        ("stochastic,8,4", torch.float32),
        ("e4m3fn", torch.float64),
        ("float,8,3,bias=140,rounding=odd", torch.float16),
        ("posit,16", torch.bfloat16),
        ("sparse,0.5", torch.float32),
    ],
)
def test_kernels_compute_no_floats(spec, dtype):
    """So nothing is fused, flushed or made another NaN."""
    from tensorquant.ops.torch import composite, triton
    from tensorquant.ops.torch.formats import TYPES, format_of

    element = format_of(spec, dtype).element
    its = TYPES[dtype]
    number = TYPES[torch.float32] if its.is_half else its
    half = (its.mantissa, its.bias) if its.is_half else None
    last = half, dtype == torch.float64 or element.get("wrap", 0) != 0, 1024
    of_number = number.mantissa, number.bias, number.sign
    kernel, numbers, choices = {
        "grid": lambda: (
            triton._grid_kernel,
            [5, 0, 7, 0, *composite.grid_numbers(element)],
            [*of_number, *composite.grid_choices(element, number)],
        ),
        "posit": lambda: (
            triton._posit_kernel,
            [element[name] for name in composite.POSIT_NUMBERS],
            of_number,
        ),
        "sparse": lambda: (triton._sparse_kernel, [element["threshold"]], [number.sign]),
    }[element["kind"]]()
    text = assembly(kernel, [1000, *numbers], [*choices, *last], its.bits)
    assert "st.global" in text
    assert FLOATS.search(text) is None, FLOATS.search(text).group()
