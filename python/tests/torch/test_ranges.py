"""Range reports: what saturated and became zero in a model, against counts on its tensors."""

import copy
import json
import pathlib

import hands
import models
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tensorquant as tq
import tensorquant.torch as tqt


def net():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def counts(row):
    return row.values, row.saturated, row.nonzero, row.became_zero


def fixed_counts(tensors, bits, fraction):
    """Of nearest,bits,fraction: ties go away from zero."""
    x = np.concatenate([t.detach().numpy().ravel() for t in tensors]).astype(np.float64)
    units = np.floor(np.abs(x) * 2**fraction + 0.5) * np.sign(x)
    half = 2 ** (bits - 1)
    saturated = int(((units < -half) | (units > half - 1)).sum())
    return x.size, saturated, int((x != 0).sum()), int(((x != 0) & (units == 0)).sum())


def test_weights_biases_outputs_and_the_input_are_counted():
    model = net()
    batches = [torch.randn(7, 6) * 4 for _ in range(3)]
    tqt.quantize_model(
        model,
        weights={"=0": "nearest,5,5"},
        extrinsic={"=2": "nearest,5,2", "input": "nearest,6,2"},
    )
    plain = copy.deepcopy(model)
    tqt.record_ranges(model)
    outputs = []
    with torch.no_grad():
        for x in batches:
            assert hands.same_bits(model(x), plain(x))
            tqt.quantize_model(
                plain, weights={"=0": "nearest,5,5"}, extrinsic={"input": "nearest,6,2"}
            )
            outputs.append(plain(x))
            tqt.quantize_model(
                plain,
                weights={"=0": "nearest,5,5"},
                extrinsic={"=2": "nearest,5,2", "input": "nearest,6,2"},
            )
    rows = {(row.layer, row.place): row for row in tqt.ranges(model, print_fn=None)}
    assert list(rows) == [("input", "output"), ("0", "weight"), ("0", "bias"), ("2", "output")]
    assert counts(rows["input", "output"]) == fixed_counts(batches, 6, 2)
    # Parameters that stay count once.
    assert counts(rows["0", "weight"]) == fixed_counts([model[0].weight], 5, 5)
    assert counts(rows["0", "bias"]) == fixed_counts([model[0].bias], 5, 5)
    assert counts(rows["2", "output"]) == fixed_counts(outputs, 5, 2)
    row = rows["2", "output"]
    every = torch.cat(outputs)
    assert (row.lowest, row.highest) == (every.min().item(), every.max().item())
    assert row.saturated_share == row.saturated / row.values
    assert row.became_zero_share == row.became_zero / row.nonzero
    assert (row.quantizer, row.bits_per_value) == ("nearest,5,2", 5)


def test_changed_parameters_and_random_ones_count_again():
    model = net()
    tqt.quantize_model(model, weights={"=0": {"weight": "fp16"}, "=2": {"bias": "stochastic,8,4"}})
    tqt.record_ranges(model)
    for _ in range(2):
        model(torch.ones(1, 6))
    with torch.no_grad():
        model[0].weight.mul_(2)
    model(torch.ones(1, 6))
    weight, bias = tqt.ranges(model, print_fn=None)
    assert (weight.values, bias.values) == (2 * 30, 3 * 3)
    tqt.record_ranges(model)
    assert tqt.ranges(model, print_fn=None) == []
    tqt.record_ranges(model, False)
    with pytest.raises(tq.Error, match=r"call record_ranges\(\) before"):
        tqt.ranges(model)


def test_operations_and_errors_are_counted():
    model, x = models.make("resnet")
    tqt.quantize_model(
        model,
        extrinsic={"re:.*add.*": "nearest,8,4"},
        gradients={"=fc": {"error": "mxfp4"}},
    )
    tqt.record_ranges(model)
    model(x).sum().backward()
    rows = tqt.ranges(model, print_fn=None)
    assert {row.place for row in rows if "add" in row.layer} == {"output"}
    (error,) = [row for row in rows if row.place == "error"]
    assert (error.layer, error.bits_per_value) == ("fc", 4.25)


class Attends(nn.Module):
    """The functions that are no layers, around an empty layer."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Identity()

    def forward(self, x):
        x = self.inside(x)
        y = F.scaled_dot_product_attention(x, x, x)
        return F.gelu(F.layer_norm((y @ x.mT).softmax(-1) * 3 + 1, x.shape[-1:]))


ROUNDED = {
    "layer norm": (lambda: nn.LayerNorm(4), "", "output"),
    "RMS norm": (lambda: nn.RMSNorm(4), "", "output"),
    "group norm": (lambda: nn.GroupNorm(2, 4), "", "output"),
    "batch norm": (lambda: nn.BatchNorm1d(4), "", "output"),
    "softmax of a layer": (lambda: nn.Softmax(-1), "", "output"),
    "GELU": (nn.GELU, "", "output"),
    "attention": (lambda: nn.MultiheadAttention(4, 2), "", "output1"),
    **{
        name: (lambda: Attends(), name, "output")
        for name in ("sdpa", "matmul", "softmax", "mul", "add", "layer_norm", "gelu")
    },
}


@pytest.mark.parametrize("name", ROUNDED)
def test_outputs_of_rounded_layers_and_operations_are_counted(name):
    make, operation, place = ROUNDED[name]
    layer, x = make(), torch.randn(4, 4, 4)
    inputs = (x, x, x) if isinstance(layer, nn.MultiheadAttention) else (x,)
    inside = {"re:.*": {"product": "nearest,16,9", "accumulator": "nearest,18,9"}}
    wanted = {}

    def see(name, y):
        wanted[name, f"output{seen.count(name) or ''}"] = y.detach().clone()
        seen.append(name)

    seen = []
    tqt.quantize_model(layer, intrinsic=inside)
    with tqt.observe(layer, see):
        layer(*inputs)
    tqt.quantize_model(layer, intrinsic=inside, extrinsic={f"={operation}": "nearest,3,2"})
    tqt.record_ranges(layer)
    layer(*inputs)
    rows = {(row.layer, row.place): row for row in tqt.ranges(layer, print_fn=None)}
    row = rows[operation, place]
    assert counts(row) == fixed_counts([wanted[operation, place]], 3, 2)
    assert row.saturated or row.became_zero
    rule = next(r for r in tqt.summary(layer, print_fn=None) if r.layer == operation)
    assert rule.intrinsic and rule.output == "nearest,3,2"


def test_the_table_has_the_columns_of_the_command_line(capsys):
    model = net()
    tqt.quantize_model(model, weights={"=0": {"weight": "nearest,5,5"}})
    tqt.record_ranges(model)
    model(torch.ones(1, 6))
    tqt.ranges(model)
    heading = capsys.readouterr().out.splitlines()[0]
    source = pathlib.Path(__file__).parents[3] / "tensorquant" / "cli" / "range_table.cc"
    text = source.read_text().split("kPlaceColumns = {")[1].split("}")[0]
    columns = ["layer", *json.loads(f"[{text}]")]
    assert heading.split() == " ".join(columns).split()


def test_a_compiled_model_says_that_it_counts_nothing():
    model = net()
    tqt.quantize_model(model, weights="fp16")
    tqt.record_ranges(model)
    torch._dynamo.reset()
    torch.compile(model, backend="eager")(torch.ones(1, 6))
    with pytest.raises(tq.Error, match="ran compiled, where no numbers can be counted"):
        tqt.ranges(model)
    with pytest.raises(tq.Error, match=r"has no quantizers; call quantize_model\(\)"):
        tqt.record_ranges(net())


def test_explain_names_rules_of_layers_parameters_and_the_input_and_changes_nothing():
    model, _ = models.make("language")
    kinds = [type(module) for module in model.modules()]
    maps = tq.Override(
        {"pos_embed": "bf16", "=input": "fp16"},
        {"input": "nearest,8,4", "attn.add": "fp16"},
        gradients={"wte": "bf16"},
    )
    found = tqt.explain(model, maps)
    rows = {row.layer: row for row in found.layers}
    assert rows["pos_embed"].weights.text == '"bf16"'
    assert rows["input"].extrinsic.text == '"nearest,8,4"'
    assert rows["wte"].gradients.text == '"bf16"'
    assert [idle.message.split(": ", 1)[1] for idle in found.idle] == [
        "weights key '=input' hits no layer"
    ]
    assert [type(module) for module in model.modules()] == kinds
