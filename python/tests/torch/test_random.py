"""Random rounding: numbers that depend on seed, name and step, and a step that training counts."""

import copy

import hands
import models
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import tensorquant as tq
import tensorquant.torch as tqt

SPEC = "stochastic,8,4"


def linear(**maps):
    model = nn.Sequential()
    model.it = nn.Linear(3, 4)
    return tqt.quantize_model(model, seed=9, **maps), torch.randn(5, 3)


def wanted(model, x, step):
    y = nn.functional.linear(x, model.it.weight, model.it.bias)
    return hands.quantized(y, SPEC, seed=9, stream=tq.stream_of("it", "output"), step=step)


def test_numbers_depend_on_seed_name_and_step_alone():
    model, x = linear(extrinsic={"=it": SPEC})
    for training, step in ((False, 0), (True, 0), (True, 1), (False, 0), (True, 2)):
        assert hands.same_bits(model.train(training)(x), wanted(model, x, step))
    tqt.set_inference_step(model, 1)
    assert hands.same_bits(model.eval()(x), wanted(model, x, 1))
    assert tqt.layer_steps(model) == {"it": 3}


def test_parameters_inputs_and_several_outputs_have_streams_of_their_own():
    model = nn.Sequential()
    model.it = nn.LSTM(3, 4)
    by_hand, x = copy.deepcopy(model), torch.randn(5, 2, 3)

    def quantized(x, layer, role):
        return hands.quantized(x, SPEC, seed=3, stream=tq.stream_of(layer, role))

    roles = ("weight", "weight1", "bias", "bias1")
    with torch.no_grad():
        for parameter, role in zip(by_hand.parameters(), roles, strict=True):
            parameter.copy_(quantized(parameter, "it", role))
    tqt.quantize_model(model, weights=SPEC, extrinsic=SPEC, seed=3)
    found = hands.tensors(model(x))
    floats = hands.tensors(by_hand(quantized(x, "input", "output")))
    for y, z, role in zip(found, floats, ("output", "output1", "output2"), strict=True):
        assert hands.same_bits(y, quantized(z, "it", role))


def test_a_parameter_without_a_layer_has_a_stream_of_its_name():
    model, x = models.make("experts")
    by_hand = copy.deepcopy(model)
    with torch.no_grad():
        for name in ("up", "scales.0"):
            parameter, stream = by_hand.get_parameter(name), tq.stream_of(name, "weight")
            parameter.copy_(hands.quantized(parameter, SPEC, seed=3, stream=stream))
    tqt.quantize_model(model, weights={"=up": SPEC, "=scales.0": SPEC}, seed=3)
    assert hands.same_bits(model(x), by_hand(x))


def test_a_forward_in_training_counts_once_whatever_it_calls():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    tqt.quantize_model(model, weights=SPEC, extrinsic=SPEC)
    for _ in range(3):
        model(torch.randn(2, 3))
    model.eval()(torch.randn(2, 3))
    assert tqt.layer_steps(model) == {"input": 3, "0": 3, "1": 3}


def test_a_layer_that_is_frozen_in_inference_takes_the_step_of_inference():
    model, x = linear(extrinsic={"=it": SPEC})
    model.it.eval()
    for _ in range(2):
        assert hands.same_bits(model(x), wanted(model, x, 0))


def test_steps_can_be_set_and_wrong_ones_change_nothing():
    model, x = linear(extrinsic={"=it": SPEC, "input": SPEC})
    tqt.set_layer_steps(model, {"it": 2**32 - 1})
    assert tqt.layer_steps(model) == {"input": 0, "it": 2**32 - 1}
    model(x)
    assert tqt.layer_steps(model) == {"input": 1, "it": 0}
    for steps, text in (
        ({"input": 5, "fc": 1}, "the model has no layer 'fc' that rounds at random"),
        ({"input": 5, "it": 2**32}, "is not between"),
    ):
        with pytest.raises(tq.Error, match=text):
            tqt.set_layer_steps(model, steps)
    assert tqt.layer_steps(model) == {"input": 1, "it": 0}


def test_a_copy_counts_for_itself():
    model, x = linear(extrinsic={"=it": SPEC})
    model(x)
    other = copy.deepcopy(model)
    other(x)
    assert (tqt.layer_steps(model), tqt.layer_steps(other)) == ({"it": 1}, {"it": 2})


def test_a_model_quantized_in_inference_mode_can_be_trained():
    with torch.inference_mode():
        model, x = linear(extrinsic={"=it": SPEC})
    model(x.clone())
    assert tqt.layer_steps(model) == {"it": 1}


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.tanh = nn.Linear(4, 4), nn.Tanh()

    def forward(self, x):
        return x + self.tanh(self.linear(x))


class Checkpointed(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.blocks = nn.ModuleList(Residual() for _ in range(3))
        self.how = how

    def forward(self, x):
        for block in self.blocks:
            x = block(x) if self.how is None else checkpoint(block, x, use_reentrant=self.how)
        return x


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_computes_again_rounds_as_the_first_time(reentrant):
    plain = Checkpointed(None)
    model = Checkpointed(reentrant)
    model.load_state_dict(plain.state_dict())
    for one in (plain, model):
        tqt.quantize_model(one, weights=SPEC, extrinsic={"": SPEC, "add": SPEC}, seed=4)
    x = torch.randn(3, 4)
    for _ in range(3):
        assert hands.same_bits(hands.gradients(plain, x), hands.gradients(model, x))
        assert hands.same_bits(plain(x), model(x))
    steps = tqt.layer_steps(model)
    assert steps == tqt.layer_steps(plain) and set(steps.values()) == {6}


def test_a_checkpoint_around_the_whole_model_rounds_as_the_first_time():
    model, x = linear(weights=SPEC, extrinsic=SPEC)
    other = copy.deepcopy(model)
    wanted = hands.gradients(model, x)
    x = x.clone().requires_grad_()
    y = checkpoint(other, x, use_reentrant=False)
    weights = torch.arange(y.numel()).remainder(7).sub(3).reshape(y.shape)
    (y * weights.to(y.dtype)).sum().backward()
    assert hands.same_bits([p.grad for p in other.parameters()] + [x.grad], wanted)
    assert set(tqt.layer_steps(other).values()) == {1}


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
@pytest.mark.parametrize("where", ["inside", "inside, reentrant", "around"])
def test_several_forwards_before_their_backward_passes_are_computed_again_with_their_steps(
    where, order
):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.body = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())
            self.how = None

        def forward(self, x):
            x = self.first(x)
            return (
                self.body(x)
                if self.how is None
                else checkpoint(self.body, x, use_reentrant=self.how)
            )

    model = Net()
    tqt.quantize_model(model, weights=SPEC, extrinsic=SPEC)
    inputs = [torch.randn(3, 4) for _ in order]

    def gradients(model, call):
        losses = [call(model, x).pow(2).sum() for x in inputs]
        found = []
        for index in order:
            model.zero_grad()
            losses[index].backward()
            found += [p.grad.clone() for p in model.parameters()]
        return found

    wanted = gradients(copy.deepcopy(model), lambda model, x: model(x))
    if where == "around":
        got = gradients(model, lambda model, x: checkpoint(model, x, use_reentrant=False))
    else:
        model.how = "reentrant" in where
        got = gradients(model, lambda model, x: model(x))
    assert hands.same_bits(got, wanted)
    assert tqt.layer_steps(model)["first"] == len(order)
