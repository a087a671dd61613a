"""A Keras model for searches."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from tensorquant.frontend.evaluator import BatchSize, Evaluator, labels_of, sizes_agree
from tensorquant.keras.backend import without_gradients
from tensorquant.keras.inference import without_quantizers
from tensorquant.keras.model import quantize_model
from tensorquant.maps.override import Override
from tensorquant.numbers.checks import checked, wrong


@checked
def evaluator(
    model: keras.layers.Layer, x: Any, y: Any = None, *, batch_size: BatchSize = 256
) -> Evaluator:
    """Makes of a model and images a function from maps to logits, for `tensorquant.search`.

    Each call runs the model in inference under the maps, batch by batch; afterwards it is as it
    was, its own quantizers included.

    Args:
        model: A Keras model or layer, quantized or not. It returns logits of shape (images, classes).
        x: An array with the images on its first axis, or a tuple of arrays for a model with several inputs.
        y: Labels, integers of shape (images,). Without them the float model's answers count as right.
        batch_size: So many images at a time.

    Returns:
        An Evaluator; `tensorquant.search` takes its labels from it.

    Raises:
        TypeError: Sizes do not agree, or x is no array.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import tensorquant.keras as tqk
        >>> import tensorquant.search as tqs
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc")])
        >>> evaluate = tqk.evaluator(model, np.eye(4, dtype=np.float32), [0, 1, 2, 0])
        >>> kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
        >>> tqs.sensitivity(evaluate, {"weight:fc": kernel}, widths=[8, 2]).places
        ('weight:fc',)
    """
    inputs = x if isinstance(x, tuple) else (x,)
    if not inputs or not all(hasattr(one, "shape") and hasattr(one, "dtype") for one in inputs):
        raise wrong("x", "an array, or a tuple of them", x)
    images = sizes_agree(inputs)
    return Evaluator(functools.partial(_logits, model, inputs, batch_size), labels_of(y, images))


def _logits(
    model: keras.layers.Layer, inputs: tuple[Any, ...], batch_size: int, maps: Override
) -> np.ndarray:
    found = []
    with without_quantizers(model), without_gradients():
        quantize_model(model, maps=maps)
        for first in range(0, inputs[0].shape[0], batch_size):
            batch = [one[first : first + batch_size] for one in inputs]
            found.append(
                ops.convert_to_numpy(model(batch if len(batch) > 1 else batch[0], training=False))
            )
    return np.concatenate(found).astype(np.float32)
