"""From scores and costs to maps."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
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


class _Groups:
    """Places that share a choice, by number; without ties each is alone."""

    def __init__(self, table: Table, tie: Iterable[str]):
        self.table = table
        self.members = _core.groups_of(
            list(table.places), [tie] if isinstance(tie, str) else list(tie)
        )
        for first, *others in self.members:
            for other in others:
                if len(table.choices[first]) != len(table.choices[other]):
                    raise _core.Error(
                        f"{table.places[first]} and {table.places[other]} are tied, and have"
                        f" {len(table.choices[first])} and {len(table.choices[other])} choices"
                    )
        scores = table.scores
        self.scores = [
            [
                math.fsum(scores[place][choice] for place in group)
                for choice in range(len(scores[group[0]]))
            ]
            for group in self.members
        ]

    def choices(self, of_groups: Sequence[int]) -> tuple[int, ...]:
        """Of each place."""
        choices = [0] * len(self.table.places)
        for group, choice in zip(self.members, of_groups):
            for place in group:
                choices[place] = choice
        return tuple(choices)

    def maps(self, of_groups: Sequence[int]) -> Override:
        return self.table.maps(self.choices(of_groups))

    def cost(self, cost: Cost) -> Callable[[Sequence[int]], float]:
        return lambda of_groups: float(cost(self.table.specs(self.choices(of_groups))))


def path(table: Table, cost: Cost, *, tie: Iterable[str] = ()) -> list[Step]:
    """From the widest choices to ever cheaper maps: each step adds the least score for the cost that it saves.

    Args:
        table: Of sensitivity().
        cost: Such as cost_of(facts).
        tie: Places that share a choice: "weights", "biases", "outputs", or a regular expression; one or more. Their scores add up.

    Raises:
        Error: A place loses all at its widest choice, a tie hits nothing, or tied places differ in their number of choices.
    """
    groups = _Groups(table, tie)
    at = [0] * len(groups.members)
    steps = []
    for step in _core.path(groups.scores, groups.cost(cost)):
        at[step.group] = step.after
        why = ", ".join(
            f"{table.places[i]} {table.choices[i][step.before]} -> {table.choices[i][step.after]}"
            for i in groups.members[step.group]
        )
        steps.append(Step(why, step.score, step.cost, groups.choices(at), groups.maps(at)))
    return steps


def search(
    evaluate: Evaluate,
    table: Table,
    cost: Cost,
    *,
    margin: float | None = None,
    budget: float | None = None,
    tie: Iterable[str] = (),
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
        tie: Places that share a choice, as in path().
        refine: Rounds in which single changes are evaluated, two a place.
        labels: Of the images; if left out those of `evaluate.labels`, or else what the float model answers.
        store: Has the results of earlier calls.
        executor: A concurrent.futures.Executor that runs `evaluate`, for the single changes of a round at once; the result does not depend on it.

    Raises:
        Error: No map of the path holds the margin or the budget, or `evaluate` failed, with its exception as the cause.
    """
    if (margin is None) == (budget is None):
        raise _core.Error("search() takes a margin or a budget")
    groups = _Groups(table, tie)
    judge = Judge(evaluate, labels, store, executor, "search")

    def measure(choices: Sequence[int]) -> tuple[float, float, float]:
        metrics = judge(groups.maps(choices))
        return metrics.kl, metrics.loss, metrics.loss_error

    def prepare(soon: Sequence[Sequence[int]]) -> None:
        judge.all([groups.maps(choices) for choices in soon])

    arguments = (groups.scores, groups.cost(cost), measure, prepare)
    found = (
        _core.search_budget(*arguments, budget, refine)
        if margin is None
        else _core.search_margin(*arguments, margin, refine)
    )
    maps = groups.maps(found.choices)
    metrics = judge(maps)
    if margin is not None:
        _warn_of_few_images(metrics, margin)
    return Found(maps, groups.choices(found.choices), found.cost, metrics)


def _warn_of_few_images(metrics: Metrics, margin: float) -> None:
    if not 0 < margin < 2 * metrics.loss_error:
        return
    images = _core.images_factor(metrics.loss_error, margin) * metrics.images
    warnings.warn(
        f"{metrics.images} search images tell a loss to +- {metrics.loss_error:.2%}, more than half"
        f" the margin: about {images:.0f} would do",
        stacklevel=3,
    )
