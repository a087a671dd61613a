"""Quantized errors, and gradients of parameters as an optimizer takes them."""

import copy
import pickle

import hands
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import tensorquant as tq
import tensorquant.torch as tqt

SPEC = "nearest,6,4"


def mlp():
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))


def integers(*shape):
    return torch.randint(-8, 9, shape).float() / 4


def loss_of(y):
    weights = torch.arange(y.numel()).remainder(5).sub(2).reshape(y.shape)
    return (y * weights * 0.37).sum()


def test_layers_that_share_a_weight_may_differ_in_the_rules_of_their_errors():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    x = integers(3, 4)
    wanted = copy.deepcopy(model)
    tqt.quantize_model(model, gradients={"2": {"error": "bf16"}})
    y = wanted(x)
    y.register_hook(lambda dy: dy.bfloat16().float())
    loss_of(y).backward()
    loss_of(model(x)).backward()
    assert hands.same_bits(model[0].weight.grad, wanted[0].weight.grad)


def test_a_model_copied_without_its_optimizer_is_told_that_it_has_none():
    model = tqt.quantize_model(mlp(), gradients={"0": {"weight": SPEC}})
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    tqt.quantize_optimizer(optimizer, model)
    copied = copy.deepcopy(model)
    with pytest.warns(tqt.IdleRuleWarning, match="quantize_optimizer"):
        loss_of(copied(integers(2, 5)))


def by_hand(model, x, spec_of_error):
    """Gradients of an mlp() in NumPy; the error of each layer goes through its quantizer."""
    w0, b0, w2, _ = (p.detach().double().numpy() for p in model.parameters())
    x = x.double().numpy()
    h = x @ w0.T + b0
    r = np.maximum(h, 0)
    dy = np.arange(r.shape[0] * 3).reshape(-1, 3) % 5 - 2
    dy = (dy * np.float32(0.37)).astype(np.float32)

    def quantized(d, layer):
        spec = spec_of_error.get(layer)
        return d if spec is None else tq.Quantizer(spec)(d.astype(np.float32))

    dy = quantized(dy, "2").astype(np.float64)
    dr = quantized(dy @ w2, "1").astype(np.float64)
    dh = quantized(dr * (h > 0), "0").astype(np.float64)
    return [dh.T @ x, dh.sum(0), dy.T @ r, dy.sum(0)]


def quantizable(model):
    """Parameters with few bits, so that sums of products are exact in any order."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(integers(*parameter.shape))
    return model


@pytest.mark.parametrize(
    "specs",
    [{"0": SPEC}, {"1": SPEC}, {"2": SPEC}, {"0": SPEC, "1": "nearest,5,2", "2": "nearest,7,3"}],
)
def test_errors_are_quantized_as_they_arrive_at_a_layers_output(specs):
    model, x = quantizable(mlp()), integers(6, 5)
    tqt.quantize_model(model, gradients={f"={k}": {"error": v} for k, v in specs.items()})
    wanted = by_hand(model, x, {"2": None, **specs})
    loss_of(model(x)).backward()
    if "2" not in specs:  # then 0.37 is in all products, which are rounded
        for parameter, one in zip(model.parameters(), wanted):
            torch.testing.assert_close(parameter.grad.double(), torch.from_numpy(one))
        return
    for parameter, one in zip(model.parameters(), wanted):
        assert hands.same_bits(parameter.grad, torch.from_numpy(one.astype(np.float32)))


def test_forwards_stay_those_of_the_float_model():
    model, x = mlp(), torch.randn(6, 5)
    wanted = copy.deepcopy(model)(x)
    tqt.quantize_model(model, gradients={"": {"error": "float,5,2"}})
    assert hands.same_bits(model(x).detach(), wanted.detach())
    assert set(model.state_dict()) == set(mlp().state_dict())


def test_a_rounded_output_and_its_error_have_quantizers_of_their_own():
    layer = nn.ReLU()
    tqt.quantize_model(
        layer,
        extrinsic="nearest,8,4,grad=clipped",
        gradients={"": {"error": "nearest,8,1"}},
    )
    x = torch.tensor([1.0, 2.0, 100.0], requires_grad=True)
    (layer(x) * torch.tensor([0.3, 0.4, 0.3])).sum().backward()
    assert x.grad.tolist() == [0.5, 0.5, 0.0]  # 100 is clipped behind the rounding


def test_a_layer_that_hands_its_input_on_has_errors_of_its_own():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Identity())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    tqt.quantize_model(
        model, gradients={"=0": {"error": "nearest,8,0"}, "=1": {"error": "nearest,8,2"}}
    )
    x = torch.ones(1, 2, requires_grad=True)
    (model(x) * torch.tensor([0.375, 0.625])).sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0]]  # 0.375 -> 0.5 -> 1: a tie goes up


def test_each_tensor_of_a_structure_has_random_numbers_of_its_own():
    class Two(nn.Module):
        def forward(self, x):
            return x * 1, {"second": x * 1}

    model = Two()
    tqt.quantize_model(model, gradients="stochastic,8,2", seed=3)
    x = torch.zeros(40, requires_grad=True)
    first, rest = model(x)
    dy = torch.linspace(-3, 3, 40)
    for step, (y, role) in enumerate([(first, "error"), (rest["second"], "error1")]):
        (dx,) = torch.autograd.grad(y, x, dy, retain_graph=True)
        wanted = hands.quantized(
            dy, "stochastic,8,2", seed=3, stream=tq.stream_of("", role), step=0
        )
        assert hands.same_bits(dx, wanted)


def test_random_errors_go_by_the_forward_that_they_belong_to():
    layer = nn.ReLU()
    tqt.quantize_model(layer, gradients={"": {"error": "stochastic,8,2"}})
    dy = torch.linspace(0, 3, 40)
    inputs = [torch.ones(40, requires_grad=True) for _ in range(3)]
    outputs = [layer(x) for x in inputs]
    assert tqt.layer_steps(layer) == {"": 3}
    for y in reversed(outputs):
        y.backward(dy)
    stream = tq.stream_of("", "error")
    for step, x in enumerate(inputs):
        assert hands.same_bits(
            x.grad, hands.quantized(dy, "stochastic,8,2", stream=stream, step=step)
        )


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = mlp()
        self.reentrant = None  # no checkpoint

    def forward(self, x):
        if self.reentrant is None:
            return self.body(x)
        return checkpoint(self.body, x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [False, True])
def test_errors_under_checkpoints_are_those_without(reentrant):
    model, x = nn.Sequential(Block(), nn.Linear(3, 3)), torch.randn(6, 5)
    tqt.quantize_model(
        model, extrinsic="stochastic,8,4", gradients={"": {"error": "stochastic,8,6"}}
    )
    wanted = hands.gradients(copy.deepcopy(model), x)
    model[0].reentrant = reentrant
    assert hands.same_bits(hands.gradients(model, x), wanted)


def test_compiled_errors_have_the_bits_of_eager_ones():
    model, x = mlp(), torch.randn(6, 5)
    tqt.quantize_model(model, weights="nearest,8,6", gradients={"": {"error": "stochastic,8,6"}})
    wanted = hands.gradients(copy.deepcopy(model), x)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert hands.same_bits(hands.gradients(compiled, x), wanted)


def test_errors_pass_through_torch_func_and_second_derivatives():
    layer = nn.Tanh()
    tqt.quantize_model(layer, gradients={"": {"error": "nearest,8,0"}})
    x = torch.tensor([0.5, -0.25])
    wanted = 1 - torch.tanh(x) ** 2
    got = torch.func.grad(lambda x: (layer(x) * 1.25).sum())(x)
    torch.testing.assert_close(got, wanted)
    # The second backward pass has errors, too: -2 tanh(x), which are rounded.
    x.requires_grad_()
    (first,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(second, torch.tensor([-1.0, 0.0]) * wanted)


def test_attention_lstm_and_sequences_have_quantized_errors():
    for model, x in [
        (nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 3, 8)),
        (nn.LSTM(8, 8), torch.randn(3, 2, 8)),
    ]:
        tqt.quantize_model(model, gradients={"": {"error": "binary"}})
        seen = []
        inputs = (x, x, x) if isinstance(model, nn.MultiheadAttention) else (x,)
        y = model(*inputs)[0]
        y.register_hook(lambda dy, seen=seen: seen.append(dy))
        (y * torch.linspace(-1, 2, y.numel()).reshape(y.shape)).sum().backward()
        assert seen[0].abs().unique().numel() == 1  # what is hooked later sees what was quantized


def test_copies_and_pickles_keep_them():
    model, x = mlp(), torch.randn(6, 5)
    tqt.quantize_model(model, gradients={"": {"error": "stochastic,8,6"}})
    again = pickle.loads(pickle.dumps(model))
    other = copy.deepcopy(model)
    wanted = hands.gradients(model, x)
    assert hands.same_bits(hands.gradients(again, x), wanted)
    assert hands.same_bits(hands.gradients(other, x), wanted)
    tqt.strip(other)
    assert not hands.same_bits(hands.gradients(other, x), wanted)


def test_backward_inside_a_forward_shows_no_quantizer_to_those_who_watch():
    class Force(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 1)

        def forward(self, x):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                return torch.autograd.grad(self.inner(x).sum(), x)[0] + x

    model = Force()
    tqt.quantize_model(
        model, extrinsic={"=add": "nearest,8,4"}, gradients={"inner": {"error": "stochastic,8,6"}}
    )
    names = []
    with tqt.observe(model, lambda name, x: names.append(name)):
        model(torch.ones(2, 3))
    assert names == ["inner", "sum", "add"]


def test_the_summary_and_explain_tell_what_becomes_of_gradients(capsys):
    model = mlp()
    tqt.quantize_model(
        model,
        weights="fp16",
        gradients={"=0": "bf16", "=2": {"error": "float,5,2", "bias": "fp16"}},
    )
    rows = tqt.summary(model)
    assert [row.gradients for row in rows] == ["bf16", "", "error: float,5,2, bias: fp16"]
    assert rows[0].rule == 'weights "" (rule 1), gradients "=0" (rule 1)'
    assert "gradients" in capsys.readouterr().out.splitlines()[0].split()


def test_rules_that_do_nothing_are_told():
    with pytest.warns(tqt.IdleRuleWarning, match="gradients key '=3' hits no layer"):
        tqt.quantize_model(mlp(), gradients={"=3": "bf16"})
    with pytest.raises(tq.Error, match="gradients key '=3' hits no layer"):
        tqt.quantize_model(mlp(), gradients={"=3": "bf16"}, strict=True)
    with pytest.raises(tq.Error, match="layer '0' .*: its gradients are sparse"):
        tqt.quantize_model(
            nn.Sequential(nn.Embedding(3, 2, sparse=True)), gradients={"": {"weight": "bf16"}}
        )


def test_tied_parameters_with_different_rules_are_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    with pytest.raises(tq.Error, match="shares its parameter 'weight' with '0', but their"):
        tqt.quantize_model(model, gradients={"=0": "bf16", "=1": "fp16"})
    tqt.quantize_model(model, gradients={"": "bf16"})


def test_gradients_of_parameters_without_a_quantized_optimizer_are_warned_of():
    model, x = mlp(), torch.randn(2, 5)
    tqt.quantize_model(model, gradients={"": {"weight": "bf16"}})
    model.eval()(x)
    with pytest.warns(tqt.IdleRuleWarning, match="quantize_optimizer"):
        model.train()(x)
    tqt.quantize_model(model, gradients={"": {"weight": "bf16"}}, strict=True)
    with pytest.raises(tq.Error, match="quantize_optimizer"):
        model(x)
