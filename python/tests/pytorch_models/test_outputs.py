"""Outputs of layers and results of operations: on the grid, and those of hooks that quantize."""

import by_hand
import cases
import hands
import pytest
import torch

import tensorquant.torch as tqt

SPEC = "nearest,10,5"


@pytest.mark.parametrize("name", cases.every())
def test_outputs_and_gradients_are_those_of_a_copy_with_hooks_that_quantize(name):
    model, inputs = cases.make(name)
    wanted = by_hand.with_outputs(model, SPEC, inputs)
    tqt.quantize_model(model, extrinsic=SPEC)
    for training in (True, False):
        model.train(training), wanted.train(training)
        assert hands.same_bits(hands.run(model, **inputs), hands.run(wanted, **inputs))
        assert hands.same_bits(hands.gradients(model, **inputs), hands.gradients(wanted, **inputs))


@pytest.mark.filterwarnings("ignore:operation '.*' adds numbers as a mask")
@pytest.mark.parametrize("name", cases.every())
def test_all_that_is_observed_lies_on_the_grid(name):
    model, inputs = cases.make(name)
    layers = [layer for layer, _ in by_hand.layers(model)]
    tqt.quantize_model(model, extrinsic={"re:.*": SPEC})
    seen = []

    def look(name, x):
        seen.append(name)
        assert hands.same_bits(x, hands.quantized(x.contiguous(), SPEC)), name

    with torch.no_grad(), tqt.observe(model, look):
        hands.run(model, **inputs)
    operations = {name for name in seen if name not in layers}
    rows = {row.layer for row in tqt.summary(model, print_fn=None) if row.type == "operation"}
    assert operations == rows


NEVER_CALLED = {
    "torchvision swin": "features.1.0.attn.qkv",
    "torchvision swin_v2": "features.1.0.attn.proj",
    "timm beit": "blocks.0.attn.qkv",
    "transformers mamba": "backbone.layers.0.mixer.dt_proj",
}


@pytest.mark.parametrize("name", cases.some(*NEVER_CALLED))
def test_a_layer_that_is_never_called_is_told_of(name):
    layer = NEVER_CALLED[name]
    module = layer.rpartition(".")[0]
    model, inputs = cases.make(name)
    tqt.quantize_model(model.eval(), extrinsic={f"={layer}": "bf16"})
    text = f"layer '{layer}' was not called: its output is computed inside '{module}'"
    with pytest.warns(tqt.IdleRuleWarning, match=text):
        model(**inputs)
