"""Run by test_layers.py: loads models and compares their outputs with files."""

import sys
from pathlib import Path

import cases
import keras
import numpy as np

import tensorquant.keras as tqk

folder = Path(sys.argv[1])
for name, (_, inputs) in cases.CASES.items():
    model = keras.models.load_model(folder / f"{name}.keras")
    with np.load(folder / f"{name}.npz") as wanted:
        found = cases.outputs(model, inputs())
        assert all(map(cases.same_bits, found, (wanted[key] for key in wanted.files))), name
    assert any(row.output for row in tqk.summary(model, print_fn=None)), name
    print(name)
