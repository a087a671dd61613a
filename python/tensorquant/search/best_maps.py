"""From scores and costs to maps."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

from tensorquant import _core
from tensorquant.maps.override import Override
from tensorquant.search.costs import Cost
from tensorquant.search.evaluations import Evaluate, Judge, Metrics
from tensorquant.search.sensitivity import Table
from tensorquant.search.store import Store


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a path.

    Attributes:
        why: For people: "weight:conv1 nearest,8,6 -> nearest,6,4".
        score: Of the whole map after the step.
        cost: Likewise.
        choices: Likewise: of each place, by number.
        maps: The map itself.
    """

    why: str
    score: float
    cost: float
    choices: tuple[int, ...]
    maps: Override


@dataclasses.dataclass(frozen=True)
class Found:
    """What search() has found.

    Attributes:
        maps: The map.
        choices: Of each place, by number.
        cost: What it costs.
        metrics: On the search images.
    """

    maps: Override
    choices: tuple[int, ...]
    cost: float
    metrics: Metrics


def _by_choices(table: Table, cost: Cost) -> Any:
    return lambda choices: float(cost(table.specs(choices)))


def path(table: Table, cost: Cost) -> list[Step]:
    """From the widest choices to ever cheaper maps: each step adds the least score for the cost that it saves.

    Args:
        table: Of sensitivity().
        cost: Such as cost_of(facts).

    Raises:
        Error: A place loses all at its widest choice.
    """
    choices = [0] * len(table.places)
    steps = []
    for step in _core.path(table.scores, _by_choices(table, cost)):
        choices[step.group] = step.after
        options = table.choices[step.group]
        why = f"{table.places[step.group]} {options[step.before]} -> {options[step.after]}"
        steps.append(Step(why, step.score, step.cost, tuple(choices), table.maps(choices)))
    return steps


def search(
    evaluate: Evaluate,
    table: Table,
    cost: Cost,
    *,
    margin: float | None = None,
    budget: float | None = None,
    refine: int = 1,
    labels: Any = None,
    store: Store | None = None,
    executor: Any = None,
) -> Found:
    """The cheapest map found that keeps the accuracy, or the best one within a budget.

    Args:
        evaluate: A function from maps to logits, best of other images than the table's.
        table: Of sensitivity().
        cost: Such as cost_of(facts).
        margin: The share of accuracy that may be lost, with the standard error of that loss. Where the error alone is more than half of it, a
            warning says how many images would do.
        budget: What the map may cost, in place of a margin.
        refine: Rounds in which single changes are evaluated, two a place.
        labels: Of the images; without them the float model's answers count as right.
        store: Has the results of earlier calls.
        executor: A concurrent.futures.Executor that runs `evaluate`, for the single changes of a round at once; the result does not depend on it.

    Raises:
        Error: No map of the path holds the margin or the budget, or `evaluate` failed, with its exception as the cause.
    """
    if (margin is None) == (budget is None):
        raise _core.Error("search() takes a margin or a budget")
    judge = Judge(evaluate, labels, store, executor, "search")

    def measure(choices: Sequence[int]) -> tuple[float, float, float]:
        metrics = judge(table.maps(choices))
        return metrics.kl, metrics.loss, metrics.loss_error

    def prepare(soon: Sequence[Sequence[int]]) -> None:
        judge.all([table.maps(choices) for choices in soon])

    arguments = (table.scores, _by_choices(table, cost), measure, prepare)
    found = (
        _core.search_budget(*arguments, budget, refine)
        if margin is None
        else _core.search_margin(*arguments, margin, refine)
    )
    maps = table.maps(found.choices)
    metrics = judge(maps)
    if margin is not None:
        _warn_of_few_images(metrics, margin)
    return Found(maps, tuple(found.choices), found.cost, metrics)


def _warn_of_few_images(metrics: Metrics, margin: float) -> None:
    if not 0 < margin < 2 * metrics.loss_error:
        return
    images = _core.images_factor(metrics.loss_error, margin) * metrics.images
    warnings.warn(
        f"{metrics.images} search images tell a loss to +- {metrics.loss_error:.2%}, more than half"
        f" the margin: about {images:.0f} would do",
        stacklevel=3,
    )
