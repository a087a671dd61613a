"""Every golden vector, bit for bit; tests/golden/README.md says whose hand made them."""

import json

import numpy as np
import pytest
from conftest import GOLDEN, assert_same_bits

import tensorquant as tq

VECTORS = GOLDEN / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text())


def read(name):
    return np.fromfile(VECTORS / name, np.float32 if name.endswith(".f32") else np.float64)


def context_of(entry):
    return {key: entry[key] for key in ("seed", "stream", "step") if key in entry}


def test_the_manifest_has_more_than_150_vectors():
    assert len(MANIFEST) > 150


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda e: e.get("output") or e["input_gradient"])
def test_a_quantizer_has_the_bits_of_its_vector(entry):
    q = tq.Quantizer(entry["quantizer"])
    x = read(entry["input"])
    if "input_gradient" in entry:
        dx = q.gradient(x, q(x), read(entry["output_gradient"]))
        assert_same_bits(dx, read(entry["input_gradient"]))
    else:
        assert_same_bits(q(x, **context_of(entry)), read(entry["output"]))


def test_every_library_gives_the_bits_of_the_vectors(library):
    if library.name == "tensorflow":
        import tensorflow as tf

        def make(a):  # tf.constant() may flush subnormals
            return tf.io.decode_raw(a.tobytes(), tf.as_dtype(a.dtype))
    else:
        make = library.make
    for entry in MANIFEST:
        if "output" in entry:
            y = tq.Quantizer(entry["quantizer"])(make(read(entry["input"])), **context_of(entry))
            assert_same_bits(library.to_numpy(y), read(entry["output"]))
