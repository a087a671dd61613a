"""Weights alone: a model gives what its float copy gives whose parameters were quantized by hand."""

import by_hand
import cases
import hands
import pytest
import torch

import tensorquant.torch as tqt

SPECS = ["nearest,8,6", "stochastic,8,6", "int,4,per=channel,scale=max"]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", cases.every())
def test_a_model_gives_bits_and_gradients_of_one_quantized_by_hand(name, spec):
    model, inputs = cases.make(name)
    is_random = "stochastic" in spec
    seed = {"seed": 7} if is_random else {}
    wanted = by_hand.with_weights(model, spec, **seed)
    tqt.quantize_model(model, weights={"": spec}, **seed)

    def has_the_same(what):
        if is_random:
            tqt.set_layer_steps(model, dict.fromkeys(tqt.layer_steps(model), 0))
        return hands.same_bits(what(model, **inputs), what(wanted, **inputs))

    for training in (True, False):
        model.train(training), wanted.train(training)
        assert has_the_same(hands.run) and has_the_same(hands.gradients)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert has_the_same(hands.run)
