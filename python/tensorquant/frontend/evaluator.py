"""What a search evaluates: a model under maps, one after the other."""

import threading
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from tensorquant.maps.override import Override
from tensorquant.numbers.checks import Range, wrong

BatchSize = Annotated[int, Range(1, 2**31 - 1)]


class Evaluator:
    """Logits of a model under maps, for the functions of `tensorquant.search`.

    Threads may call it at once; they wait for each other, as the model is one. It can be pickled
    where the model can, for executors of processes.

    Args:
        logits: From maps to an array of shape (images, classes), which leaves the model as it was.
        labels: Of the images, or None.

    Attributes:
        labels: Those, which functions of `tensorquant.search` take if they are told no others.
    """

    def __init__(self, logits: Callable[[Override], np.ndarray], labels: np.ndarray | None):
        self._logits = logits
        self.labels = labels
        self._one_at_a_time = threading.Lock()

    def __call__(self, maps: Override) -> np.ndarray:
        """The logits under these maps, float32 of shape (images, classes)."""
        with self._one_at_a_time:
            return self._logits(maps)

    def __getstate__(self) -> dict:
        return {"logits": self._logits, "labels": self.labels}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)


def labels_of(y: Any, images: int) -> np.ndarray | None:
    """The labels as int64; of as many images, or an error."""
    if y is None:
        return None
    labels = np.asarray(y)
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise wrong("y", f"one integer for each of {images} images", y)
    return labels.astype(np.int64)


def sizes_agree(arrays: tuple, name: str = "x") -> int:
    """The size of the arrays' first axis, which is one or more and the same for all; or an error."""
    sizes = {x.shape[0] if len(x.shape) > 0 else 0 for x in arrays}
    if len(sizes) != 1 or 0 in sizes:
        raise wrong(
            name, "an array of one or more images, or a tuple of such with as many each", arrays
        )
    return sizes.pop()
