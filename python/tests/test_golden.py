"""Every golden vector, bit for bit; tests/golden/README.md says whose hand made them."""

import json

import numpy as np
import pytest
from conftest import GOLDEN, assert_same_bits

import tensorquant as tq

VECTORS = GOLDEN / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text())
FORMATS = GOLDEN / "formats"
OF_FORMATS = json.loads((FORMATS / "manifest.json").read_text())


def read(name, folder=VECTORS):
    return np.fromfile(folder / name, np.float32 if name.endswith(".f32") else np.float64)


def context_of(entry):
    keys = ("seed", "stream", "step", "reduction_axis", "channel_axis")
    return {key: entry[key] for key in keys if key in entry}


def read_format(entry):
    """The input and the output of a row of formats/."""
    names = entry["input"], entry["output"]
    return (read(name, FORMATS).reshape(entry["shape"]) for name in names)


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


@pytest.mark.parametrize("entry", OF_FORMATS, ids=lambda e: e["output"])
def test_a_format_has_the_bits_of_its_vector_along_its_axes(entry):
    x, wanted = read_format(entry)
    q = tq.Quantizer(entry["quantizer"])
    assert_same_bits(q(x, **context_of(entry)), wanted)
    axes = {key: axis - x.ndim for key, axis in context_of(entry).items() if key.endswith("axis")}
    assert_same_bits(q(x, **{**context_of(entry), **axes}), wanted)
    out = x.copy()
    assert_same_bits(q(out, **context_of(entry), out=out), wanted)


def test_enough_formats_are_tested_along_axes_of_every_kind():
    kinds = {(len(e["shape"]), e.get("reduction_axis"), e.get("channel_axis")) for e in OF_FORMATS}
    assert {(2, 0, None), (2, 1, None), (4, 2, 3), (4, 1, 0), (4, 0, 1), (3, None, 0)} <= kinds


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
    for entry in OF_FORMATS:
        x, wanted = read_format(entry)
        x = make(x)
        x = x if library.name != "tensorflow" else tf.reshape(x, entry["shape"])
        y = tq.Quantizer(entry["quantizer"])(x, **context_of(entry))
        assert_same_bits(library.to_numpy(y), wanted)
