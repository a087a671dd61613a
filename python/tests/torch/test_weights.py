"""Quantized parameters: what a float model gives whose parameters somebody quantized by hand."""

import copy

import hands
import models
import pytest
import torch
from layer_cases import LAYERS

import tensorquant as tq
import tensorquant.torch as tqt

WEIGHT, BIAS = "nearest,8,4", "nearest,8,5"
MAP = {"": {"weight": WEIGHT, "bias": BIAS}}


def layer(name):
    make, inputs = LAYERS[name]
    inputs = inputs()
    model = make()
    if name.startswith("Lazy"):
        model(*inputs)
    models.leave_the_grid(model)
    return model, inputs


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("name", models.MODELS)
def test_a_model_gives_bits_and_gradients_of_one_quantized_by_hand(name, training):
    model, x = models.make(name)
    by_hand = hands.quantized_copy(model, WEIGHT, BIAS)
    tqt.quantize_model(model, weights=MAP)
    model.train(training), by_hand.train(training)
    assert hands.same_bits(hands.run(model, x), hands.run(by_hand, x))
    assert hands.same_bits(hands.gradients(model, x), hands.gradients(by_hand, x))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", models.MODELS)
def test_a_model_gives_the_same_bits_without_gradients(name, mode):
    model, x = models.make(name)
    by_hand = hands.quantized_copy(model, WEIGHT, BIAS).eval()
    tqt.quantize_model(model.eval(), weights=MAP)
    with mode():
        assert hands.same_bits(model(x), by_hand(x))


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_of_torch_gives_bits_and_gradients_of_one_quantized_by_hand(name):
    model, inputs = layer(name)
    by_hand = hands.quantized_copy(model, WEIGHT, BIAS)
    before = hands.run(copy.deepcopy(model), *inputs)
    tqt.quantize_model(model, weights=MAP)
    found = hands.run(model, *inputs)
    assert hands.same_bits(found, hands.run(by_hand, *inputs))
    assert hands.same_bits(hands.gradients(model, *inputs), hands.gradients(by_hand, *inputs))
    assert not hands.same_bits(found, before)


def test_lazy_layers_may_be_quantized_before_they_have_parameters():
    model = torch.nn.Sequential(torch.nn.LazyConv2d(3, 2), torch.nn.LazyBatchNorm2d())
    x = torch.randn(2, 4, 5, 5)
    tqt.quantize_model(model, weights=WEIGHT)
    model(x)
    assert isinstance(model[0], torch.nn.Conv2d) and model[0].weight.shape == (3, 4, 2, 2)
    by_hand = hands.quantized_copy(tqt.strip(copy.deepcopy(model)), WEIGHT)
    assert type(by_hand[0]) is torch.nn.Conv2d
    assert hands.same_bits(model(x), by_hand(x))


def test_a_parameter_of_a_container_has_a_name_of_its_own():
    model, x = models.make("experts")
    by_hand = copy.deepcopy(model)
    keys = {"=up": "nearest,8,4", "=scales.1": "nearest,8,3", "=shift.bias": "nearest,8,2"}
    tqt.quantize_model(model, weights=keys)
    with torch.no_grad():
        for key, spec in keys.items():
            parameter = by_hand.get_parameter(key[1:])
            parameter.copy_(hands.quantized(parameter, spec))
    assert hands.same_bits(model(x), by_hand(x))


def test_an_effective_weight_is_quantized_and_not_what_it_is_made_of():
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 3))
    model, x = torch.nn.Sequential(layer), torch.randn(2, 4)
    weight = layer.weight.detach().clone()
    tqt.quantize_model(model, weights={"=0": {"weight": WEIGHT}})
    wanted = torch.nn.functional.linear(x, hands.quantized(weight, WEIGHT), layer.bias)
    assert hands.same_bits(model(x), wanted)
    assert torch.equal(layer.weight, weight)
    model(x).sum().backward()
    assert layer.parametrizations.weight.original0.grad is not None


def test_outside_of_a_forward_parameters_are_as_they_were():
    model, x = models.make("resnet")
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    tqt.quantize_model(model, weights=WEIGHT)
    model(x).sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert isinstance(model.get_parameter(name), torch.nn.Parameter)


def test_a_forward_of_a_part_is_quantized_too():
    model, _ = models.make("resnet")
    by_hand = hands.quantized_copy(model, WEIGHT)
    tqt.quantize_model(model, weights=WEIGHT)
    x = torch.randn(2, 8, 4, 4)
    assert hands.same_bits(model.layer1[0](x), by_hand.layer1[0](x))


def test_a_layer_that_is_parametrized_afterwards_says_so():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3))
    tqt.quantize_model(model, weights={"": {"weight": WEIGHT}})
    torch.nn.utils.parametrizations.weight_norm(model[0])
    with pytest.raises(tq.Error, match=r"layer '0' .*'weight' is no parameter of it any more"):
        model(torch.ones(1, 3))
    tqt.quantize_model(model, weights={"": {"weight": WEIGHT}})
    model(torch.ones(1, 3))
