"""Layers with an intrinsic map see the elements and the scales of what they read apart."""

import itertools
import warnings
from fractions import Fraction

import hands
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import tensorquant as tq
import tensorquant.torch as tqt

INT8 = "int,8,scale=max"
INT8_CHANNELS = "int,8,per=channel,scale=max"
HARDWARE = {one.name: one.arithmetic for one in tq.list_hardware()}


def rounded(exact):
    """The float32 nearest to a fraction, ties to even."""
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), x.view(np.uint32) % 2))


def split(x, axis=None):
    """The elements of int8 as integers, and the scale: of each index of an axis, or of all."""
    x = np.asarray(x.detach() if isinstance(x, torch.Tensor) else x)
    axes = None if axis is None else tuple(d for d in range(x.ndim) if d != axis % x.ndim)
    scale = np.abs(x).max(axes) / np.float32(127)
    shape = [1] * x.ndim
    if axis is not None:
        shape[axis] = -1
    q = x / scale.reshape(shape)
    return (np.sign(q) * np.floor(np.abs(q) + np.float32(0.5))).astype(int), scale


def product(*factors):
    result = Fraction(1)
    for factor in factors:
        result *= Fraction(float(factor))
    return result


def scaled(sums, scale, scales):
    """Exact sums times the data's scale and each output's, the outputs last."""
    sums = np.asarray(sums)
    numbers = zip(sums.reshape(-1), itertools.cycle(scales))
    flat = [rounded(int(s) * product(scale, f)) for s, f in numbers]
    return np.array(flat, np.float32).reshape(sums.shape)


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


class Net(nn.Module):
    """A layer behind a function."""

    def __init__(self, function, layer):
        super().__init__()
        self.function = function
        self.last = layer

    def forward(self, x):
        return self.last(self.function(x))


def quantized(model, hardware="int8_int32", weights=INT8_CHANNELS, extrinsic=INT8, **rules):
    maps = {"weights": weights, "extrinsic": {"=input": extrinsic, **rules}, "intrinsic": hardware}
    return tqt.quantize_model(model, **maps)


def float_weights(model):
    return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("hardware", ["int8_int32", "mx", "hopper_fp8", "deepseek_fp8"])
@pytest.mark.parametrize(
    ("x_format", "w_format"),
    [
        (INT8, INT8_CHANNELS),
        ("int,8,unsigned,scale=range", INT8),
        ("int,8,per=row,scale=max", "int,4,block=7,scale=range"),
        ("mxfp8_e4m3", "mxint8"),
        ("nvfp4", "nvfp4"),
    ],
)
def test_linear_has_the_bits_of_the_matrix_product_of_its_formats(hardware, x_format, w_format):
    x, model = numbers(3, 70), nn.Sequential(nn.Linear(70, 5))
    weight, bias = float_weights(model)
    quantized(model, hardware, w_format, x_format)
    bias = tq.Quantizer(w_format)(bias.numpy(), reduction_axis=0, channel_axis=0)
    wanted = tq.matmul(
        x.numpy(),
        np.ascontiguousarray(weight.numpy().T),
        bias,
        a_format=x_format,
        b_format=w_format,
        **HARDWARE[hardware],
    )
    np.testing.assert_array_equal(model(x).detach().numpy(), wanted)
    with torch.inference_mode():
        np.testing.assert_array_equal(model(x).numpy(), wanted)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_sees_elements(groups):
    x = numbers(2, 4, 5)
    model = nn.Sequential(nn.Conv1d(4, 6, 3, padding=1, groups=groups, bias=False))
    (weight,) = float_weights(model)
    (q, scale), (w, scales) = split(x), split(weight, 0)
    sums = F.conv1d(
        torch.from_numpy(q).double(), torch.from_numpy(w).double(), None, 1, 1, 1, groups
    )
    wanted = scaled(sums.numpy().transpose(0, 2, 1), scale, scales).transpose(0, 2, 1)
    np.testing.assert_array_equal(quantized(model)(x).detach().numpy(), wanted)
    np.testing.assert_array_equal(quantized(model)(x[0]).detach().shape, wanted[0].shape)


def test_a_transposed_convolution_sees_elements():
    x, model = numbers(2, 4, 5), nn.Sequential(nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, bias=False))
    (weight,) = float_weights(model)
    (q, scale), (w, scales) = split(x), split(weight, 1)
    sums = F.conv_transpose1d(
        torch.from_numpy(q).double(), torch.from_numpy(w).double(), None, 2, 1, 1
    )
    wanted = scaled(sums.numpy().transpose(0, 2, 1), scale, scales).transpose(0, 2, 1)
    np.testing.assert_array_equal(quantized(model)(x).detach().numpy(), wanted)


def test_blocks_of_a_convolution_are_segments_of_its_sum():
    x, model = numbers(1, 8, 4), nn.Sequential(nn.Conv1d(8, 2, 2, bias=False))
    (weight,) = float_weights(model)
    spec = "int,8,block=4,scale=max"
    quantized(model, "mx", spec, spec)
    (found,) = model(x).detach().numpy()
    x, weight = x.numpy()[0], weight.numpy()
    for o, p in itertools.product(range(2), range(3)):
        t = np.float32(0)
        for k, block in itertools.product(range(2), (slice(0, 4), slice(4, 8))):
            (q, scale), (w, w_scale) = split(x[block, p + k]), split(weight[o, block, k])
            t = rounded(Fraction(float(t)) + int(q @ w) * product(scale, w_scale))
        assert found[o, p] == t


@pytest.mark.parametrize("pool", [nn.AvgPool1d(3), nn.AdaptiveAvgPool1d(2)])
def test_an_average_sees_elements(pool):
    x = numbers(1, 2, 6)
    q, scale = split(x)
    found = quantized(nn.Sequential(pool))(x).numpy()
    for c, p in itertools.product(range(2), range(2)):
        s = rounded(int(q[0, c, p * 3 : p * 3 + 3].sum()) * product(scale))
        assert found[0, c, p] == rounded(Fraction(float(s)) / 3)


MOVING = {
    "relu": (nn.ReLU(), lambda q: np.maximum(q, 0)),
    "relu in place": (nn.ReLU(inplace=True), lambda q: np.maximum(q, 0)),
    "function relu": (torch.relu, lambda q: np.maximum(q, 0)),
    "method relu": (lambda x: x.relu(), lambda q: np.maximum(q, 0)),
    "max pool": (nn.MaxPool1d(2), lambda q: q.reshape(2, 4, 3, 2).max(-1)),
    "padding": (nn.ZeroPad1d(1), lambda q: np.pad(q, ((0, 0), (0, 0), (1, 1)))),
    "flatten": (nn.Flatten(), lambda q: q.reshape(2, 24)),
    "view": (lambda x: x.view(x.shape[0], -1), lambda q: q.reshape(2, 24)),
    "identity": (nn.Identity(), lambda q: q),
    "dropout": (nn.Dropout(), lambda q: q),
    "permute": (lambda x: x.permute(0, 2, 1), lambda q: q.transpose(0, 2, 1)),
    "mT": (lambda x: x.mT, lambda q: q.transpose(0, 2, 1)),
    "slice": (lambda x: x[:, 1:, ::2], lambda q: q[:, 1:, ::2]),
    "one": (lambda x: x[0], lambda q: q[0]),
    "detached": (lambda x: x.detach().contiguous(), lambda q: q),
    "a chunk": (lambda x: x.chunk(2, 1)[1], lambda q: q[:, 2:]),
    "several": (
        nn.Sequential(nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Dropout()),
        lambda q: np.maximum(q, 0).reshape(2, 4, 3, 2).max(-1).reshape(2, 12),
    ),
}


NOT_COMPILED = ("mT", "a chunk")  # see docs/pytorch.md


@pytest.mark.parametrize("name", MOVING)
def test_what_moves_values_passes_on_scales(name):
    function, on_elements = MOVING[name]
    x = numbers(2, 4, 6)
    (q, scale) = split(x)
    moved = on_elements(q)
    model = Net(function, nn.Linear(moved.shape[-1], 3, bias=False)).eval()
    (weight,) = float_weights(model)
    w, scales = split(weight, 0)
    wanted = scaled(moved @ w.T, scale, scales)
    quantized(model)
    np.testing.assert_array_equal(model(x.clone()).detach().numpy(), wanted)
    with torch.inference_mode():
        np.testing.assert_array_equal(model(x.clone()).numpy(), wanted)
    if name in NOT_COMPILED:
        return
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        np.testing.assert_array_equal(compiled(x.clone()).numpy(), wanted)


def test_scales_of_channels_are_passed_on():
    """To a linear layer, whose numbers of one channel lie side by side, and are a segment."""
    x = numbers(2, 3, 4)
    model = Net(lambda x: F.max_pool1d(F.pad(x, (1, 1)), 2).flatten(1), nn.Linear(9, 2, bias=False))
    (weight,) = float_weights(model)
    (q, scales), (w, scale) = split(x, 1), split(weight)
    q = np.pad(q, ((0, 0), (0, 0), (1, 1))).reshape(2, 3, 3, 2).max(-1)
    found = quantized(model, "mx", INT8, INT8_CHANNELS)(x).detach().numpy()
    for n, o in itertools.product(range(2), range(2)):
        t = np.float32(0)
        for c in range(3):
            s = int(q[n, c] @ w[o, 3 * c : 3 * c + 3])
            t = rounded(Fraction(float(t)) + s * product(scales[c], scale))
        assert found[n, o] == t


def test_the_scales_of_a_hidden_layer_are_seen():
    x = numbers(3, 8)
    model = nn.Sequential(nn.Linear(8, 6, bias=False), nn.ReLU(), nn.Linear(6, 4, bias=False))
    first, second = float_weights(model)
    hidden = tq.matmul(
        x.numpy(),
        np.ascontiguousarray(first.numpy().T),
        a_format=INT8,
        b_format=INT8_CHANNELS,
        **HARDWARE["int8_int32"],
    )
    (q, scale), (w, scales) = split(hidden), split(second, 0)
    wanted = scaled(np.maximum(q, 0) @ w.T, scale, scales)
    quantized(model, **{"=0": INT8})
    np.testing.assert_array_equal(model(x).detach().numpy(), wanted)


class Product(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Identity()

    def forward(self, x):
        x = self.first(x)
        return x @ x.mT


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
def test_a_matrix_product_sees_elements_of_both_factors(shape):
    x = numbers(*shape)
    q, scale = split(x)
    model = tqt.quantize_model(
        Product(), extrinsic={"=input": INT8}, intrinsic={"=matmul": "int8_int32"}
    )
    found = model(x).numpy()
    sums = q @ np.swapaxes(q, -1, -2)
    wanted = [rounded(int(s) * product(scale, scale)) for s in sums.reshape(-1)]
    np.testing.assert_array_equal(found.reshape(-1), np.array(wanted, np.float32))


def test_a_sum_has_no_scales():
    """Its numbers are its elements."""
    x = torch.tensor([[1.0, 2.0, 127.0]])
    model = Net(lambda x: x + x, nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        model.last.weight.fill_(1)
    quantized(model, weights="none")
    assert model(x).item() == 260


def test_blocks_without_the_order_tap_are_refused_when_maps_are_applied():
    model = nn.Sequential(nn.Conv1d(8, 2, 3))
    with pytest.raises(tq.Error, match=r"'0' \(Conv1d\).*the order \"tap\""):
        tqt.quantize_model(model, weights="mxfp8_e4m3", intrinsic="int8_int32")
    tqt.quantize_model(model, weights="mxfp8_e4m3", intrinsic="mx")


def test_groups_that_a_function_mixed_are_refused():
    x = numbers(1, 8, 4)
    model = quantized(
        Net(nn.Flatten(), nn.Linear(32, 2)), "mx", "mxint8", "int,8,block=4,scale=max"
    )
    with pytest.raises(tq.Error, match="'last'.*'flatten' made of a tensor with scales"):
        model(x)


def test_numbers_that_nobody_saw_change_are_refused():
    def change(x):
        x.numpy()[...] *= 1.25
        return x

    model = quantized(Net(change, nn.Linear(4, 2)))
    with pytest.raises(tq.Error, match="'last'.*the input's numbers are not elements"):
        model(numbers(2, 4))


class Sum(nn.Module):
    def __init__(self, add):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)
        self.add = add

    def forward(self, x):
        return self.last(self.add(self.first(x), x))


IN_PLACE = {
    "a scaled tensor": (lambda y, x: y.add_(x), lambda y, x: y + x),
    "a plain tensor": (lambda y, x: torch.zeros_like(x).add_(y), lambda y, x: 0 + y),
    "an output": (
        lambda y, x: torch.mul(y, 1.7, out=torch.empty_like(y)),
        lambda y, x: torch.mul(y, 1.7),
    ),
    "negated": (lambda y, x: y.neg_(), lambda y, x: y.neg()),
}


@pytest.mark.parametrize("rules", [{}, {"add": INT8, "mul": INT8}], ids=["float", "quantized"])
@pytest.mark.parametrize("name", IN_PLACE)
def test_functions_in_place_leave_the_scales_that_the_others_give(name, rules):
    x = numbers(3, 4)
    results = []
    for function in IN_PLACE[name]:
        torch.manual_seed(1)
        model = quantized(Sum(function), first=INT8, **rules)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", tqt.IdleRuleWarning)
            results.append(model(x.clone()))
    assert hands.same_bits(*results)


@pytest.mark.parametrize(
    "function",
    [
        nn.ReLU6(),
        nn.Hardtanh(),
        lambda x: F.pad(x, (0, 1), value=1.0)[:, 1:],
        lambda x: x.clamp(-1, 1),
        lambda x: x.clamp_(-1, 1),
    ],
    ids=["relu6", "hardtanh", "pad", "clamp", "clamp_"],
)
def test_numbers_that_are_no_elements_are_told_of(function):
    model = quantized(Net(function, nn.Linear(4, 2)))
    with pytest.raises(tq.Error, match="'last'.* made of a tensor with scales"):
        model(numbers(2, 4))


def test_what_dropout_leaves_in_training_has_no_scales():
    model = Net(nn.Dropout(0.5), nn.Linear(64, 1, bias=False))
    with torch.no_grad():
        model.last.weight.fill_(1)
    quantized(model, weights="none", hardware={"": {"product": "none", "accumulator": "none"}})
    x = numbers(1, 64)
    torch.manual_seed(3)
    found = model(x)
    torch.manual_seed(3)
    q, scale = split(x)
    kept = F.dropout(torch.from_numpy((q * scale).astype(np.float32)), 0.5)
    total = np.float32(0)
    for one in kept.reshape(-1).numpy():
        total = np.float32(total + one)
    assert found.item() == total


def test_transforms_of_functions_run_where_tensors_have_scales():
    model = nn.Sequential(nn.Identity(), nn.ReLU())
    with pytest.warns(tqt.IdleRuleWarning):
        tqt.quantize_model(model, extrinsic={"=0": INT8}, intrinsic={"=9": "int8_int32"})
    x = numbers(3, 4)
    batched = torch.func.vmap(lambda one: model(one.unsqueeze(0)).squeeze(0))(x)
    assert hands.same_bits(batched, torch.cat([model(one.unsqueeze(0)) for one in x]))


def test_a_compiled_model_trains_through_rounded_arithmetic():
    x = numbers(3, 4)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    quantized(model, **{"=0": INT8})
    wanted = model(x), hands.gradients(model, x)
    compiled = torch.compile(model, backend="aot_eager")
    assert hands.same_bits(compiled(x), wanted[0])
    assert hands.same_bits(hands.gradients(compiled, x), wanted[1])


def test_outputs_with_scales_can_be_saved(tmp_path):
    model = quantized(nn.Sequential(nn.Linear(4, 2)), **{"=0": INT8})
    with torch.no_grad():
        y = model(numbers(3, 4))
    torch.save(y, tmp_path / "y.pt")
    assert hands.same_bits(torch.load(tmp_path / "y.pt"), y)


def test_gradients_are_those_of_values():
    x = numbers(4, 6)
    gradients = []
    for intrinsic in ("int8_int32", None):
        model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        with torch.no_grad():
            for seed, parameter in enumerate(model.parameters()):
                parameter.copy_(numbers(*parameter.shape, seed=seed))
        maps = {"weights": INT8, "extrinsic": {"=input": INT8}}
        tqt.quantize_model(model, **maps, intrinsic={"=2": intrinsic})
        gradients.append(hands.gradients(model, x))
    assert hands.same_bits(*gradients)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_sees_the_same_elements(reentrant):
    x = numbers(4, 6)

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(6, 6)
            self.inside = nn.Sequential(nn.ReLU(), nn.Linear(6, 5), nn.Linear(5, 3))
            self.uses = True

        def forward(self, x):
            x = self.first(x)
            if not self.uses:
                return self.inside(x)
            return checkpoint(self.inside, x, use_reentrant=reentrant)

    model = quantized(Checkpointed(), first=INT8)
    with_checkpoint = model(x), hands.gradients(model, x)
    model.uses = False
    assert hands.same_bits(with_checkpoint[0], model(x))
    assert hands.same_bits(with_checkpoint[1], hands.gradients(model, x))


def test_models_with_scales_train_and_export():
    model = nn.Sequential(nn.Conv1d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    quantized(model, extrinsic=INT8, **{"": INT8})
    x, y = numbers(8, 4, 6), numbers(8, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    losses = []
    for _ in range(4):
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    exported = torch.export.export(model.eval(), (x,)).module()
    assert hands.same_bits(exported(x), model(x))


def test_half_precision_has_no_scales_of_its_own():
    """Its numbers are its elements, as they are of tensors that nothing with scales made."""
    model = Net(nn.Identity(), nn.Linear(3, 1, bias=False)).bfloat16()
    with torch.no_grad():
        model.last.weight.fill_(1)
    quantized(model, weights="none")
    assert model(torch.tensor([[1.0, 2.0, 127.0]], dtype=torch.bfloat16)).item() == 130
