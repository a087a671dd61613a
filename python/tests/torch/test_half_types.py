"""Models in float16 and bfloat16: quantized in float32, and rounded back to the type, ties to even."""

import hands
import models
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.torch as tqt

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
