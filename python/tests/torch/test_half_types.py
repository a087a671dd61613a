"""Models in float16 and bfloat16: quantized in float32, and rounded back to the type, ties to even."""

import warnings

import hands
import models
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.torch as tqt

# The second of SPECS does not fit.
pytestmark = pytest.mark.filterwarnings("ignore:.*has values that")

TYPES = [torch.float16, torch.bfloat16]
SPECS = ["nearest,8,4", "nearest,16,12", "int,4,scale=max"]  # the second has more bits than either


def in_type(name, dtype):
    model, x = models.make(name)
    return model.to(dtype), x.to(dtype) if x.is_floating_point() else x


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", models.MODELS)
def test_weights_give_bits_and_gradients_of_a_copy_quantized_by_hand(name, dtype, spec):
    model, x = in_type(name, dtype)
    by_hand = hands.quantized_copy(model, spec)
    tqt.quantize_model(model, weights=spec)
    found = hands.gradients(model, x)
    assert hands.same_bits(hands.run(model, x), hands.run(by_hand, x))
    assert hands.same_bits(found, hands.gradients(by_hand, x))
    assert {gradient.dtype for gradient in found} == {dtype}


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", TYPES)
def test_outputs_and_operations_are_rounded_back_to_the_type(dtype, spec):
    model, x = in_type("resnet", dtype)
    floats = {}
    with torch.no_grad(), tqt.observe(model, lambda name, y: floats.setdefault(name, y.clone())):
        model(x)
    tqt.quantize_model(model, extrinsic={"=conv1": spec, "=layer1.0.add": spec})
    seen = {}
    with torch.no_grad(), tqt.observe(model, lambda name, y: seen.setdefault(name, y.clone())):
        model(x)
    assert seen["conv1"].dtype == dtype
    assert hands.same_bits(seen["conv1"], hands.quantized(floats["conv1"], spec))
    assert seen["layer1.0.add"].dtype == dtype
    if spec == "nearest,8,4":
        y = seen["layer1.0.add"]
        assert hands.same_bits(y, hands.quantized(y, spec))


@pytest.mark.parametrize("dtype", TYPES)
def test_random_rounding_has_the_numbers_of_float32(dtype):
    layer, x = nn.Linear(4, 3).to(dtype), torch.randn(5, 4).to(dtype)
    spec = "stochastic,8,4"
    y = layer(x)
    tqt.quantize_model(layer, extrinsic=spec, seed=7)
    stream = tq.stream_of("", "output")
    for step in range(2):
        wanted = hands.quantized(y, spec, seed=7, stream=stream, step=step)
        assert hands.same_bits(layer(x), wanted)


@pytest.mark.parametrize("dtype", TYPES)
def test_rounded_arithmetic_gives_the_type_of_its_input(dtype):
    layer, x = nn.Linear(4, 3).to(dtype), torch.randn(5, 4).to(dtype)
    spec = "nearest,12,6"
    wanted = tq.matmul(
        x.float().numpy(),
        layer.weight.detach().float().t().contiguous().numpy(),
        product=spec,
        accumulator=spec,
        bias=layer.bias.detach().float().numpy(),
    )
    tqt.quantize_model(layer, intrinsic=spec)
    y = layer(x)
    assert hands.same_bits(y, torch.from_numpy(wanted).to(dtype))
    y.sum().backward()
    assert layer.weight.grad.dtype == dtype


MISFIT = r"'{}': quantizer '{}' has values that {} has not; results are rounded to {}$"
# By place: maps with a format of 16 bits behind the point, and one that fits.
MAPS = {
    "0": lambda spec: {"weights": {"": spec}},
    "2": lambda spec: {"extrinsic": {"=2": spec}},
    "1": lambda spec: {"extrinsic": {"=1": spec}},
    "input": lambda spec: {"extrinsic": {"input": spec}},
    "=add": lambda spec: {"extrinsic": {"=add": spec}},
    "0.": lambda spec: {"gradients": {"=0": {"error": spec}}},
}


def half_model(dtype):
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).to(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("place", MAPS)
def test_a_format_that_does_not_fit_the_models_type_is_told_of_once(dtype, place):
    kind = str(dtype).removeprefix("torch.")
    text = MISFIT.format(place.rstrip("."), "nearest,16,12", kind, kind)
    with pytest.warns(UserWarning, match=text) as caught:
        tqt.quantize_model(half_model(dtype), **MAPS[place]("nearest,16,12"))
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tqt.quantize_model(half_model(dtype), **MAPS[place]("nearest,8,4"))
        tqt.quantize_model(half_model(torch.float32), **MAPS[place]("nearest,16,12"))


def test_a_part_in_a_half_type_is_told_of_by_its_own_parameters():
    model = half_model(torch.float32)
    model[2].bfloat16()
    with pytest.warns(UserWarning, match=MISFIT.format("2", "fp16", "bfloat16", "bfloat16")):
        tqt.quantize_model(model, weights={"": "fp16"}, extrinsic={"": "fp16"})


@pytest.mark.parametrize("role", ["state", "update"])
def test_an_optimizer_is_told_of_formats_that_do_not_fit_its_parameters(role):
    model = half_model(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    text = MISFIT.format("0.weight", "fp16", "bfloat16", "bfloat16")
    with pytest.warns(UserWarning, match=text) as caught:
        tqt.quantize_optimizer(optimizer, model, {"": {role: "fp16"}})
    assert len(caught) == 1 and caught[0].filename == __file__
