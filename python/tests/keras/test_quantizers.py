"""Every quantizer gives the golden vectors' bits through a layer, eager and compiled."""

import cases
import golden
import keras
import numpy as np
import pytest

import tensorquant as tq
import tensorquant.keras as tqk

VECTORS = [e for e in golden.quantizer_vectors() if "output" in e and e["type"] == "float32"]


def _identity(spec, seed=0):
    x = keras.Input(())
    layer = keras.layers.Activation("linear", name="it")
    return tqk.quantize_model(keras.Model(x, layer(x)), extrinsic={"=it": spec}, seed=seed)


@pytest.mark.parametrize("start", range(0, len(VECTORS), 25))
def test_outputs_have_the_golden_bits(start):
    for entry in VECTORS[start : start + 25]:
        x = golden.read(entry["input"], "float32")
        model = _identity(entry["quantizer"], entry.get("seed", 0))
        if "seed" in entry:  # the layer's name gives the stream
            q = tq.Quantizer(entry["quantizer"])
            wanted = q(x, seed=entry["seed"], stream=tq.stream_of("it", "output"))
        else:
            wanted = golden.read(entry["output"], "float32")
        (found,) = cases.outputs(model, x)
        assert cases.same_bits(found, wanted), entry["quantizer"]


@pytest.mark.parametrize("spec", ["nearest,8,4", "float,4,3", "fp16", "logarithmic", "sparse,0.5"])
def test_compiled_it_is_the_same(spec):
    entry = next(e for e in VECTORS if e["quantizer"] == spec)
    x = golden.read(entry["input"], "float32")
    found = _identity(spec).predict(x, batch_size=len(x), verbose=0)
    assert cases.same_bits(found, golden.read(entry["output"], "float32"))


def test_parameters_are_quantized_with_the_golden_bits():
    for entry in VECTORS[::9]:
        if "seed" in entry:
            continue
        x = golden.read(entry["input"], "float32")
        layer = keras.layers.Embedding(1, x.size, name="it")
        layer.build()
        layer.embeddings.assign(x[None])
        tqk.quantize_model(layer, weights=entry["quantizer"])
        found = keras.ops.convert_to_numpy(layer(np.zeros((1,), np.int32)))[0]
        assert cases.same_bits(found, golden.read(entry["output"], "float32")), entry["quantizer"]


def test_mixed_precision_quantizes_the_float32_variable():
    layer = keras.layers.Dense(2, use_bias=False, dtype="mixed_float16", name="it")
    layer.build((None, 2))
    layer.kernel.assign([[1 + 2**-12, 0], [0, 1]])  # float16 has no such number
    tqk.quantize_model(layer, weights="up,16,11")
    found = keras.ops.convert_to_numpy(layer(np.eye(2, dtype=np.float16)))
    assert found.dtype == np.float16
    assert cases.same_bits(found[0], np.array([1, 0], np.float16))  # 1 + 2^-11, cast to even
