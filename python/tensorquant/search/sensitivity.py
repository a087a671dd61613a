"""What each place of a model loses at each width."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorquant import _core
from tensorquant.maps.override import Override
from tensorquant.search.store import Store

Evaluate = Callable[[Override], Any]
"""Logits, (images, classes), of the model under these maps."""

METRICS = ("images", "correct", "kl", "logit_error", "flips", "lost", "won")


@dataclasses.dataclass(frozen=True)
class Metrics:
    """How logits differ from those of the float model, on the same images.

    Attributes:
        images: How many.
        correct: How many are right.
        kl: Mean divergence of the probabilities, in nats; infinite where a logit is not finite.
        logit_error: Sum of squared differences over that of squared float logits.
        flips: Images whose largest logit is another one.
        lost: Images that only the float model gets right.
        won: Images that only the quantized model gets right.
    """

    images: int
    correct: int
    kl: float
    logit_error: float
    flips: int
    lost: int
    won: int

    @property
    def loss(self) -> float:
        """The share of accuracy that is lost."""
        return (self.lost - self.won) / self.images

    @property
    def loss_error(self) -> float:
        """Its standard error, that of paired answers."""
        difference = self.lost - self.won
        return math.sqrt(self.lost + self.won - difference**2 / self.images) / self.images


@dataclasses.dataclass(frozen=True)
class Table:
    """What sensitivity() has found.

    Attributes:
        places: Such as "weight:conv1", in the order in which they were given.
        choices: Of each place, quantizer strings, the widest first.
        metrics: Of each place and choice, with all other places float.
    """

    places: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    metrics: tuple[tuple[Metrics, ...], ...]

    @property
    def scores(self) -> list[list[float]]:
        """The KL of each place and choice."""
        return [[one.kl for one in of_place] for of_place in self.metrics]

    def specs(self, choices: Sequence[int]) -> dict[str, str]:
        """The quantizer string of each place, for a choice of each."""
        return {
            place: options[choice]
            for place, options, choice in zip(self.places, self.choices, choices)
        }

    def maps(self, choices: Sequence[int]) -> Override:
        """The maps for a choice of each place."""
        return maps_of(self.specs(choices))


def maps_of(specs: Mapping[str, str]) -> Override:
    """The maps that give places such as "weight:conv1" these quantizers."""
    return Override.from_json(_core.maps_of_places(list(specs.items())))


class Judge:
    """Compares maps with the float model, each once: the store has the others. Images go by the float model's logits and the labels."""

    def __init__(self, evaluate: Evaluate, labels: Any, store: Store | None):
        self._evaluate = evaluate
        self._store = store
        self._float = _logits(evaluate(Override()))
        self._labels = np.ascontiguousarray(
            self._float.argmax(1) if labels is None else labels, np.int64
        )
        self._images = hashlib.sha256(self._float.tobytes() + self._labels.tobytes()).hexdigest()[
            :16
        ]

    def __call__(self, maps: Override) -> Metrics:
        return self.all([maps], None)[0]

    def all(self, maps: Sequence[Override], executor: Any) -> list[Metrics]:
        """Of several maps, whose logits an executor may compute; results are those of one after the other."""
        found = [None if self._store is None else self._store.find(self._key(one)) for one in maps]
        missing = [one for one, record in zip(maps, found) if record is None]
        logits = (
            map(self._evaluate, missing)
            if executor is None
            else executor.map(self._evaluate, missing)
        )
        return [
            _metrics(self._judge(one, next(logits)) if record is None else record)
            for one, record in zip(maps, found)
        ]

    def _key(self, maps: Override) -> str:
        return json.dumps(
            {"data": self._images, "maps": json.loads(maps.to_json())}, separators=(",", ":")
        )

    def _judge(self, maps: Override, logits: Any) -> dict:
        after = _logits(logits)
        if after.shape != self._float.shape:
            raise _core.Error(
                f"evaluate() returned logits of shape {after.shape}, and {self._float.shape} without maps"
            )
        found = _core.compare_logits(self._float, after, after.shape[1], self._labels)
        record = {name: getattr(found, name) for name in METRICS}
        # JSON has no number for what is not finite.
        record |= {
            name: record[name] if math.isfinite(record[name]) else None
            for name in ("kl", "logit_error")
        }
        if self._store is not None:
            self._store.put(self._key(maps), record)
        return record


def _metrics(record: dict) -> Metrics:
    values = {name: record[name] for name in METRICS}
    return Metrics(**{name: math.inf if value is None else value for name, value in values.items()})


def _logits(logits: Any) -> np.ndarray:
    array = np.ascontiguousarray(logits, np.float32)
    if array.ndim != 2 or 0 in array.shape:
        raise _core.Error(
            f"evaluate() must return logits of shape (images, classes), not {array.shape}"
        )
    return array


def _choices(place: str, values: Any, widths: Sequence[int], cover: bool) -> tuple[str, ...]:
    if isinstance(values, (list, tuple)) and values and all(isinstance(one, str) for one in values):
        return tuple(values)
    array = np.ascontiguousarray(values, np.float32)
    if array.size == 0:
        raise _core.Error(f"{place}: the tensor is empty")
    return tuple(_core.best_fixed_point(array, width, cover) for width in widths)


def sensitivity(
    evaluate: Evaluate,
    places: Mapping[str, Any],
    widths: Iterable[int] = range(2, 9),
    *,
    labels: Any = None,
    cover: bool = False,
    store: Store | None = None,
    executor: Any = None,
) -> Table:
    """Measures what each place loses at each width, all others float.

    Args:
        evaluate: A function from maps, an Override, to logits of shape (images, classes), always of the same images.
        places: From "weight:LAYER", "bias:LAYER" or "output:LAYER" to the float tensor there, for fixed point with the fraction of the least squared
            error, or to a list of quantizer strings, the widest first.
        widths: Of fixed point.
        labels: Of the images; without them the float model's answers count as right.
        cover: Take the finest fraction that covers all values of a tensor instead.
        store: Has the results of earlier calls.
        executor: A concurrent.futures.Executor that runs `evaluate`; results do not depend on it.

    Raises:
        Error: A place, a width or logits are wrong.

    Example:
        >>> import numpy as np
        >>> import tensorquant as tq
        >>> x, w = np.eye(3, dtype=np.float32), np.array([[1.5, 0.3, -1], [0.2, 1, 0.7], [-0.1, 0.4, 2]], np.float32)
        >>> def evaluate(maps):
        ...     q = maps.weights.find("fc")
        ...     return x @ (w if q is None else q(w))
        >>> table = sensitivity(evaluate, {"weight:fc": w}, widths=[8, 3])
        >>> table.choices
        (('nearest,8,6', 'nearest,3,1'),)
        >>> table.metrics[0][0].kl < table.metrics[0][1].kl
        True
    """
    ordered = sorted(set(widths), reverse=True)
    choices = tuple(_choices(place, values, ordered, cover) for place, values in places.items())
    if not choices or not all(choices):
        raise _core.Error("sensitivity() needs a place, and a width or a quantizer for it")
    judge = Judge(evaluate, labels, store)
    names = tuple(places)
    maps = [maps_of({name: spec}) for name, specs in zip(names, choices) for spec in specs]
    found = iter(judge.all(maps, executor))
    return Table(names, choices, tuple(tuple(next(found) for _ in specs) for specs in choices))
