"""tensorquant.search on a Keras model, in threads and in processes that have a model each."""

import threading

import keras
import numpy as np
from searches import expect_executors_change_nothing

import tensorquant.keras as tqk
import tensorquant.search as tqs

MODEL = None
ONE_AT_A_TIME = threading.Lock()


def start():
    global MODEL
    MODEL = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(12, activation="relu", name="hidden"),
            keras.layers.Dense(4, name="fc"),
        ]
    )
    random = np.random.default_rng(3)
    MODEL.set_weights([random.integers(-9, 10, w.shape) / 8 for w in MODEL.get_weights()])


def evaluate(maps):
    x = (np.arange(300, dtype=np.float32) % 17 - 8).reshape(50, 6) / 4
    with ONE_AT_A_TIME:
        try:
            return keras.ops.convert_to_numpy(tqk.quantize_model(MODEL, maps=maps)(x))
        finally:
            tqk.strip(MODEL)


def answers(executor):
    places = {f"weight:{one.name}": keras.ops.convert_to_numpy(one.kernel) for one in MODEL.layers}
    table = tqs.sensitivity(evaluate, places, widths=[8, 4, 2], executor=executor)
    cost = tqs.cost_of(tqk.layer_facts(MODEL), "bits")
    budget = 0.7 * cost(table.specs([0, 0]))
    return table, tqs.search(evaluate, table, cost, budget=budget, executor=executor)


def test_executors_change_nothing():
    expect_executors_change_nothing(answers, start)
