"""calibrate(): maps whose numbers are those of the float model's outputs."""

import copy
import warnings

import hands
import models
import numpy as np
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.torch as tqt

MAX = "int,8,scale=max"


def outputs(model, x):
    """The numbers of each output and operation."""
    found = {"input": x}
    model = copy.deepcopy(model).eval()
    with torch.no_grad(), tqt.observe(model, lambda name, y: found.setdefault(name, y.clone())):
        model(x)
    return found


def number(spec):
    (text,) = (part for part in spec.split(",") if part.startswith("scale="))
    return np.float32(text.removeprefix("scale="))


def wanted(y):
    return np.float32(y.abs().max().item()) / np.float32(127)


def test_minmax_has_the_numbers_of_the_float_models_outputs_and_operations():
    model, x = models.make("language")
    found = outputs(model, x)
    rules = {"=input": MAX, "attn": MAX, "re:.*add.*": MAX, "mlp": "nearest,16,8", "": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tokens are no floats: the input has no numbers
        maps = tqt.calibrate(model, [(x,)], tq.Override(weights="bf16", extrinsic=rules))
    specs = {rule.key.removeprefix("="): rule.output.spec for rule in maps.extrinsic}
    assert specs.pop("input") == MAX
    blocks = [f"blocks.{i}" for i in (0, 1)]
    left = {f"{block}.mlp.{i}": "nearest,16,8" for block in blocks for i in range(3)}
    assert {name: specs.pop(name) for name in left} == left
    # `attn` hits layers alone, and operations only a key that names them.
    ends = ("attn.qkv", "attn.proj", "attn.add", "add", "add_1")
    assert set(specs) == {"add", *(f"{block}.{end}" for block in blocks for end in ends)}
    for name, spec in specs.items():
        assert number(spec) == wanted(found[name]), name
    assert maps.weights == tq.Override(weights="bf16").weights


def test_batches_do_not_matter_and_the_model_stays_as_it_was():
    model, x = models.make("resnet")
    x = torch.randn(70, 3, 8, 8)
    tqt.quantize_model(model, weights="nearest,4,2", extrinsic="nearest,4,1")
    before = copy.deepcopy(model.state_dict()), tqt.summary(model, print_fn=None)
    override = tq.Override(extrinsic={"": MAX, "add": MAX})
    first = tqt.calibrate(model, x, override)
    again = tqt.calibrate(model, [(one[None], 3) for one in x], override, method="minmax")
    assert next(iter(first.extrinsic)).key == "=input"
    a, b = ([number(rule.output.spec) for rule in maps.extrinsic] for maps in (first, again))
    assert np.allclose(a, b, rtol=1e-4)  # the float layers' last bits depend on the batch
    assert model.training and tqt.summary(model, print_fn=None) == before[1]
    assert all(torch.equal(y, before[0][name]) for name, y in model.state_dict().items())
    assert not model._forward_pre_hooks
    tqt.quantize_model(model, maps=first)
    y = model.eval()(x)
    rule = first.extrinsic.find("fc")
    assert hands.same_bits(y, hands.quantized(y, rule.spec))


def test_a_scale_is_the_one_that_keras_and_the_core_find():
    layer, x = nn.Sequential(nn.Identity()), torch.tensor([[-1.0, 0.5], [6.375, 2.0]])
    rule = {"=0": "int,8,unsigned,scale=range"}
    spec = tqt.calibrate(layer, x, tq.Override(extrinsic=rule)).extrinsic.find("0").spec
    scale = np.float32(7.375) / np.float32(255)
    assert number(spec) == scale and spec.endswith(f",zero={round(1 / scale)}")


def test_a_dictionary_is_arguments_by_name():
    model, x = models.make("resnet")
    maps = tqt.calibrate(model, [{"x": x}], tq.Override(extrinsic={"=input": MAX}))
    assert number(maps.extrinsic.find("input").spec) == wanted(x)


@pytest.mark.parametrize(
    ("data", "rules", "method", "error", "text"),
    [
        (torch.ones(2, 3), {"=0": "nearest,8,4"}, "minmax", tq.Error, "no layer has an extrinsic"),
        (iter([torch.ones(2, 3)]), {"=0": MAX}, "entropy", TypeError, "can only be read once"),
        ([], {"=0": MAX}, "minmax", tq.Error, "there is no batch"),
        (["text"], {"=0": MAX}, "minmax", TypeError, "batches of tensors"),
        (5, {"=0": MAX}, "minmax", TypeError, "an array or batches"),
        (torch.full((2, 3), torch.nan), {"=0": MAX}, "minmax", tq.Error, "no finite number"),
    ],
)
def test_what_cannot_be_calibrated_is_an_error(data, rules, method, error, text):
    model = nn.Sequential(nn.ReLU())
    with warnings.catch_warnings(), pytest.raises(error, match=text):
        warnings.simplefilter("ignore")
        tqt.calibrate(model, data, tq.Override(extrinsic=rules), method)
    assert type(model[0]) is nn.ReLU
