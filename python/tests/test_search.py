"""tensorquant.search against brute force and NumPy."""

import itertools
import re
import warnings

import numpy as np
import pytest
from searches import logits

import tensorquant as tq
import tensorquant.search as tqs

RNG = np.random.default_rng(5)
X = RNG.standard_normal((60, 8)).astype(np.float32)
WEIGHTS = [RNG.standard_normal(shape).astype(np.float32) for shape in ((8, 12), (12, 10), (10, 4))]
NAMES = ["a", "b", "c"]
PLACES = {f"weight:{name}": weight for name, weight in zip(NAMES, WEIGHTS)}
FACTS = [
    tqs.LayerFacts("a", macs=96, terms=8, weights=96, inputs=8, outputs=12),
    tqs.LayerFacts("b", macs=120, terms=12, weights=120, inputs=12, outputs=10, sources=["a"]),
    tqs.LayerFacts("c", macs=40, terms=10, weights=40, inputs=10, outputs=4, sources=["b"]),
]


def evaluate(maps):
    return logits(dict(zip(NAMES, WEIGHTS)), X, maps)


def kl_of(logits):
    def log_softmax(z):
        z = z.astype(np.float64)
        z -= z.max(1, keepdims=True)
        return z - np.log(np.exp(z).sum(1, keepdims=True))

    p0, p = log_softmax(evaluate(tq.Override())), log_softmax(logits)
    return (np.exp(p0) * (p0 - p)).sum(1).mean()


@pytest.fixture(scope="module")
def table():
    return tqs.sensitivity(evaluate, PLACES, widths=[2, 3, 4, 6])


def test_sensitivity_measures_each_place_alone(table):
    assert table.places == tuple(PLACES)
    for place, specs, metrics in zip(table.places, table.choices, table.metrics):
        assert [spec.split(",")[1] for spec in specs] == ["6", "4", "3", "2"]
        for spec, found in zip(specs, metrics):
            logits = evaluate(tq.Override(weights={f"={place.split(':')[1]}": spec}))
            assert found.kl == pytest.approx(kl_of(logits), rel=1e-9)
            assert found.flips == (logits.argmax(1) != evaluate(tq.Override()).argmax(1)).sum()
            assert found.lost == found.flips and found.loss == found.flips / 60


def test_widths_get_the_fraction_of_the_least_squared_error(table):
    for specs, weight in zip(table.choices, WEIGHTS):
        for spec in specs:
            bits, fraction = map(int, spec.split(",")[1:])
            error = ((tq.Quantizer(spec)(weight).astype(np.float64) - weight) ** 2).sum()
            for other in range(fraction - 2, fraction + 2):
                q = tq.Quantizer(f"nearest,{bits},{other}")(weight)
                assert error <= ((q.astype(np.float64) - weight) ** 2).sum()


def test_a_store_has_what_was_evaluated(table, tmp_path):
    calls = []

    def counted(maps):
        calls.append(maps.to_json())
        return evaluate(maps)

    def run():
        return tqs.sensitivity(
            counted, PLACES, widths=[2, 3, 4, 6], store=tqs.Store(tmp_path, model="tanh")
        )

    assert run() == table
    assert len(calls) == 1 + 12
    assert run() == table
    assert len(calls) == 1 + 12 + 1  # the float model, which names the images
    with pytest.raises(tq.Error, match='"model" is "tanh" in this store'):
        tqs.Store(tmp_path, model="relu")


def test_costs_are_products_of_widths():
    cost = tqs.cost_of(FACTS)
    assert (
        cost({"weight:a": "nearest,4,2", "output:a": "nearest,6,3", "weight:b": "ternary"})
        == 96 * 4 * 32 + 120 * 2 * 6 + 40 * 32 * 32
    )
    assert tqs.cost_of(FACTS, "bits")({"weight:a": "nearest,4,2"}) == 96 * 4 + 160 * 32
    with pytest.raises(tq.Error, match="layer 'd'"):
        cost({"weight:d": "nearest,4,2"})
    with pytest.raises(tq.Error, match="unknown cost"):
        tqs.cost_of(FACTS, "gold")


def test_path_ends_at_the_narrowest_and_each_step_is_a_map(table):
    cost = tqs.cost_of(FACTS)
    steps = tqs.path(table, cost)
    assert steps[-1].choices == (3, 3, 3)
    for step in steps:
        assert step.cost == cost(table.specs(step.choices))
        assert step.score == pytest.approx(
            sum(row[c] for row, c in zip(table.scores, step.choices))
        )
        assert step.maps == table.maps(step.choices)
    assert " -> " in steps[0].why


def test_tied_places_share_a_choice_and_add_their_scores(table):
    cost = tqs.cost_of(FACTS)
    steps = tqs.path(table, cost, tie=["weight:[ac]"])
    for step in steps:
        a, _, c = step.choices
        assert a == c
        assert step.cost == cost(table.specs(step.choices))
        assert step.score == pytest.approx(
            sum(row[c] for row, c in zip(table.scores, step.choices))
        )
    first = next(step for step in steps if "weight:a" in step.why)
    assert re.fullmatch(r"weight:a nearest,6,\d -> \S+, weight:c nearest,6,\d -> \S+", first.why)
    found = tqs.search(evaluate, table, cost, margin=0.3, tie="weights")
    assert found.choices in [(c, c, c) for c in range(4)]
    # The narrowest uniform map that holds the margin, since one group has no other ones.
    holds = [
        c
        for c in range(4)
        for [one] in [tqs.sweep(evaluate, [table.maps([c, c, c])])]
        if one.loss + one.loss_error <= 0.3
    ]
    assert found.choices[0] == max(holds)
    with pytest.raises(tq.Error, match="'outputs'"):
        tqs.path(table, cost, tie="outputs")
    uneven = tqs.Table(table.places, (table.choices[0][:2], *table.choices[1:]), table.metrics)
    with pytest.raises(tq.Error, match="weight:a and weight:b are tied, and have 2 and 4 choices"):
        tqs.path(uneven, cost, tie="weights")


def test_search_keeps_margins_and_budgets(table):
    cost = tqs.cost_of(FACTS)
    found = tqs.search(evaluate, table, cost, margin=0.2)
    assert found.metrics.loss + found.metrics.loss_error <= 0.2
    assert found.cost == cost(table.specs(found.choices)) < cost(table.specs([0, 0, 0]))
    budget = 0.6 * cost(table.specs([0, 0, 0]))
    within = tqs.search(evaluate, table, cost, budget=budget)
    assert within.cost <= budget
    assert within.metrics.kl == pytest.approx(kl_of(evaluate(within.maps)))
    with pytest.raises(tq.Error, match="a margin or a budget"):
        tqs.search(evaluate, table, cost)
    with pytest.raises(tq.Error, match="margin"):
        tqs.search(
            lambda maps: evaluate(maps) * (-1 if maps.to_json() != "{}" else 1),
            table,
            cost,
            margin=0.1,
        )


def test_few_images_for_a_margin_are_told():
    """One of 100 images is lost and one is won: no loss, +- sqrt(2)/100, and twice as many are needed for half of 2 points."""
    labels = np.zeros(100, int)

    def evaluate_one(maps):
        answers = labels.copy()
        answers[0 if "a" in maps.to_json() else 1] = 1
        return np.eye(2, dtype=np.float32)[answers]

    metrics = tqs.Metrics(100, 99, 0, 0, 2, 1, 1)
    table = tqs.Table(("weight:a",), (("nearest,8,7", "nearest,4,3"),), ((metrics, metrics),))
    cost = tqs.cost_of(FACTS, "bits")
    with pytest.warns(UserWarning) as told:
        tqs.search(evaluate_one, table, cost, margin=0.02, labels=labels)
    assert [str(one.message) for one in told] == [
        "100 search images tell a loss to +- 1.41%, more than half the margin: about 200 would do"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tqs.search(evaluate_one, table, cost, margin=0.03, labels=labels)


def test_an_error_inside_evaluate_is_told_with_the_maps(table):
    def broken(maps):
        if maps.to_json() != "{}":
            raise RuntimeError("no power")
        return evaluate(maps)

    widest = re.escape(table.maps([0, 0, 0]).to_json())
    with pytest.raises(
        tq.Error, match=f"no result of maps {widest}: RuntimeError: no power"
    ) as caught:
        tqs.search(broken, table, tqs.cost_of(FACTS), margin=0.1)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_logits_of_a_wrong_shape_are_an_error():
    with pytest.raises(tq.Error, match="must return logits"):
        tqs.sensitivity(lambda maps: np.zeros(3), PLACES)
    with pytest.raises(tq.Error, match="and .* without maps"):
        tqs.sensitivity(lambda maps: np.zeros((2, 3 if maps.to_json() == "{}" else 4)), PLACES)
    with pytest.raises(tq.Error, match="is no place"):
        tqs.sensitivity(evaluate, {"wait:a": WEIGHTS[0]})


def brute_force(scores, costs, budgets):
    best = None
    for choices in itertools.product(*(range(len(row)) for row in scores)):
        spent = [sum(row[c] for row, c in zip(one, choices)) for one in costs]
        if all(s <= b for s, b in zip(spent, budgets)):
            total = sum(row[c] for row, c in zip(scores, choices))
            best = total if best is None else min(best, total)
    return best


@pytest.mark.parametrize("scale", [1e-9, 1, 1e9])
def test_exact_is_brute_force_at_any_scale(scale):
    pytest.importorskip("scipy")
    rng = np.random.default_rng(7)
    for _ in range(10):
        scores = rng.integers(0, 1000, (5, 4)).tolist()
        costs = rng.integers(1, 1000, (2, 5, 4)).tolist()
        budgets = [2200, 2200]
        best = brute_force(scores, costs, budgets)
        if best is None:
            with pytest.raises(tq.Error, match="no map is within"):
                tqs.exact(scores, costs, budgets)
            continue
        scaled = (
            (np.array(scores) * scale).tolist(),
            (np.array(costs) * scale).tolist(),
            [b * scale for b in budgets],
        )
        choices = tqs.exact(*scaled)
        assert sum(row[c] for row, c in zip(scores, choices)) == best


def test_exact_never_takes_what_loses_all():
    pytest.importorskip("scipy")
    assert tqs.exact([[0, np.inf, 5]], [[[9, 1, 4]]], [5]) == (2,)
    with pytest.raises(tq.Error, match="needs a score"):
        tqs.exact([[0, 1]], [[[1]]], [1])


def test_exact_takes_no_choice_whose_cost_is_not_finite():
    pytest.importorskip("scipy")
    for cost in (np.inf, -np.inf, np.nan):
        assert tqs.exact([[0, 5]], [[[cost, 4]]], [5]) == (1,)
        with pytest.raises(tq.Error, match="no map is within"):
            tqs.exact([[0]], [[[cost]]], [5])
    assert tqs.exact([[0, 5]], [[[9, 4]]], [np.inf]) == (0,)


def test_exact_refuses_budgets_that_are_no_numbers():
    pytest.importorskip("scipy")
    with pytest.raises(tq.Error, match="budget of exact"):
        tqs.exact([[0, 5]], [[[9, 4]]], [np.nan])


def test_exact_holds_budgets_to_less_than_the_solver_sees():
    pytest.importorskip("scipy")
    # One bit too many of 10^11, and the best map that has none.
    scores, costs = [[0, 1, 2], [0, 1, 2]], [[[10**11 + 1, 10**11, 10**10], [0, 0, 0]]]
    assert tqs.exact(scores, costs, [10**11]) == (1, 0)
    # Rounded sums of tenths are no excess.
    assert tqs.exact([[0, 1]] * 3, [[[0.1, 0]] * 3], [0.3]) == (0, 0, 0)


def test_peak_is_no_cost_that_a_search_can_save():
    assert "peak" not in tqs.cost_names()
    with pytest.raises(tq.Error, match="unknown cost 'peak'"):
        tqs.cost_of(FACTS, "peak")
