"""tensorquant.search on a PyTorch module, in threads and in processes that have a module each."""

import torch
from searches import expect_executors_change_nothing
from torch import nn

import tensorquant.search as tqs
import tensorquant.torch as tqt

MODEL = None


def start():
    global MODEL
    generator = torch.Generator().manual_seed(3)
    MODEL = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4))
    with torch.no_grad():
        for parameter in MODEL.parameters():
            parameter.copy_(torch.randint(-9, 10, parameter.shape, generator=generator) / 8)


def answers(executor):
    x = torch.arange(300, dtype=torch.float32).remainder(17).sub(8).reshape(50, 6) / 4
    evaluate = tqt.evaluator(MODEL, x)
    places = {f"weight:{n}": MODEL[n].weight.detach().numpy() for n in (0, 2)}
    table = tqs.sensitivity(evaluate, places, widths=[8, 4, 2], executor=executor)
    cost = tqs.cost_of(tqt.layer_facts(MODEL, torch.zeros(1, 6)), "bits")
    budget = 0.7 * cost(table.specs([0, 0]))
    return table, tqs.search(evaluate, table, cost, budget=budget, executor=executor)


def test_executors_change_nothing():
    expect_executors_change_nothing(answers, start)
