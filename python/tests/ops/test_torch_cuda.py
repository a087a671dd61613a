"""The ops on a GPU have the bits of the CPU."""

import copy

import pytest
import torch
from numbers_at_borders import bits, finite
from numbers_at_borders import numbers as at_borders
from specs import axes_of, specs

import tensorquant.torch as tqt
from tensorquant.ops import torch as ops
from tensorquant.ops.torch import composite
from tensorquant.ops.torch.formats import TYPES, format_of
from tensorquant.ops.torch.library import inside_op, quantize_op, traits

if not torch.cuda.is_available():
    pytest.skip("no GPU that PyTorch finds", allow_module_level=True)

GPU = torch.device("cuda")
CONTEXT = 2**63 + 5 - 2**64, 7, torch.tensor(3)  # seed, stream, step
EXHAUSTIVE = [
    *("nearest,8,4", "even,16,8,overflow=wrap", "up,32,31", "odd,32,64,unsigned"),
    *("nearest_down,25,0,overflow=symmetric", "down,16,8,overflow=sign_magnitude", "fp16", "bf16"),
    *("e4m3fn", "float,5,2,rounding=up", "float,8,3,bias=140", "p3109,8,1", "p3109,8,3"),
    *("posit,8", "posit,16", "posit,32", "logarithmic", "logarithmic,exponent,fraction=8"),
    *("sparse,0.5", "apot,5", "binary,0.3", "ternary,1,0.3", "stochastic,16,8"),
    *("float,4,3,random_bits=8,rounding=stochastic", "int,8,unsigned,scale=0.0123,zero=7"),
]


def assert_same_bits(found, wanted, what=None):
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    a, b = (bits(t.detach().cpu()) for t in (found, wanted))
    assert torch.equal(a, b), f"{what}: {int((a != b).sum())} elements differ"


PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_string_has_the_bits_of_the_cpu(dtype, part):
    for is_finite in (False, True):
        x = at_borders(dtype)
        x = finite(x) if is_finite else x
        on_gpu = x.to(GPU)
        for spec in specs()[part::PARTS]:
            if is_finite and traits(spec).is_elementwise:
                continue
            axes = axes_of(spec)
            wanted = quantize_op(x, spec, *CONTEXT, axes)
            assert_same_bits(quantize_op(on_gpu, spec, *CONTEXT, axes), wanted, spec)


def test_the_composite_has_the_bits_of_the_cpu_on_a_gpu():
    x = at_borders(torch.float32)
    on_gpu = x.to(GPU)
    for spec in specs():
        if format_of(spec, x.dtype) is not None:
            axes = axes_of(spec)
            wanted = quantize_op(x, spec, *CONTEXT, axes)
            assert_same_bits(composite.quantize(on_gpu, spec, *CONTEXT, axes), wanted, spec)


@pytest.mark.parametrize("spec", EXHAUSTIVE)
def test_all_numbers_of_float32_have_the_bits_of_the_cpu(spec):
    chunk = 2**26
    for begin in range(-(2**31), 2**31, chunk):
        found, wanted = (
            ops.quantize((numbers + begin).view(torch.float32), spec)
            for numbers in (torch.arange(chunk, dtype=torch.int32, device=d) for d in (GPU, "cpu"))
        )
        differ = found.view(torch.int32) != wanted.to(GPU).view(torch.int32)
        assert not differ.any(), f"{int(differ.sum())} differ from {begin:#x} on"


def test_clipped_gradients_are_those_of_the_cpu():
    x = at_borders(torch.float32)
    dy = torch.arange(x.numel(), dtype=torch.float32).reshape(x.shape)
    for spec in specs():
        spec = f"{spec},grad=clipped"
        axes = axes_of(spec)
        assert_same_bits(inside_op(x.to(GPU), spec, axes), inside_op(x, spec, axes), spec)
    leaf = x.to(GPU).requires_grad_()
    ops.quantize(leaf, "nearest,8,4,grad=clipped").backward(dy.to(GPU))
    inside = (x >= -8) & (x <= 7.9375)
    assert_same_bits(leaf.grad, torch.where(inside, dy, 0))


def test_in_place_and_in_memory_given_up_the_bits_are_the_same():
    x = torch.randn(1000)
    box = [x.to(GPU)]
    assert_same_bits(ops.quantize_last(box, "nearest,8,4"), ops.quantize(x, "nearest,8,4"))
    y = x.to(GPU)
    torch.ops.tensorquant.quantize_(y, "nearest,8,4", 0, 0, None, (1, 0, 1, 0))
    assert_same_bits(y, ops.quantize(x, "nearest,8,4"))


@pytest.mark.parametrize("spec", ["nearest,8,4", "stochastic,8,4", "mxfp4", "nf4"])
def test_strides_change_no_bit(spec):
    x = torch.randn(4, 6, 8, 10)
    options = {"reduction_axis": 1}
    wanted = ops.quantize(x, spec, **options)
    g = x.to(GPU)
    for same in (
        g.contiguous(memory_format=torch.channels_last),
        g.transpose(0, 2).contiguous().transpose(0, 2),
        torch.stack([g, g], -1)[..., 0],
    ):
        found = ops.quantize(same, spec, **options)
        assert_same_bits(found, wanted)
        assert found.stride() == torch.empty_like(same).stride()


@pytest.mark.parametrize("spec", ["nearest,8,4,grad=clipped", "stochastic,8,4", "mxfp4"])
def test_compiled_functions_have_the_same_bits(spec):
    def function(x, step):
        return ops.quantize(x * 2, spec, step=step, reduction_axis=-1) + 1

    x, step = torch.randn(64, 96), torch.tensor(3)
    wanted = function(x, step)
    torch.compiler.reset()
    assert_same_bits(torch.compile(function, fullgraph=True)(x.to(GPU), step), wanted)


class Block(torch.nn.Module):
    """Of a ResNet."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(channels)
        self.conv2 = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(channels)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + x)


def models():
    torch.manual_seed(0)
    resnet = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), Block(8), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 10)
    )
    encoder = torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    return [(resnet, torch.randn(2, 3, 8, 8)), (encoder, torch.randn(2, 5, 32))]


@pytest.mark.parametrize("weights", ["e4m3fn", "nearest,8,6", "int,8,scale=max", "ternary"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_quantized_model_is_the_float_model_at_the_cpus_weights(which, weights):
    model, x = models()[which]
    extrinsic = "nearest,16,8"
    on_gpu = tqt.quantize_model(copy.deepcopy(model).to(GPU), weights=weights, extrinsic=extrinsic)
    by_hand = tqt.quantize_model(copy.deepcopy(model).to(GPU), extrinsic=extrinsic)
    with torch.no_grad():
        for parameter in by_hand.parameters():
            parameter.copy_(ops.quantize(parameter.cpu(), weights))
    for mode in (True, False):
        y = on_gpu.train(mode)(x.to(GPU))
        assert_same_bits(y, by_hand.train(mode)(x.to(GPU)))
        assert_same_bits(y, ops.quantize(y.detach().cpu(), extrinsic))
    on_gpu.train()(x.to(GPU)).sum().backward()
    assert all(parameter.grad is not None for parameter in on_gpu.parameters())


def test_rounded_arithmetic_has_the_bits_of_the_cpu():
    torch.manual_seed(1)
    model, x = torch.nn.Sequential(torch.nn.Linear(20, 7)), torch.randn(5, 20)
    wanted = tqt.quantize_model(copy.deepcopy(model), intrinsic="nearest,16,8")(x)
    found = tqt.quantize_model(model.to(GPU), intrinsic="nearest,16,8")(x.to(GPU))
    assert_same_bits(found, wanted)
    found.sum().backward()
