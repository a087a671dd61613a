"""The golden vectors of tests/golden, which are by another hand than the code."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[3] / "tests" / "golden"
VECTORS = FOLDER / "vectors"
FORMATS = FOLDER / "formats"


def read(name, dtype):
    return np.fromfile(VECTORS / name, np.dtype(dtype).newbyteorder("<"))


def quantizer_vectors():
    return json.loads((VECTORS / "manifest.json").read_text())


def format_vectors():
    return json.loads((FORMATS / "manifest.json").read_text())


def read_format(entry, name):
    """The "input" or "output" of one of them."""
    return np.fromfile(FORMATS / entry[name], "<f4").reshape(entry["shape"])


def context_of(entry):
    return {key: entry.get(key, 0) for key in ("seed", "stream", "step")}


def arithmetic_vectors(kind):
    """But for those with scales, which no Operation has."""
    with (FOLDER / "arithmetic.jsonl").open() as lines:
        entries = [entry for entry in map(json.loads, lines) if entry["kind"] == kind]
    return [e for e in entries if not any((e.get("scales") or {}).values())]


def format_of(entry, operand):
    """A quantizer with the smallest normal exponent that a vector gives to its data or weights."""
    return {None: None, -6: "e4m3fn", -14: "fp16"}[entry.get(f"{operand}_min_exponent")]


def from_hex(digits, dtype, shape):
    """Bit patterns, one after the other."""
    values = np.frombuffer(bytes.fromhex(digits), np.dtype(dtype).newbyteorder(">"))
    return values.astype(dtype).reshape(shape)


VALUE_KINDS = (
    *("products", "function", "add", "sub", "mul", "div", "softmax", "log_softmax"),
    *("layer_norm", "rms_norm", "group_norm"),
)


def value_vectors(kind):
    with (FOLDER / "arithmetic_values.jsonl").open() as lines:
        return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]
