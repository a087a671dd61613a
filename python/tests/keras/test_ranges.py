"""Range reports of Keras models, against counts on their tensors, and against PyTorch's front-end."""

import cases
import keras
import numpy as np
import pytest
from keras import layers as L

import tensorquant as tq
import tensorquant.keras as tqk


def net():
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(5, name="a"), L.ReLU(name="r"), L.Dense(3, name="b")]
    )
    return model


def counts(row):
    return row.values, row.saturated, row.nonzero, row.became_zero


def fixed_counts(arrays, bits, fraction):
    """Of nearest,bits,fraction: ties go away from zero."""
    x = np.concatenate([np.asarray(array).ravel() for array in arrays]).astype(np.float64)
    units = np.floor(np.abs(x) * 2**fraction + 0.5) * np.sign(x)
    half = 2 ** (bits - 1)
    saturated = int(((units < -half) | (units > half - 1)).sum())
    return x.size, saturated, int((x != 0).sum()), int(((x != 0) & (units == 0)).sum())


def test_weights_biases_outputs_and_the_input_are_counted():
    model = net()
    batches = [cases.normal(7, 6) * 4 for _ in range(2)]
    tqk.quantize_model(
        model, weights={"a": "nearest,5,5"}, extrinsic={"input": "nearest,6,2", "b": "nearest,5,2"}
    )
    before = [cases.outputs(model, x) for x in batches]
    tqk.record_ranges(model)
    for x, wanted in zip(batches, before):
        assert all(map(cases.same_bits, [keras.ops.convert_to_numpy(model(x))], wanted))
    rows = {(row.layer, row.place): row for row in tqk.ranges(model, print_fn=None)}
    assert list(rows) == [("input", "output"), ("a", "weight"), ("a", "bias"), ("b", "output")]
    assert counts(rows["input", "output"]) == fixed_counts(batches, 6, 2)
    kernel, bias = model.get_layer("a").get_weights()
    assert counts(rows["a", "weight"]) == fixed_counts([kernel], 5, 5)  # once: it stays
    assert counts(rows["a", "bias"]) == fixed_counts([bias], 5, 5)
    assert rows["b", "output"].values == 2 * 7 * 3


def test_a_changed_weight_counts_again(capsys):
    layer = tqk.quantize_model(L.Dense(2, name="x"), weights={"": {"weight": "fp16"}})
    layer.build((None, 3))
    tqk.record_ranges(layer)
    layer(np.ones((1, 3), np.float32))
    layer.set_weights([np.ones((3, 2), np.float32), np.ones(2, np.float32)])
    for _ in range(2):
        layer(np.ones((1, 3), np.float32))
    (row,) = tqk.ranges(layer)
    assert row.values == 2 * 6
    heading = capsys.readouterr().out.splitlines()[0]
    assert heading.split("  ")[0] == "layer" and "bits a value" in heading
    tqk.record_ranges(layer, False)
    with pytest.raises(tq.Error, match=r"call record_ranges\(\) before"):
        tqk.ranges(layer)


def test_what_runs_compiled_says_that_it_counts_nothing():
    model = net()
    tqk.quantize_model(model, extrinsic={"r": "fp16"})
    x = cases.normal(4, 6)
    tqk.record_ranges(model)
    model.predict(x, verbose=0)
    if keras.backend.backend() == "torch":  # which runs eagerly
        assert tqk.ranges(model, print_fn=None)[0].values == 4 * 5
        return
    with pytest.raises(tq.Error, match="ran compiled, where no numbers can be counted"):
        tqk.ranges(model)
    model.compile(run_eagerly=True)
    tqk.record_ranges(model)
    model.predict(x, verbose=0)
    assert tqk.ranges(model, print_fn=None)[0].values == 4 * 5


def test_a_model_without_quantizers_is_refused():
    with pytest.raises(tq.Error, match=r"has no quantizers; call quantize_model\(\)"):
        tqk.record_ranges(net())
