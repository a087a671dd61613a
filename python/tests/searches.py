"""What tests of tensorquant.search share: a network in NumPy, and executors that must change nothing."""

import concurrent.futures
import multiprocessing

import numpy as np


def logits(weights, x, maps):
    """Of layers named as the weights, which maps may quantize."""
    for name, weight in weights.items():
        quantizer = maps.weights.find(name)
        x = np.tanh(x @ (weight if quantizer is None else quantizer(weight)))
    return 5 * x


def expect_executors_change_nothing(answers, start):
    """answers(executor) is a table and what was found; start() makes the model, in each process."""
    start()
    serial = answers(None)
    assert serial[0].scores[0][0] < serial[0].scores[0][2]
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        assert answers(executor) == serial
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context, initializer=start) as executor:
        assert answers(executor) == serial
