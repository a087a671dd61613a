"""A PyTorch model for searches."""

import functools
from typing import Any

import numpy as np
import torch
from torch import nn

from tensorquant._core import Error
from tensorquant.frontend.evaluator import BatchSize, Evaluator, labels_of, sizes_agree
from tensorquant.maps.override import Override
from tensorquant.numbers.checks import checked, wrong
from tensorquant.torch.inference import in_inference, without_quantizers
from tensorquant.torch.model import quantize_model


@checked
def evaluator(model: nn.Module, x: Any, y: Any = None, *, batch_size: BatchSize = 256) -> Evaluator:
    """Makes of a model and images a function from maps to logits, for `tensorquant.search`.

    Each call runs the model in inference under the maps, batch by batch; afterwards it is as it
    was, its own quantizers included.

    Args:
        model: A module, quantized or not. It returns logits of shape (images, classes), or an
            object with such `logits`, as those of transformers.
        x: The model's argument, a tensor with a batch of images on its first axis, or a tuple of all arguments. They are where the
            model is.
        y: Labels, integers of shape (images,). Without them the float model's answers count as right.
        batch_size: So many images at a time.

    Returns:
        An Evaluator; `tensorquant.search` takes its labels from it.

    Raises:
        TypeError: Sizes do not agree, or there is no tensor in x.

    Example:
        >>> import torch
        >>> import tensorquant.search as tqs
        >>> import tensorquant.torch as tqt
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
        >>> evaluate = tqt.evaluator(model, torch.eye(4), [0, 1, 2, 0])
        >>> table = tqs.sensitivity(evaluate, {"weight:0": model[0].weight.detach().numpy()}, widths=[8, 2])
        >>> table.places
        ('weight:0',)
    """
    inputs = x if isinstance(x, tuple) else (x,)
    if not inputs or not all(isinstance(one, torch.Tensor) for one in inputs):
        raise wrong("x", "a tensor, or a tuple of them", x)
    images = sizes_agree(inputs)
    return Evaluator(functools.partial(_logits, model, inputs, batch_size), labels_of(y, images))


def _logits(
    model: nn.Module, inputs: tuple[torch.Tensor, ...], batch_size: int, maps: Override
) -> np.ndarray:
    found = []
    with in_inference(model), without_quantizers(model):
        quantize_model(model, maps=maps)
        for first in range(0, inputs[0].shape[0], batch_size):
            found.append(_tensor(model(*(x[first : first + batch_size] for x in inputs))))
    return torch.cat(found).float().cpu().numpy()


def _tensor(output: Any) -> torch.Tensor:
    logits = getattr(output, "logits", output)
    if not isinstance(logits, torch.Tensor):
        raise Error(f"the model must return logits, not {type(output).__name__}")
    return logits
