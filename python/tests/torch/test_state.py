"""A quantized model's state: copied, saved, shared by threads, and left alone by errors."""

import copy
import io
import pickle
import subprocess
import sys
import threading

import hands
import models
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.torch as tqt

MAPS = {"weights": "nearest,8,4", "extrinsic": "nearest,12,6"}


def quantized(name):
    model, x = models.make(name)
    return tqt.quantize_model(model.eval(), **MAPS), x


def through_torch_save(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": through_torch_save,
}


@pytest.mark.filterwarnings("ignore::tensorquant.torch.IdleRuleWarning")
@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", models.MODELS)
def test_a_copy_is_quantized_alike_and_stands_alone(name, way, is_used):
    model, x = quantized(name)
    if is_used:
        model(x)
    other = COPIES[way](model)
    assert hands.same_bits(other(x), model(x))
    assert tqt.summary(other, print_fn=None) == tqt.summary(model, print_fn=None)
    before = model(x)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert hands.same_bits(model(x), before)


def test_a_saved_model_opens_in_a_process_that_has_imported_nothing(tmp_path):
    model, x = nn.Sequential(nn.LSTM(3, 4)), torch.randn(5, 2, 3)
    tqt.quantize_model(model.eval(), weights="nearest,8,4", extrinsic="stochastic,12,6", seed=3)
    torch.save((model, x, model(x)[0]), tmp_path / "model.pt")
    program = (
        "import torch; model, x, y = torch.load('model.pt', weights_only=False);"
        "assert torch.equal(model(x)[0], y); print(type(model[0]).__name__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "LSTM\n"), run.stderr


@pytest.mark.parametrize("name", models.MODELS)
def test_state_dict_and_parameters_are_those_of_the_float_model(name):
    model, _ = models.make(name)
    before = copy.deepcopy(model.state_dict())
    parameters = list(model.parameters())
    tqt.quantize_model(model, **MAPS)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    other, _ = models.make(name)
    other.load_state_dict(after)
    model.load_state_dict(other.state_dict(), assign=True)


@pytest.mark.parametrize("name", ["resnet", "encoder", "recurrent", "language"])
def test_four_threads_get_the_bits_of_one(name):
    model, x = quantized(name)
    wanted = model(x)
    wrong = []

    def work():
        for _ in range(40):
            if not hands.same_bits(model(x), wanted):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("name", ["resnet", "recurrent"])
def test_an_error_in_a_forward_leaves_nothing_behind(name):
    model, x = quantized(name)
    wanted = model(x)
    with pytest.raises((RuntimeError, ValueError)):
        model(x[:, :, :1])
    assert all(type(p) is nn.Parameter for p in model.parameters())
    assert hands.same_bits(model(x), wanted)
    assert hands.same_bits(copy.deepcopy(model)(x), wanted)


def test_a_forward_that_writes_to_a_parameter_is_refused():
    class Clamped(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(3))

        def forward(self, x):
            with torch.no_grad():
                self.w.clamp_(-0.1, 0.1)
            return x * self.w

    model = tqt.quantize_model(nn.Sequential(Clamped()), weights="nearest,8,4")
    with pytest.raises(tq.Error, match=r"layer '0' \(Clamped\): its forward\(\) writes to the p"):
        model(torch.ones(3))


def test_a_parametrized_layer_is_copied_with_its_quantizers():
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))
    model, x = nn.Sequential(layer).eval(), torch.randn(2, 4)
    tqt.quantize_model(model, **MAPS)
    other = copy.deepcopy(model)
    assert hands.same_bits(other(x), model(x))
    assert tqt.summary(other, print_fn=None) == tqt.summary(model, print_fn=None)


def test_changes_after_quantizing_are_seen():
    model, x = quantized("resnet")
    with torch.no_grad():
        model.fc.weight.mul_(2)
    model.fc.bias = nn.Parameter(torch.randn(5))
    by_hand = tqt.quantize_model(tqt.strip(copy.deepcopy(model)), **MAPS)
    assert hands.same_bits(model(x), by_hand(x))
    assert model.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16


def test_training_changes_the_float_parameters():
    model, x = models.make("resnet")
    tqt.quantize_model(model, weights="nearest,8,4,grad=clipped", extrinsic="nearest,12,6")
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    labels = torch.tensor([0, 3])
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_inputs_of_a_subclass_of_tensor_go_through():
    class Named(torch.Tensor):
        pass

    model, x = quantized("resnet")
    tqt.quantize_model(model, **{**MAPS, "extrinsic": {"re:.*": "nearest,12,6"}})
    with torch.no_grad():
        wanted = model(x)
        found = model(x.as_subclass(Named))
    assert type(found) is Named
    assert hands.same_bits(found.as_subclass(torch.Tensor), wanted)
