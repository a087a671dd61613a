"""What maps lose, each evaluated once."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


class Judge:
    """Compares maps with the float model, each once: the store has the others.

    Images go by the float model's logits and the labels. An executor computes logits alone: this
    process compares them, and writes the store.

    Args:
        evaluate: A function from maps to logits.
        labels: Of the images; if left out those of `evaluate.labels`, or else what the float model answers.
        store: Of earlier results; without one they live as long as the judge.
        executor: A concurrent.futures.Executor; without one each evaluation waits for the last.
        purpose: What the images are for: "score", "search" or "test".
    """

    def __init__(
        self, evaluate: Evaluate, labels: Any, store: Store | None, executor: Any, purpose: str
    ):
        if not (executor is None or callable(getattr(executor, "submit", None))):
            raise _core.Error(
                f"executor must be a concurrent.futures.Executor, not {type(executor).__name__}"
            )
        self._evaluate = evaluate
        self._executor = executor
        self._purpose = purpose
        self._store = _Memory() if store is None else store
        self._for_all([Override()], self._set_float)
        if labels is None:
            labels = getattr(evaluate, "labels", None)
        self._labels = np.ascontiguousarray(
            self._float.argmax(1) if labels is None else labels, np.int64
        )
        self._images = hashlib.sha256(self._float.tobytes() + self._labels.tobytes()).hexdigest()[
            :16
        ]

    def __call__(self, maps: Override) -> Metrics:
        return self.all([maps])[0]

    def all(self, maps: Sequence[Override]) -> list[Metrics]:
        """Of several maps, in their order, whoever finishes first."""
        keys = [self._key(one) for one in maps]
        missing = {key: one for key, one in zip(keys, maps) if self._store.find(key) is None}
        self._for_all(list(missing.values()), self._put)
        return [_metrics(self._store.find(key)) for key in keys]

    def _set_float(self, _: Override, logits: Any) -> None:
        self._float = _as_array(logits)

    def _key(self, maps: Override) -> str:
        key = {"data": self._images, "maps": json.loads(maps.to_json())}
        if maps.seed != 0:
            key["seed"] = maps.seed
        return json.dumps(key, separators=(",", ":"))

    def _for_all(self, maps: Sequence[Override], take: Callable[[Override, Any], None]) -> None:
        """Hands the logits of each map to `take`. After a failure no new map is begun; those that run already are taken."""
        if self._executor is None:
            for one in maps:
                with _naming(one):
                    take(one, self._evaluate(one))
            return
        waiting = {self._executor.submit(self._evaluate, one): i for i, one in enumerate(maps)}
        errors = {}
        try:
            for future in concurrent.futures.as_completed(list(waiting)):
                number = waiting.pop(future)  # with its logits
                if future.cancelled():
                    continue
                try:
                    with _naming(maps[number]):
                        take(maps[number], future.result())
                except _core.Error as error:
                    errors[number] = error
                    _cancel(waiting)
        finally:
            _cancel(waiting)
        if errors:
            raise errors[min(errors)]

    def _put(self, maps: Override, logits: Any) -> None:
        after = _as_array(logits)
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
        record |= {"maps": json.loads(maps.to_json()), "purpose": self._purpose}
        self._store.put(self._key(maps), record)


class _Memory:
    """What a judge without a store keeps."""

    def __init__(self):
        self._records = {}

    def find(self, key: str) -> dict | None:
        return self._records.get(key)

    def put(self, key: str, record: dict) -> None:
        self._records[key] = record


def _cancel(futures: Iterable[concurrent.futures.Future]) -> None:
    for future in futures:
        future.cancel()


@contextlib.contextmanager
def _naming(maps: Override) -> Iterator[None]:
    """Makes whatever is raised inside one error, of one line, that says for which maps."""
    try:
        yield
    except Exception as error:
        kind = "" if isinstance(error, _core.Error) else f"{type(error).__name__}: "
        reason = (str(error).splitlines() or [""])[0]
        raise _core.Error(f"no result of maps {maps.to_json()}: {kind}{reason}") from error


def _metrics(record: Mapping[str, Any]) -> Metrics:
    values = {name: record[name] for name in METRICS}
    return Metrics(**{name: math.inf if value is None else value for name, value in values.items()})


def _as_array(logits: Any) -> np.ndarray:
    array = np.ascontiguousarray(logits, np.float32)
    if array.ndim != 2 or 0 in array.shape:
        raise _core.Error(
            f"evaluate() must return logits of shape (images, classes), not {array.shape}"
        )
    return array


def sweep(
    evaluate: Evaluate,
    maps: Iterable[Override],
    *,
    labels: Any = None,
    store: Store | None = None,
    executor: Any = None,
    purpose: str = "test",
) -> list[Metrics]:
    """Measures what maps of your own lose, such as those that search() has found, on other images.

    Args:
        evaluate: A function from maps to logits of shape (images, classes), always of the same images.
        maps: Any; those with a seed are evaluated with it.
        labels: Of the images; if left out those of `evaluate.labels`, or else what the float model answers.
        store: Has the results of earlier calls.
        executor: A concurrent.futures.Executor that runs `evaluate`; results do not depend on it.
        purpose: What a report calls the images.

    Returns:
        Metrics in the order of the maps.

    Raises:
        Error: `evaluate` failed, with its exception as the cause. The results before are in the store.

    Example:
        >>> import numpy as np
        >>> import tensorquant as tq
        >>> x = np.eye(3, dtype=np.float32)
        >>> def evaluate(maps):
        ...     q = maps.weights.find("fc")
        ...     return x if q is None else q(x)
        >>> [one.flips for one in sweep(evaluate, [tq.Override(weights={"fc": spec}) for spec in ("fp16", "nearest,2,3")])]
        [0, 0]
    """
    return Judge(evaluate, labels, store, executor, purpose).all(list(maps))
