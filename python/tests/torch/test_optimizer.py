"""Optimizers with quantized gradients, states and updates, held against NumPy."""

import copy
import io
import warnings

import hands
import numpy as np
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.torch as tqt

F32 = np.float32


def fixed(x, bits, fraction):
    """nearest,bits,fraction: ties go away from zero."""
    scaled = np.copysign(np.floor(np.abs(x.astype(np.float64)) * 2**fraction + 0.5), x)
    half = 2 ** (bits - 1)
    return (np.clip(scaled, -half, half - 1) / 2**fraction + 0.0).astype(F32)  # no -0


def bfloat16(x):
    """To nearest, ties to even, on the bits of normal numbers."""
    bits = x.astype(F32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(F32)


def net():
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


def data(count=5):
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(6, 4, generator=generator) for _ in range(count)]


def loss_of(model, x):
    return (model(x) ** 2).sum()


def train(model, optimizer, batches, after_step=lambda: None):
    for x in batches:
        optimizer.zero_grad()
        loss_of(model, x).backward()
        optimizer.step()
        after_step()


def by_numpy(model, batches, step, gradient=lambda g: g):
    """Parameters after each batch: gradients by PyTorch, steps by a function of NumPy."""
    model = copy.deepcopy(model)
    states = [{} for _ in model.parameters()]
    for t, x in enumerate(batches, 1):
        model.zero_grad()
        loss_of(model, x).backward()
        with torch.no_grad():
            for p, state in zip(model.parameters(), states):
                new = step(t, p.numpy(), gradient(p.grad.numpy()), state)
                assert new.dtype == F32
                p.copy_(torch.from_numpy(new))
    return list(model.parameters()), states


MODES = [{"foreach": False}, {"foreach": True}, {"fused": True}]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_sgd_with_momentum_equals_numpy_with_states_quantized_by_hand(mode):
    model = net()

    def step(t, p, g, state):  # all factors are powers of two: nothing is fused
        v = g if t == 1 else F32(0.5) * state["momentum_buffer"] + g
        p = p - F32(0.125) * v
        state["momentum_buffer"] = bfloat16(v)
        return fixed(p, 12, 9)

    wanted, states = by_numpy(model, data(), step, lambda g: fixed(g, 8, 4))
    tqt.quantize_model(model, gradients={"": {"weight": "nearest,8,4", "bias": "nearest,8,4"}})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5, **mode)
    tqt.quantize_optimizer(optimizer, model, {"": {"state": "bf16", "update": "nearest,12,9"}})
    train(model, optimizer, data())
    assert hands.same_bits(list(model.parameters()), wanted)
    for p, state in zip(model.parameters(), states):
        got = optimizer.state[p]["momentum_buffer"]
        assert hands.same_bits(got, torch.from_numpy(state["momentum_buffer"]))


@pytest.mark.parametrize("mode", MODES[:2], ids=str)
def test_adam_equals_numpy_with_states_quantized_by_hand(mode):
    model = net()
    lr, beta1, beta2, eps = 0.125, 0.5, 0.75, 2.0**-10

    def step(t, p, g, state):
        m = state.get("exp_avg", np.zeros_like(p))
        v = state.get("exp_avg_sq", np.zeros_like(p))
        m = g - (g - m) * F32(0.5)
        v = F32(beta2) * v + F32(1 - beta2) * g * g  # gradients have few bits: exact
        root = np.sqrt(v) / F32((1 - beta2**t) ** 0.5) + F32(eps)
        p = p + F32(-lr / (1 - beta1**t)) * m / root
        state["exp_avg"], state["exp_avg_sq"] = bfloat16(m), fixed(v, 16, 10)
        return fixed(p, 16, 12)

    wanted, states = by_numpy(model, data(), step, lambda g: fixed(g, 8, 4))
    tqt.quantize_model(model, gradients={"": {"weight": "nearest,8,4", "bias": "nearest,8,4"}})
    optimizer = torch.optim.Adam(model.parameters(), lr, (beta1, beta2), eps, **mode)
    places = {"state": "nearest,16,10", "exp_avg": "bf16", "update": "nearest,16,12"}
    tqt.quantize_optimizer(optimizer, model, {"": places})
    train(model, optimizer, data())
    assert hands.same_bits(list(model.parameters()), wanted)
    for p, state in zip(model.parameters(), states):
        for name in ("exp_avg", "exp_avg_sq"):
            assert hands.same_bits(optimizer.state[p][name], torch.from_numpy(state[name]))
    assert {int(optimizer.state[p]["step"]) for p in model.parameters()} == {5}


OPTIMIZERS = [
    (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (torch.optim.Adam, {"amsgrad": True}),
    (torch.optim.AdamW, {}),
    (torch.optim.RMSprop, {"momentum": 0.9, "centered": True}),
    (torch.optim.Adagrad, {}),
    (torch.optim.Adadelta, {}),
    (torch.optim.NAdam, {}),
    (torch.optim.RAdam, {}),
    (torch.optim.Adamax, {}),
    (torch.optim.ASGD, {}),
    (torch.optim.Rprop, {}),
]


@pytest.mark.parametrize("kind, settings", OPTIMIZERS, ids=lambda one: getattr(one, "__name__", ""))
def test_all_states_of_a_parameters_shape_are_values_of_their_format(kind, settings):
    model = net()
    model.scale = nn.Parameter(torch.tensor(1.5))  # its shape is that of `step`
    optimizer = kind(model.parameters(), lr=0.01, **settings)
    plain = copy.deepcopy(model)
    other = kind(plain.parameters(), lr=0.01, **settings)
    tqt.quantize_optimizer(optimizer, model, "bf16")
    for m, o in ((model, optimizer), (plain, other)):
        for x in data(3):
            o.zero_grad()
            (loss_of(m, x) * m.scale).backward()
            o.step()
    for p, q in zip(model.parameters(), plain.parameters()):
        assert hands.same_bits(
            p, torch.from_numpy(bfloat16(p.detach().numpy().reshape(-1))).view(p.shape)
        )
        assert list(optimizer.state[p]) == list(other.state[q])
        for name, state in optimizer.state[p].items():
            if not isinstance(state, torch.Tensor) or name in ("step", "mu_product", "eta", "mu"):
                assert state == other.state[q][name]
            else:
                assert hands.same_bits(
                    state, torch.from_numpy(bfloat16(state.numpy().reshape(-1))).view(p.shape)
                )
    assert "tensorquant_step" not in optimizer.param_groups[0]  # nothing is random


def test_random_streams_have_the_parameters_name_the_role_and_the_optimizers_step():
    model = nn.Sequential(nn.Linear(8, 8))
    tqt.quantize_model(model, gradients={"0": {"weight": "stochastic,8,4"}}, seed=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125, momentum=0.5)
    maps = {"": {"state": "stochastic,8,5", "update": "stochastic,12,8"}}
    tqt.quantize_optimizer(optimizer, model, maps, seed=9)
    weight = model[0].weight
    for step in range(3):
        optimizer.zero_grad()
        loss_of(model, torch.randn(3, 8)).backward()
        before, raw = weight.detach().clone(), weight.grad.clone()
        velocity = optimizer.state[weight].get("momentum_buffer", torch.zeros(8, 8)).clone()
        optimizer.step()

        def wanted(x, spec, role, seed, step=step):
            stream = tq.stream_of("0.weight", role)
            return hands.quantized(x, spec, seed=seed, stream=stream, step=step)

        g = wanted(raw, "stochastic,8,4", "gradient", 5)
        assert hands.same_bits(weight.grad, g)
        v = velocity * 0.5 + g
        state = optimizer.state[weight]["momentum_buffer"]
        assert hands.same_bits(state, wanted(v, "stochastic,8,5", "state.momentum_buffer", 9))
        p = before - 0.125 * v
        assert hands.same_bits(weight, wanted(p, "stochastic,12,8", "update", 9))


def random_training(**settings):
    model = net()
    tqt.quantize_model(model, gradients="stochastic,8,4", extrinsic="stochastic,12,8")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, **settings)
    maps = {"": {"state": "stochastic,16,12", "update": "stochastic,16,12"}}
    return model, tqt.quantize_optimizer(optimizer, model, maps)


def test_resumed_training_has_the_bits_of_uninterrupted_training():
    torch.manual_seed(3)
    model, optimizer = random_training()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    train(model, optimizer, data(3), scheduler.step)
    file = io.BytesIO()
    parts = (model, optimizer, scheduler)
    torch.save([*(part.state_dict() for part in parts), tqt.layer_steps(model)], file)
    train(model, optimizer, data(3), scheduler.step)

    torch.manual_seed(4)
    again, other = random_training()
    schedule = torch.optim.lr_scheduler.StepLR(other, 2, 0.5)
    file.seek(0)
    *states, steps = torch.load(file)
    for part, state in zip((again, other, schedule), states):
        part.load_state_dict(state)
    tqt.set_layer_steps(again, steps)
    train(again, other, data(3), schedule.step)
    assert hands.same_bits(list(model.parameters()), list(again.parameters()))


def test_accumulated_gradients_are_quantized_once_before_the_step():
    model = net()
    batches = data(2)
    for x in batches:
        loss_of(model, x).backward()
    wanted = [torch.from_numpy(fixed(p.grad.numpy(), 8, 4)) for p in model.parameters()]
    model.zero_grad()
    tqt.quantize_model(model, gradients={"": {"weight": "nearest,8,4", "bias": "nearest,8,4"}})
    optimizer = tqt.quantize_optimizer(torch.optim.SGD(model.parameters(), lr=0.1), model)
    for x in batches:
        loss_of(model, x).backward()
    optimizer.step()
    assert hands.same_bits([p.grad for p in model.parameters()], wanted)


@pytest.mark.parametrize("fused", [False, True])
def test_a_grad_scaler_scales_before_the_quantizers_and_a_step_left_out_does_not_count(fused):
    def make():
        torch.manual_seed(2)
        model = net()
        gradients = {"": {"weight": "stochastic,8,4", "bias": "stochastic,8,4"}}
        tqt.quantize_model(model, gradients=gradients)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
        return model, tqt.quantize_optimizer(optimizer, model, "stochastic,16,12")

    wanted, plain = make()
    train(wanted, plain, data(3))
    model, optimizer = make()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, growth_interval=100)
    for number, x in enumerate([data(1)[0], *data(3)]):
        optimizer.zero_grad()
        loss = loss_of(model, x) * (float("inf") if number == 0 else 1)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 2.0**11  # the first step was left out
    assert hands.same_bits(list(model.parameters()), list(wanted.parameters()))
    assert optimizer.param_groups[0]["tensorquant_step"] == 3


@pytest.mark.parametrize("by_name", [False, True])
def test_gradients_that_a_closure_computes_are_quantized(by_name):
    model, x = net(), data(1)[0]
    tqt.quantize_model(model, gradients={"": {"weight": "nearest,8,2", "bias": "nearest,8,2"}})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tqt.quantize_optimizer(optimizer, model)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        return loss

    loss = optimizer.step(closure=closure) if by_name else optimizer.step(closure)
    assert loss.item() > 0
    for p in model.parameters():
        assert hands.same_bits(p.grad, torch.from_numpy(fixed(p.grad.numpy(), 8, 2)))


def test_lbfgs_keeps_no_states_by_parameter_but_its_updates_are_quantized():
    model, x = net(), data(1)[0]
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    with pytest.raises(tq.Error, match="LBFGS keeps no state of single parameters"):
        tqt.quantize_optimizer(optimizer, model, "bf16")
    tqt.quantize_optimizer(optimizer, model, {"": {"update": "nearest,12,6"}})

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        return loss

    optimizer.step(closure)
    for p in model.parameters():
        assert hands.same_bits(p, torch.from_numpy(fixed(p.detach().numpy(), 12, 6)))


def test_a_layer_left_alone_and_a_parameter_without_a_gradient_stay():
    model = net()
    unused = nn.Linear(2, 2)
    both = nn.ModuleDict({"net": model, "unused": unused})
    optimizer = torch.optim.SGD(both.parameters(), lr=0.1, momentum=0.5)
    tqt.quantize_optimizer(optimizer, both, {"net.0": None, "": {"update": "nearest,6,2"}})
    before = copy.deepcopy(both.state_dict())
    train(model, optimizer, data(1))
    assert hands.same_bits(unused.weight, before["unused.weight"])
    assert not hands.same_bits(
        model[0].weight, torch.from_numpy(fixed(model[0].weight.detach().numpy(), 6, 2))
    )
    assert hands.same_bits(
        model[2].weight, torch.from_numpy(fixed(model[2].weight.detach().numpy(), 6, 2))
    )


def test_weights_that_parametrizations_make_are_quantized_as_what_the_optimizer_steps():
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    model = nn.Sequential(layer)
    tqt.quantize_model(model, gradients={"0": {"weight": "nearest,8,2"}})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tqt.quantize_optimizer(optimizer, model, {"0": {"update": "nearest,12,6"}})
    train(model, optimizer, data(1))
    originals = list(layer.parametrizations.parameters())
    assert len(originals) == 2
    for p in originals:
        assert hands.same_bits(p.grad, torch.from_numpy(fixed(p.grad.numpy(), 8, 2)))
        assert hands.same_bits(p, torch.from_numpy(fixed(p.detach().numpy(), 12, 6)))


def test_rules_that_do_nothing_are_told():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(tqt.IdleRuleWarning, match="optimizer key 'fc' hits no layer"):
        tqt.quantize_optimizer(optimizer, model, {"fc": "bf16"})
    with pytest.raises(tq.Error, match="optimizer key 'fc' hits no layer"):
        tqt.quantize_optimizer(optimizer, model, {"fc": "bf16"}, strict=True)
    tqt.quantize_optimizer(optimizer, model, {"0": {"exp_avg": "bf16"}, "2": {"state": "bf16"}})
    with pytest.warns(tqt.IdleRuleWarning) as told:
        train(model, optimizer, data(2))
    assert [str(one.message) for one in told] == [
        "optimizer \"0\" (rule 1): the optimizer has no state 'exp_avg'; it has none of a parameter's shape",
        "optimizer \"2\" (rule 2): 'state' does nothing, the optimizer has none of a parameter's shape",
    ]
    tqt.quantize_optimizer(optimizer, model, {"": {"exp_avg": "bf16"}}, strict=True)
    with pytest.raises(tq.Error, match="the optimizer has no state 'exp_avg'"):
        train(model, optimizer, data(1))


def test_an_optimizer_of_another_model_is_refused():
    with pytest.raises(tq.Error, match="the optimizer has no parameter of the model"):
        tqt.quantize_optimizer(torch.optim.SGD(net().parameters(), lr=0.1), net(), "bf16")


def test_a_second_call_and_a_new_map_of_the_model_replace_what_was_there():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tqt.quantize_model(model, gradients={"": {"weight": "binary"}})
    tqt.quantize_optimizer(optimizer, model, {"": {"update": "nearest,4,1"}})
    tqt.quantize_optimizer(optimizer, model, {"": {"update": "nearest,12,6"}})
    tqt.quantize_model(model, gradients={"": {"weight": "nearest,8,2"}})
    train(model, optimizer, data(1))
    weight = model[0].weight
    assert hands.same_bits(weight.grad, torch.from_numpy(fixed(weight.grad.numpy(), 8, 2)))
    assert hands.same_bits(weight, torch.from_numpy(fixed(weight.detach().numpy(), 12, 6)))
    assert len(weight.unique()) > 2
    tqt.strip(model)
    train(model, optimizer, data(1))
    assert not hands.same_bits(weight.grad, torch.from_numpy(fixed(weight.grad.numpy(), 8, 2)))


def test_a_stripped_model_has_float_optimizers():
    model, plain = net(), net()
    plain.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tqt.quantize_optimizer(optimizer, model, {"": {"update": "nearest,4,1"}})
    others = tqt.quantize_optimizer(
        torch.optim.SGD(plain.parameters(), lr=0.1), plain, {"": {"update": "binary"}}
    )
    tqt.strip(model)
    tqt.strip(model)
    kept = copy.deepcopy(plain.state_dict())
    train(model, optimizer, data(2))
    train(plain, torch.optim.SGD(plain.parameters(), lr=0.1), data(2))
    assert hands.same_bits(list(model.parameters()), list(plain.parameters()))
    plain.load_state_dict(kept)
    train(plain, others, data(1))  # which are those of another model
    assert all(len(p.unique()) <= 2 for p in plain.parameters())


def pickled(pair):
    file = io.BytesIO()
    torch.save(pair, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copied_optimizer_has_its_quantizers_and_steps(copied):
    model, optimizer = random_training()
    train(model, optimizer, data(1))
    again, other = copied((model, optimizer))
    assert type(other) is type(optimizer) and other.param_groups[0]["params"][0] is again[0].weight
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for m, o in ((model, optimizer), (again, other)):
            train(m, o, data(2))
    assert hands.same_bits(list(model.parameters()), list(again.parameters()))
    tqt.strip(again)
    before = copy.deepcopy(optimizer.state_dict())
    train(again, other, data(1))
    assert not hands.same_bits(again[0].weight, hands.quantized(again[0].weight, "nearest,16,12"))
    optimizer.load_state_dict(before)
    train(model, optimizer, data(1))
    assert hands.same_bits(model[0].weight, hands.quantized(model[0].weight, "nearest,16,12"))


def test_an_optimizer_copied_alone_steps_a_copy_of_its_model():
    model, optimizer = random_training()
    other = copy.deepcopy(optimizer)
    before = [p.detach().clone() for p in model.parameters()]
    for parameter in other.param_groups[0]["params"]:
        parameter.grad = torch.full_like(parameter, 0.3)
    other.step()
    assert hands.same_bits(list(model.parameters()), before)
    for parameter in other.param_groups[0]["params"]:
        assert hands.same_bits(parameter, hands.quantized(parameter, "nearest,16,12"))


def test_a_file_of_all_maps_serves_the_model_and_its_optimizer(tmp_path):
    path = tmp_path / "maps.json"
    path.write_text(
        '{"weights": "nearest,8,6", "gradients": {"": {"weight": "nearest,8,2"}},'
        ' "optimizer": {"": {"update": "nearest,12,6"}}}'
    )
    maps = tq.Override.from_file(path)
    model = net()
    tqt.quantize_model(model, maps=str(path), strict=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tqt.quantize_optimizer(optimizer, model, maps)
    train(model, optimizer, data(1))
    weight = model[0].weight
    assert hands.same_bits(weight.grad, torch.from_numpy(fixed(weight.grad.numpy(), 8, 2)))
    assert hands.same_bits(weight, torch.from_numpy(fixed(weight.detach().numpy(), 12, 6)))


def test_a_compiled_step_has_the_bits_of_an_eager_one():
    model, optimizer = random_training(capturable=False)
    again, other = random_training()
    again.load_state_dict(model.state_dict())
    torch._dynamo.reset()
    compiled = torch.compile(lambda: other.step(), backend="eager")
    for x in data(2):
        for m, o, step in ((model, optimizer, optimizer.step), (again, other, compiled)):
            o.zero_grad()
            loss_of(m, x).backward()
            step()
    assert hands.same_bits(list(model.parameters()), list(again.parameters()))
