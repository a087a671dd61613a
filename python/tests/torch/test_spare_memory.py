"""Large parameters have one memory after the other in inference, but never one that somebody holds."""

import copy
import pickle
import threading

import hands
import pytest
import torch
from torch import nn

import tensorquant.torch as tqt
from tensorquant.numbers.context import Context
from tensorquant.ops.torch import Spare, quantize_in

SPEC = "nearest,8,4"


@pytest.fixture(autouse=True)
def every_size_is_large(monkeypatch):
    monkeypatch.setattr(Spare, "LEAST", 1)


def quantized(x, spare):
    return quantize_in(x, SPEC, Context(), spare)


def test_what_nobody_holds_is_used_again():
    spare, x = Spare(), torch.randn(8, 8)
    y = quantized(x, spare)
    place = y.data_ptr()
    del y
    for smaller in (x + 1, x[:4], x[0].double()):
        y = quantized(smaller, spare)
        assert y.data_ptr() == place and torch.equal(y, hands.quantized(smaller, SPEC))
        del y
    larger = torch.randn(9, 8)
    assert hands.same_bits(quantized(larger, spare), hands.quantized(larger, SPEC))


def kept_by_autograd(y):
    with torch.enable_grad():
        return y * torch.ones_like(y, requires_grad=True)


def of_autograd(z):
    return torch.autograd.grad(z.sum(), z.grad_fn.next_functions[1][0].variable)[0]


HOLDERS = {
    "itself": (lambda y: y, lambda y: y),
    "a view": (lambda y: y.t(), lambda y: y.t()),
    "a detached one": (lambda y: y.detach(), lambda y: y),
    "an array": (lambda y: y.numpy(), torch.from_numpy),
    "bytes": (lambda y: memoryview(y.numpy()), lambda m: torch.frombuffer(m, dtype=torch.float32)),
    "a capsule": (torch.utils.dlpack.to_dlpack, torch.utils.dlpack.from_dlpack),
    "autograd": (kept_by_autograd, of_autograd),
    "a tensor for other processes": (lambda y: y.share_memory_(), lambda y: y),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_what_somebody_holds_stays(name):
    hold, read = HOLDERS[name]
    spare, x = Spare(), torch.randn(8, 8)
    held = hold(quantized(x, spare))
    for other in (x + 1, x + 2):  # the second has the memory of the first
        assert hands.same_bits(quantized(other, spare), hands.quantized(other, SPEC))
    assert hands.same_bits(read(held).reshape(8, 8).contiguous(), hands.quantized(x, SPEC))


def test_memory_that_went_to_other_processes_is_not_used_again():
    spare, x = Spare(), torch.randn(8, 8)
    y = quantized(x, spare).share_memory_()
    place = y.data_ptr()
    del y
    assert quantized(x, spare).data_ptr() != place


def test_a_users_mark_on_memory_keeps_it():
    spare, x = Spare(), torch.randn(8, 8)
    y = quantized(x, spare)
    y.untyped_storage().mark, place = "mine", y.data_ptr()
    del y
    assert quantized(x, spare).data_ptr() != place


class HandsOut(nn.Module):
    """Returns the weight that it reads."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(8, 8))
        self.line = nn.Linear(8, 8)

    def forward(self, x):
        return self.line(x @ self.table), self.table


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_weight_that_a_model_hands_out_stays_as_it_was(context):
    model, x = tqt.quantize_model(HandsOut(), weights=SPEC), torch.randn(2, 8)
    with context():
        first = model(x)
        copies = [y.clone() for y in first]
        for _ in range(3):
            model.table.data += 1
            wanted = hands.quantized_copy(tqt.strip(copy.deepcopy(model)), SPEC)(x)
            assert hands.same_bits(model(x), wanted)
    assert hands.same_bits(first, copies)


def test_training_and_inference_in_turns_give_the_bits_of_a_float_copy():
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), torch.randn(2, 8)
    by_hand = hands.quantized_copy(model, SPEC)
    tqt.quantize_model(model, weights=SPEC)
    for _ in range(2):
        with torch.no_grad():
            assert hands.same_bits(model(x), by_hand(x))
        assert hands.same_bits(hands.gradients(model, x), hands.gradients(by_hand, x))
    y = model(x)  # whose way back reads the weights
    with torch.no_grad():
        model[1].weight.data += 1
        model(x)
        model[1].weight.data -= 1
    (found,) = torch.autograd.grad(y.sum(), model[0].bias)
    (wanted,) = torch.autograd.grad(by_hand(x).sum(), by_hand[0].bias)
    assert hands.same_bits(found, wanted)


def test_threads_have_memory_of_their_own():
    model = nn.Sequential(*(nn.Linear(16, 16) for _ in range(6)))
    inputs = [torch.randn(4, 16) for _ in range(4)]
    by_hand = hands.quantized_copy(model, SPEC)
    tqt.quantize_model(model, weights=SPEC)
    with torch.no_grad():
        wanted = [by_hand(x) for x in inputs]
    wrong = []

    def work(x, y):
        with torch.no_grad():
            wrong.extend(1 for _ in range(50) if not torch.equal(model(x), y))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, wanted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_copies_have_memory_of_their_own():
    model, x = tqt.quantize_model(HandsOut(), weights=SPEC), torch.randn(2, 8)
    with torch.no_grad():
        before = model(x)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            other.table.data += 1
            other(x)
            assert hands.same_bits(model(x), before)
    spare = Spare()
    quantized(x, spare)
    assert not copy.deepcopy(spare)._kept and len(pickle.dumps(spare)) < 200
