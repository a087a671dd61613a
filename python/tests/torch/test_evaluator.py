"""tensorquant.torch.evaluator: logits of a model under maps, which is then as it was."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

import tensorquant as tq
import tensorquant.search as tqs
import tensorquant.torch as tqt

X = torch.arange(300, dtype=torch.float32).remainder(17).sub(8).reshape(50, 6) / 4
MAPS = tq.Override(weights="nearest,4,2", extrinsic={"=1": "nearest,4,1"})


def net():
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 4))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-9, 10, parameter.shape, generator=generator) / 8)
    return model


def by_hand(model, x):
    first, last = model[0], model[3]
    q = {n: tq.Quantizer("nearest,4,2") for n in range(4)}
    w = [
        q[n](p.detach().numpy())
        for n, p in enumerate((first.weight, first.bias, last.weight, last.bias))
    ]
    h = tq.Quantizer("nearest,4,1")(np.maximum(x.numpy() @ w[0].T + w[1], 0))
    return h @ w[2].T + w[3]  # all of it is exact in float32


@pytest.mark.parametrize("batch_size", [1, 7, 50, 256])
def test_logits_are_those_of_the_quantized_model(batch_size):
    model = net()
    found = tqt.evaluator(model, X, batch_size=batch_size)(MAPS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, by_hand(model, X))


def test_a_model_is_left_with_its_own_quantizers_and_mode():
    model = tqt.quantize_model(net(), weights={"=3": "binary"})
    rows = tqt.summary(model, None)
    model[2].eval()
    modes = [module.training for module in model.modules()]
    evaluate = tqt.evaluator(model, X)
    assert not np.array_equal(evaluate(MAPS), evaluate(tq.Override()))
    with pytest.raises(tq.Error, match="fc9"):
        evaluate(tq.Override(weights={"=fc9": "binary"}, strict=True))
    assert tqt.summary(model, None) == rows
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())


def test_maps_bring_their_seed():
    evaluate = tqt.evaluator(net(), X)
    maps = [tq.Override(weights="stochastic,3,1", seed=seed) for seed in (1, 1, 2)]
    first, again, other = map(evaluate, maps)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_search_takes_its_labels():
    labels = np.zeros(50, np.int64)
    evaluate = tqt.evaluator(net(), X, labels)
    [metrics] = tqs.sweep(evaluate, [tq.Override()])
    assert metrics.correct == (evaluate(tq.Override()).argmax(1) == 0).sum() < 50
    [told] = tqs.sweep(evaluate, [tq.Override()], labels=labels + 1)
    assert told.correct == (evaluate(tq.Override()).argmax(1) == 1).sum()


def test_several_arguments_logits_by_name_and_copies():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(6, 4)

        def forward(self, x, y):
            return type("Output", (), {"logits": self.fc(x + y)})()

    found = tqt.evaluator(Named(), (X, X))(tq.Override())
    assert found.shape == (50, 4)
    evaluate = tqt.evaluator(nn.Bilinear(6, 6, 3), (X, X), np.ones(50, np.int64))
    copy = pickle.loads(pickle.dumps(evaluate))
    assert np.array_equal(copy(MAPS), evaluate(MAPS))
    assert np.array_equal(copy.labels, evaluate.labels)


def test_what_is_wrong_is_said_at_once():
    model = net()
    for x, y, name in (
        ([1.0], None, "x"),
        ((), None, "x"),
        (torch.zeros(0, 6), None, "x"),
        ((X, X[:3]), None, "x"),
        (X, [1, 2], "y"),
        (X, np.zeros(50), "y"),
    ):
        with pytest.raises(TypeError, match=f"^{name}"):
            tqt.evaluator(model, x, y)
    with pytest.raises(tq.Error, match="batch_size"):
        tqt.evaluator(model, X, batch_size=0)
    with pytest.raises(tq.Error, match="logits"):
        tqt.evaluator(nn.LSTM(6, 3), X)(tq.Override())
