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
    called = [row.layer for row in tqt.summary(model, print_fn=None)]
    assert set(seen) <= set(called)
    assert set(layers) >= set(seen) - {one.layer for one in operations(model)}


def operations(model):
    return [row for row in tqt.summary(model, print_fn=None) if row.type == "operation"]
