"""Parameters that several layers read: quantized once in a forward."""

import hands
import models
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import tensorquant.torch as tqt
from tensorquant.torch.plan import ParameterPlan

SPEC = "nearest,8,4"


@pytest.fixture
def quantized_names(monkeypatch):
    """The names of the parameters that have been quantized."""
    names, quantized = [], ParameterPlan.quantized

    def noted(plan, *arguments):
        names.append(plan.name)
        return quantized(plan, *arguments)

    monkeypatch.setattr(ParameterPlan, "quantized", noted)
    return names


class Tied(nn.Module):
    """As GPT-2: one table for words, and for the head."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(11, 4)
        self.body = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, x):
        return self.head(self.body(self.wte(x)))


class Repeated(nn.Module):
    """As ALBERT: one layer, several times, each of which may be computed again."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(11, 4)
        self.layer = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

    def forward(self, x):
        x = self.wte(x)
        for _ in range(3):
            x = checkpoint(self.layer, x, use_reentrant=False) if self.training else self.layer(x)
        return x


MODELS = {
    "two layers": (Tied, "wte.weight"),
    "a function": (models.Language, "wte.weight"),
    "one layer often": (Repeated, "layer.0.weight"),
}


def make(name):
    model = MODELS[name][0]()
    models.leave_the_grid(model)
    return model, torch.randint(11, (2, 6))


@pytest.mark.parametrize("name", MODELS)
def test_what_several_layers_read_is_quantized_once(name, quantized_names):
    model, x = make(name)
    tqt.quantize_model(model.eval(), weights=SPEC)
    model(x)  # which shows what is read again
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        quantized_names.clear()
        with mode():
            y = model(x)
        assert len(quantized_names) == len(set(quantized_names))
        assert sum(MODELS[name][1] == one for one in quantized_names) == 1
        assert hands.same_bits(y, hands.quantized_copy(tqt.strip(make_copy(model)), SPEC)(x))


def make_copy(model):
    copied = type(model)()
    copied.load_state_dict(model.state_dict())
    return copied.eval()


@pytest.mark.parametrize("spec", [SPEC, f"{SPEC},grad=clipped", "int,8,scale=max"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_a_copy_quantized_by_hand(name, spec):
    model, x = make(name)
    wanted = hands.quantized_copy(model, spec)
    tqt.quantize_model(model, weights=spec)  # no number lies beyond the bounds of the clipped
    for _ in range(3):
        assert hands.same_bits(hands.gradients(model, x), hands.gradients(wanted, x))


@pytest.mark.parametrize("name", ["two layers", "a function"])
def test_a_parameter_that_changes_is_quantized_again(name):
    model, x = make(name)
    tqt.quantize_model(model.eval(), weights=SPEC)
    weight = model.wte.weight

    def double(*_):
        with torch.no_grad():
            weight.mul_(2)

    model(x), model(x)
    double()
    assert hands.same_bits(model(x), hands.quantized_copy(make_copy(model), SPEC)(x))
    body = model.body if name == "two layers" else model.norm
    float_before = make_copy(model)
    body.register_forward_hook(double)  # between both readings
    found = model(x)
    first, second = (hands.quantized_copy(m, SPEC) for m in (float_before, make_copy(model)))
    seen = {}
    (first.body if name == "two layers" else first.norm).register_forward_hook(
        lambda module, inputs, y: seen.update(y=y)
    )
    first(x)
    assert hands.same_bits(found, F.linear(seen["y"], second.wte.weight))


def test_what_is_read_without_gradients_is_read_again_with_them():
    class Frozen(Tied):
        def forward(self, x):
            with torch.no_grad():
                x = self.wte(x)
            return self.head(self.body(x))

    model, x = Frozen(), torch.randint(11, (2, 6))
    models.leave_the_grid(model)
    wanted = hands.quantized_copy(model, SPEC)
    tqt.quantize_model(model, weights=SPEC)
    for _ in range(2):
        found = hands.gradients(model, x)
        assert hands.same_bits(found, hands.gradients(wanted, x)) and found[0].abs().max() > 0
