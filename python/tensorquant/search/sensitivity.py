"""What each place of a model loses at each width."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorquant import _core
from tensorquant.maps.override import Override
from tensorquant.search.evaluations import Evaluate, Judge, Metrics
from tensorquant.search.store import Store


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
        labels: Of the images; if left out those of `evaluate.labels`, or else what the float model answers.
        cover: Take the finest fraction that covers all values of a tensor instead.
        store: Has the results of earlier calls.
        executor: A concurrent.futures.Executor that runs `evaluate`; results do not depend on it.

    Raises:
        Error: A place, a width or logits are wrong, or `evaluate` failed, with its exception as the cause. The results before are in
            the store.

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
    judge = Judge(evaluate, labels, store, executor, "score")
    names = tuple(places)
    maps = [maps_of({name: spec}) for name, specs in zip(names, choices) for spec in specs]
    found = iter(judge.all(maps))
    return Table(names, choices, tuple(tuple(next(found) for _ in specs) for specs in choices))
