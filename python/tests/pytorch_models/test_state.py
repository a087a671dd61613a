"""What stays as it was: classes, keys, parameters, and the model itself where something is wrong."""

import copy
import io
import pickle

import cases
import hands
import pytest
import torch
from torch.nn.utils import parametrize

import tensorquant as tq
import tensorquant.torch as tqt

MAPS = {"weights": "nearest,8,6", "extrinsic": "nearest,12,6"}


def classes(model):
    return {name: type(module) for name, module in model.named_modules()}


def attributes(model):
    return {name: set(vars(module)) for name, module in model.named_modules()}


@pytest.mark.parametrize("name", cases.every())
def test_state_dict_is_the_float_models_and_strip_gives_the_classes_back(name):
    model, inputs = cases.make(name)
    model.eval()
    other = copy.deepcopy(model)
    hands.run(model, **inputs)  # some change themselves in the first forward
    before = classes(model), attributes(model), repr(model)
    parameters = list(model.parameters())
    wanted = hands.run(model, **inputs)

    tqt.quantize_model(model, **MAPS)
    found = hands.run(model, **inputs)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    state = model.state_dict()
    assert list(state) == list(other.state_dict())
    other.load_state_dict(state)
    model.load_state_dict(other.state_dict())
    assert hands.same_bits(hands.run(model, **inputs), found)

    tqt.strip(model)
    assert (classes(model), attributes(model), repr(model)) == before
    assert hands.same_bits(hands.run(model, **inputs), wanted)


@pytest.mark.parametrize("name", cases.every())
def test_copies_are_quantized_alike(name):
    model, inputs = cases.make(name)
    tqt.quantize_model(model.eval(), **MAPS)
    others = [copy.deepcopy(model)]
    if not any(map(parametrize.is_parametrized, model.modules())):  # PyTorch saves none of these
        others += [pickle.loads(pickle.dumps(model)), saved(model)]
    with torch.no_grad():
        wanted = hands.run(model, **inputs)
        for other in (*others, copy.deepcopy(model)):
            assert hands.same_bits(hands.run(other, **inputs), wanted)
            assert tqt.summary(other, print_fn=None) == tqt.summary(model, print_fn=None)


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("name", cases.every())
def test_an_error_leaves_the_model_as_it_was(name):
    model, inputs = cases.make(name)
    wanted = hands.run(model.eval(), **inputs)
    before = classes(model), attributes(model)
    last = [row.layer for row in tqt.summary(model, print_fn=None)][-1]
    with pytest.raises(tq.Error, match="hits no"):
        tqt.quantize_model(
            model, **MAPS | {"weights": {"nothing": "bf16", "": "bf16"}}, strict=True
        )
    module = model.get_submodule(last)
    module.forward = module.forward  # which no class can change
    with pytest.raises(tq.Error, match=f"'{last}'"):
        tqt.quantize_model(model, **MAPS)
    del module.forward
    assert (classes(model), attributes(model)) == before
    assert hands.same_bits(hands.run(model, **inputs), wanted)
