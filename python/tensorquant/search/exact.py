"""The best map by scores, by integer programming."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from tensorquant import _core

# HiGHS stops at an absolute gap of 1e-6: of unscaled scores that is more than some of them.
LARGEST_SCORE, LARGEST_COST = 1e4, 1e3
# Of maps that cost more than a budget by less than HiGHS sees. Each is excluded and the next one looked for.
MOST_EXCLUDED = 100


def _is_within(costs: np.ndarray, budget: float) -> bool:
    """Up to the rounding of the numbers themselves."""
    rounding = np.finfo(np.float64).eps * math.fsum(abs(costs))
    return math.fsum(costs) <= budget + rounding


def exact(
    scores: Sequence[Sequence[float]],
    costs: Sequence[Sequence[Sequence[float]]],
    budgets: Sequence[float],
) -> tuple[int, ...]:
    """The choices of the least sum of scores whose costs add up to no more than the budgets.

    For costs that add up, such as bits of memory; bit operations do not, being products. Needs SciPy.

    Args:
        scores: Of each place and choice, such as Table.scores.
        costs: For each budget, of each place and choice. A choice with a score or a cost that is not finite is never taken.
        budgets: One or more; infinity sets no limit.

    Raises:
        Error: No map is within the budgets, or an argument is wrong.

    Example:
        >>> exact([[0, 1], [0, 3]], [[[8, 4], [8, 4]]], [12])
        (1, 0)
    """
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError as error:
        raise _core.Error("exact() needs SciPy: pip install scipy") from error
    lengths = [len(row) for row in scores]
    if (
        not lengths
        or 0 in lengths
        or len(costs) != len(budgets)
        or any([len(row) for row in one] != lengths for one in costs)
    ):
        raise _core.Error(
            "exact() needs a score of each place and choice, and for each budget a cost of each"
        )
    limits = np.asarray(budgets, np.float64)
    if np.isnan(limits).any():
        raise _core.Error("a budget of exact() is no number")
    flat = np.concatenate([np.asarray(row, np.float64) for row in scores])
    flat_costs = np.array(
        [np.concatenate([np.asarray(row, np.float64) for row in one]) for one in costs]
    )
    flat_costs = flat_costs.reshape(len(limits), flat.size)
    possible = np.isfinite(flat) & np.isfinite(flat_costs).all(axis=0)
    flat, flat_costs = np.where(possible, flat, 0), np.where(possible, flat_costs, 0)
    # One choice of each place.
    one_each = np.zeros((len(lengths), flat.size))
    starts = np.cumsum([0, *lengths])
    for place, (begin, end) in enumerate(itertools.pairwise(starts)):
        one_each[place, begin:end] = 1
    largest_costs = np.abs(flat_costs).max(axis=1)
    scale = LARGEST_COST / np.where(largest_costs > 0, largest_costs, 1)
    constraints = [
        LinearConstraint(one_each, 1, 1),
        LinearConstraint(flat_costs * scale[:, None], -np.inf, limits * scale),
    ]
    largest = np.abs(flat).max()
    for _ in range(MOST_EXCLUDED):
        found = milp(
            flat * (LARGEST_SCORE / largest if largest > 0 else 1),
            constraints=constraints,
            integrality=np.ones(flat.size),
            bounds=Bounds(0, possible.astype(np.float64)),
            options={"mip_rel_gap": 0},
        )
        if found.x is None:
            break
        taken = [
            begin + int(np.argmax(found.x[begin:end])) for begin, end in itertools.pairwise(starts)
        ]
        if all(_is_within(one[taken], limit) for one, limit in zip(flat_costs, limits)):
            return tuple(int(index - begin) for index, begin in zip(taken, starts))
        this_map = np.zeros(flat.size)
        this_map[taken] = 1
        constraints.append(LinearConstraint(this_map, -np.inf, len(taken) - 1))
    raise _core.Error("no map is within the budgets")
