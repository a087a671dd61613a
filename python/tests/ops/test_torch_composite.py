"""The formulas of other devices, forced on tensors of the CPU, have the bits of its kernels."""

import golden
import pytest
import torch
from numbers_at_borders import bits, finite, numbers, ties
from specs import axes_of, specs

from tensorquant.ops.torch import composite, devices
from tensorquant.ops.torch import quantize as quantize_on_cpu
from tensorquant.ops.torch.formats import TYPES, format_of
from tensorquant.ops.torch.library import inside_op, quantize_op, traits

CONTEXT = 2**63 + 5 - 2**64, 7, torch.tensor(3)  # seed, stream, step
SHORT = 32  # every 32nd top half: a minute instead of half an hour

# Sums in the core's own order.
ON_THE_CPU = {"binary,scale=mean", "binary,block=9,scale=mean", "ternary", "ternary,0.1"} | {
    "ternary,scale=mean",
    "ternary,block=40,scale=mean",
}


def assert_same(found, wanted, what):
    assert (found.dtype, found.shape, found.stride()) == (
        wanted.dtype,
        wanted.shape,
        wanted.stride(),
    )
    differ = bits(found) != bits(wanted)
    assert not differ.any(), f"{what}: {int(differ.sum())} of {differ.numel()} differ"


def test_every_format_but_sums_has_a_formula():
    without = {spec for spec in specs() if format_of(spec, torch.float32) is None}
    assert without == ON_THE_CPU


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_results_are_the_kernels(dtype):
    x = numbers(dtype, SHORT)
    tensors = [x, ties(8)] if dtype == torch.float32 else [x]
    for spec in specs():
        if format_of(spec, dtype) is None:
            continue
        for t in tensors:
            t = t if traits(spec).is_elementwise else finite(t)
            context = (spec, *CONTEXT, axes_of(spec))
            assert_same(composite.quantize(t, *context), quantize_op(t, *context), spec)


@pytest.mark.parametrize("size", [1e-42, 1e-38, 1e-3, 1, 1e30, 3e37])
def test_scales_of_any_size_are_the_kernels(size):
    x = torch.randn(8, 40, 3, generator=torch.Generator().manual_seed(4)) * size
    x[0], x[1, :, 0], x[2, 3, 1], x[3, 5, 2], x[4, 0, 0] = 0, -0.0, torch.nan, torch.inf, size * 9
    for spec in specs():
        form = format_of(spec, x.dtype)
        if form is None or form.scale is None:
            continue
        for t in (x, finite(x)):
            context = (spec, *CONTEXT, axes_of(spec))
            assert_same(composite.quantize(t, *context), quantize_op(t, *context), spec)


def test_clipped_gradients_pass_where_the_kernels_let_them():
    x = torch.cat([numbers(torch.float32, 64).reshape(-1), torch.randn(2**12)]).reshape(16, -1, 8)
    for spec in specs():
        if format_of(spec, x.dtype) is None:
            continue
        clipped, axes = f"{spec},grad=clipped", axes_of(spec)
        for t in (x, finite(x), finite(x).sign() * 0.5):
            assert torch.equal(composite.inside(t, clipped, axes), inside_op(t, clipped, axes)), (
                spec
            )


def composite_of(x, entry, axes=(1, 0, 1, 0)):
    context = golden.context_of(entry)
    step = torch.tensor(context["step"])
    context = entry["quantizer"], context["seed"], context["stream"], step, axes
    return composite.quantize(torch.from_numpy(x), *context)


def test_golden_vectors_have_their_bits():
    for entry in golden.quantizer_vectors():
        dtype = getattr(torch, entry["type"])
        if "output" in entry and format_of(entry["quantizer"], dtype) is not None:
            x, wanted = (golden.read(entry[name], entry["type"]) for name in ("input", "output"))
            assert_same(composite_of(x, entry), torch.from_numpy(wanted), entry["quantizer"])


def test_golden_vectors_of_formats_have_their_bits():
    for entry in golden.format_vectors():
        if format_of(entry["quantizer"], torch.float32) is not None:
            x, wanted = (golden.read_format(entry, name) for name in ("input", "output"))
            axes = (entry.get(f"{name}_axis") for name in ("channel", "reduction"))
            axes = [n for axis in axes for n in ((1, 0) if axis is None else (axis, axis + 1))]
            assert_same(composite_of(x, entry, axes), torch.from_numpy(wanted), entry["quantizer"])


def test_subnormal_numbers_survive_where_the_processor_flushes_them():
    x = ties(8)
    specs_of_subnormals = ("up,8,64", "float,8,3,bias=140", "bf16", "logarithmic", "sparse,1e-40")
    wanted = [quantize_on_cpu(x, spec) for spec in specs_of_subnormals]
    assert torch.set_flush_denormal(True)
    try:
        found = [
            composite.quantize(x, spec, *CONTEXT, (1, 0, 1, 0)) for spec in specs_of_subnormals
        ]
    finally:
        torch.set_flush_denormal(False)
    for spec, a, b in zip(specs_of_subnormals, found, wanted):
        assert_same(a, b, spec)


@pytest.mark.parametrize("spec", ["nearest,8,4", "stochastic,8,4", "mxfp4", "nf4"])
def test_strides_change_no_bit(spec):
    x = torch.randn(4, 6, 8, 10)
    for t in (x, x.contiguous(memory_format=torch.channels_last), x[:, ::2], x.transpose(0, 1)):
        context = (spec, *CONTEXT, (1, 0, 1, 2))
        assert_same(composite.quantize(t, *context), quantize_op(t, *context), spec)


def test_the_cpu_keeps_its_kernels_and_shapes_need_no_numbers(monkeypatch):
    def fail(*_):
        raise AssertionError("not on the CPU")

    monkeypatch.setattr(composite, "quantize", fail)
    quantize_on_cpu(torch.ones(3), "nearest,8,4")
    y = quantize_on_cpu(torch.ones(3, 2, device="meta"), "nearest,8,4")
    assert (y.device.type, y.shape) == ("meta", (3, 2))


def test_what_has_no_formula_is_computed_on_the_cpu():
    x = torch.randn(30, 20).t()
    context = ("ternary", 0, 0, None, (1, 0, 1, 0))
    assert_same(devices.quantize(x, *context), quantize_op(x, *context), "ternary")
    assert devices.inside(x, "ternary,grad=clipped", context[-1]).all() == (x.abs() <= 1).all()
    empty = torch.empty(0, 3)
    assert_same(devices.quantize(empty, "mxfp4", *context[1:]), empty, "empty")
