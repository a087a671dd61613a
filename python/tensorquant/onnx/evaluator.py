"""An ONNX model for searches."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorquant._core import Error
from tensorquant.frontend.evaluator import BatchSize, Evaluator, labels_of, sizes_agree
from tensorquant.maps.override import Override
from tensorquant.numbers.checks import checked, wrong
from tensorquant.onnx.maps import quantize_model, set_inference_step
from tensorquant.onnx.model import OnnxModel


@checked
def evaluator(model: OnnxModel, x: Any, y: Any = None, *, batch_size: BatchSize = 256) -> Evaluator:
    """Makes of a model and samples a function from maps to logits, for `tensorquant.search`.

    Each call runs the model under the maps, batch by batch; afterwards it is as it was, its own
    quantizers included. The step of random rounding is the number of the batch.

    Args:
        model: A model whose first output is float32 of shape (samples, classes): logits, or what a
            Softmax makes of them, whose logarithms are taken then.
        x: A dictionary of arrays by the names of the model's inputs, or an array where there is one
            input, with the samples on their first axes.
        y: Labels, integers of shape (samples,). Without them the float model's answers count as
            right.
        batch_size: So many samples at a time; where the file fixes a number it is that one.

    Returns:
        An Evaluator; `tensorquant.search` takes its labels from it.

    Raises:
        TypeError: Sizes do not agree.
        tensorquant.Error: The samples do not fit the model, or its first output is no such array.
    """
    arrays = _arrays(model, x)
    samples = sizes_agree(tuple(arrays.values()))
    size = _fixed_batch(model) or batch_size
    if _fixed_batch(model) and samples % size:
        raise Error(
            f"the model takes batches of {size}, and {samples} samples are no multiple of that"
        )
    labels = labels_of(y, samples)
    model.check_inputs(_batch(arrays, 0, size))
    return Evaluator(functools.partial(_logits, model, arrays, samples, size), labels)


def _arrays(model, x):
    if isinstance(x, Mapping):
        return {name: np.asarray(array) for name, array in x.items()}
    if len(model.inputs) != 1:
        names = ", ".join(f"'{port.name}'" for port in model.inputs)
        raise wrong("x", f"a dictionary of {names}", x)
    return {model.inputs[0].name: np.asarray(x)}


def _fixed_batch(model):
    """How many samples the file takes at a time; 0 for any number."""
    first = [port.shape[0] for port in model.inputs if port.shape]
    return next((size for size in first if isinstance(size, int) and size > 0), 0)


def _batch(arrays, first, size):
    return {name: array[first : first + size] for name, array in arrays.items()}


def _logits(model, arrays, samples, size, maps: Override) -> np.ndarray:
    own = model.quantized, model.recorder, model.step
    found = []
    try:
        quantize_model(model, maps=maps)
        for number, first in enumerate(range(0, samples, size)):
            set_inference_step(model, number)
            output = next(iter(model.run(_batch(arrays, first, size)).values()))
            rows = min(size, samples - first)
            if output.ndim != 2 or output.shape[0] != rows or output.dtype != np.float32:
                raise Error(
                    f"the model's first output is {output.dtype}{list(output.shape)}: a search"
                    f" compares float32 rows, one for each of {rows} samples"
                )
            found.append(output)
    finally:
        model.quantized, model.recorder, model.step = own
    logits = np.concatenate(found)
    return (
        np.log(np.maximum(logits, np.finfo(np.float32).tiny)) if _ends_in_softmax(model) else logits
    )


def _ends_in_softmax(model):
    name = model.outputs[0].name
    return any(node.op_type == "Softmax" and name in node.output for node in model.flat.graph.node)
