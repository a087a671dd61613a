"""MobileNetV2 with 8-bit weights and outputs over the float model, on each backend of Keras.

    python bench/keras/mobilenet_bench.py [--json] [--backends tensorflow torch jax]

Each backend is a process of its own. The models take turns of several batches; the ratio is the median of the turns' ratios. A turn's first batch
does not count: it pays for the memory that the other model's last batch gave back to the system, a third of PyTorch's time. Before the clock starts,
each layer's output is checked to lie on its grid.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from processor import processor_name

BACKENDS = ("tensorflow", "torch", "jax")
BATCHES_OF_TURN = 3
WEIGHTS, OUTPUTS = "nearest,8,6", "nearest,8,4"


def measure(turns, batch, size):
    """One backend, which KERAS_BACKEND names."""
    import keras
    import numpy as np

    import tensorquant as tq
    import tensorquant.keras as tqk

    keras.utils.set_random_seed(0)
    floats = keras.applications.MobileNetV2((size, size, 3), weights=None)
    quantized = keras.models.clone_model(floats)
    quantized.set_weights(floats.get_weights())
    tqk.quantize_model(quantized, weights=WEIGHTS, extrinsic=OUTPUTS)
    x = np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype(np.float32)
    check(keras, tq, quantized, x)

    def seconds_of_batch(model):
        start = time.perf_counter()
        model.predict_on_batch(x)
        return time.perf_counter() - start

    def seconds(model):
        seconds_of_batch(model)
        return statistics.median(seconds_of_batch(model) for _ in range(BATCHES_OF_TURN))

    for model in (floats, quantized) * 2:  # compiles, and warms up
        seconds(model)
    pairs = [(seconds(floats), seconds(quantized)) for _ in range(turns)]
    ratios = [q / f for f, q in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "backend": keras.backend.backend(),
        "float_ms": 1e3 * statistics.median(f for f, _ in pairs),
        "quantized_ms": 1e3 * statistics.median(q for _, q in pairs),
        "ratio": middle,
        "ratio_low": low,
        "ratio_high": high,
    }


def check(keras, tq, model, x):
    """Every layer's output must be what its quantizer makes of it, and not all the same."""
    outputs = [layer.output for layer in model.layers[1:]]
    q = tq.Quantizer(OUTPUTS)
    for layer, y in zip(
        model.layers[1:], keras.Model(model.input, outputs).predict_on_batch(x[:2])
    ):
        if y.tobytes() != q(y).tobytes():
            raise AssertionError(f"{layer.name}: the output is not on the grid")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turns < 2:
        parser.error("--turns: at least 2, for quartiles")
    if options.here:
        print(json.dumps(measure(options.turns, options.batch, options.size)))
        return
    rows = []
    for backend in options.backends:
        run = subprocess.run(
            [sys.executable, __file__, "--here"]
            + [f"--{key}={getattr(options, key)}" for key in ("turns", "batch", "size")],
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows.append(json.loads(run.stdout.splitlines()[-1]))
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"Processor: {processor_name()}\n")
    print(f"{'backend':12}{'float ms':>10}{'8 bits ms':>11}{'ratio':>8}")
    for row in rows:
        print("{backend:12}{float_ms:10.1f}{quantized_ms:11.1f}{ratio:8.2f}".format(**row))


if __name__ == "__main__":
    main()
