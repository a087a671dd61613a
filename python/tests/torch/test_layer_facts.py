"""tensorquant.torch.layer_facts against PyTorch's own counter of operations and numbers by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import tensorquant as tq
import tensorquant.search as tqs
import tensorquant.torch as tqt


class Block(nn.Module):
    """A residual block whose ReLU is called twice, with a sum that is no layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.conv2(y) + x)
        return self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))


def test_facts_are_those_counted_by_hand():
    facts = tqt.layer_facts(Block(), torch.zeros(3, 4, 6, 6))
    rows = [(one.layer, one.macs, one.terms, one.sources) for one in facts]
    assert rows == [
        ("input", 0, 0, []),
        ("conv1", 4 * 36 * 36, 36, ["input"]),
        ("bn1", 0, 0, ["conv1"]),
        ("relu", 0, 0, ["bn1"]),
        ("conv2", 4 * 36 * 18, 18, ["relu"]),
        ("relu", 0, 0, ["input", "conv2"]),
        ("fc", 40, 4, ["relu"]),
    ]
    by_name = {one.layer: one for one in facts}
    assert (by_name["conv2"].weights, by_name["conv2"].biases) == (4 * 18, 4)
    assert (by_name["bn1"].weights, by_name["bn1"].biases) == (4, 4)
    assert (by_name["fc"].inputs, by_name["fc"].outputs) == (4, 10)
    assert by_name["relu"].moves_values and not by_name["bn1"].moves_values


def test_products_are_half_the_operations_that_pytorch_counts():
    cases = [
        (nn.Linear(7, 5), (2, 3, 7)),
        (nn.Conv1d(6, 9, 5, stride=2, dilation=2, groups=3), (2, 6, 31)),
        (nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=1), (2, 4, 9, 8)),
        (nn.Conv3d(2, 3, 2), (2, 2, 4, 5, 6)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 7)),
    ]
    for layer, shape in cases:
        x = torch.zeros(shape)
        with FlopCounterMode(display=False) as counter:
            layer(x)
        model = nn.Sequential(layer)
        [fact] = [one for one in tqt.layer_facts(model, x) if one.layer == "0"]
        assert 2 * fact.macs * shape[0] == counter.get_total_flops(), layer


def test_costs_follow_the_flow_through_what_is_no_layer():
    facts = tqt.layer_facts(Block(), torch.zeros(1, 4, 6, 6))
    specs = {
        "output:input": "nearest,5,3",
        "output:relu": "nearest,6,3",
        "weight:conv1": "nearest,4,3",
        "weight:conv2": "nearest,3,2",
        "weight:fc": "nearest,2,1",
    }
    bops = 5184 * 4 * 5 + 2592 * 3 * 6 + 40 * 2 * 6
    assert tqs.cost_of(facts)(specs) == bops
    bits = 144 * 4 + (4 + 4) * 32 + 72 * 3 + 4 * 32 + 40 * 2 + 10 * 32
    assert tqs.cost_of(facts, "bits")(specs) == bits


def test_a_model_is_left_as_it_was():
    model = tqt.quantize_model(Block().train(), weights="nearest,4,3", extrinsic="nearest,4,2")
    model.fc.weight.requires_grad_(False)
    x = torch.randn(2, 4, 6, 6)
    statistics = model.bn1.running_mean.clone()
    before = model.eval()(x)
    model.train()
    tqt.layer_facts(model, x)
    assert model.training and torch.equal(model.bn1.running_mean, statistics)
    assert torch.equal(model.eval()(x), before)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_cannot_be_counted_is_an_error_that_names_the_layer():
    with pytest.raises(tq.Error, match="'0' \\(LSTM\\)"):
        tqt.layer_facts(nn.Sequential(nn.LSTM(3, 4)), torch.zeros(2, 5, 3))
    with pytest.raises(TypeError, match="inputs"):
        tqt.layer_facts(Block(), [1, 2])
    assert all(not module._forward_hooks for module in Block().modules())


def test_a_search_costs_a_model():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4))
    x = torch.randn(200, 6)
    weights = {f"weight:{n}": model[n].weight.detach().numpy() for n in (0, 2)}

    def evaluate(maps):
        tqt.strip(model)
        with torch.no_grad():
            return tqt.quantize_model(model, maps=maps)(x).numpy()

    cost = tqs.cost_of(tqt.layer_facts(model, x), "bits")
    table = tqs.sensitivity(evaluate, weights, widths=[8, 4, 2])
    found = tqs.search(evaluate, table, cost, budget=72 * 4 + 48 * 4 + 16 * 32)
    assert found.cost == cost(table.specs(found.choices)) <= 72 * 4 + 48 * 4 + 16 * 32
