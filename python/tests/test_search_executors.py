"""tensorquant.search on executors: whoever finishes first, results are those of one after the other."""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import signal
import threading

import numpy as np
import pytest
from searches import logits

import tensorquant as tq
import tensorquant.search as tqs

RNG = np.random.default_rng(11)
X = RNG.standard_normal((80, 6)).astype(np.float32)
WEIGHTS = {
    name: RNG.standard_normal(shape).astype(np.float32)
    for name, shape in (("a", (6, 9)), ("b", (9, 7)), ("c", (7, 4)))
}
PLACES = {f"weight:{name}": weight for name, weight in WEIGHTS.items()}
WIDTHS = [6, 4, 3, 2]
FACTS = [
    tqs.LayerFacts("a", macs=54, terms=6, weights=54, inputs=6, outputs=9),
    tqs.LayerFacts("b", macs=63, terms=9, weights=63, inputs=9, outputs=7, sources=["a"]),
    tqs.LayerFacts("c", macs=28, terms=7, weights=28, inputs=7, outputs=4, sources=["b"]),
]
COST = tqs.cost_of(FACTS)


def evaluate(maps):
    return logits(WEIGHTS, X, maps)


class Backwards(concurrent.futures.Executor):
    """Waits until nothing more is submitted, then runs all, the last first."""

    def __init__(self):
        self.waiting, self.submitted, self.finished = [], [], []
        self.timer = None
        self.lock = threading.Lock()

    def submit(self, function, /, *arguments):
        future = concurrent.futures.Future()
        with self.lock:
            if self.timer is not None:
                self.timer.cancel()
            self.waiting.append((future, function, arguments))
            self.submitted.append(arguments[0].to_json())
            self.timer = threading.Timer(0.05, self.run)
            self.timer.start()
        return future

    def run(self):
        with self.lock:
            waiting, self.waiting = self.waiting, []
        for future, function, arguments in reversed(waiting):
            if not future.set_running_or_notify_cancel():
                continue
            self.finished.append(arguments[0].to_json())
            try:
                future.set_result(function(*arguments))
            except ArithmeticError as error:
                future.set_exception(error)


def answers(executor, folder):
    """What a sensitivity, searches of both kinds and a sweep give, all that the store holds, and who wrote it."""
    store = tqs.Store(folder, model="tanh")
    table = tqs.sensitivity(evaluate, PLACES, WIDTHS, store=store, executor=executor)
    found = [
        tqs.search(evaluate, table, COST, refine=2, store=store, executor=executor, **limit)
        for limit in ({"margin": 0.2}, {"budget": 0.55 * COST(table.specs([0, 0, 0]))})
    ]
    maps = [table.maps([c, c, c]) for c in (3, 0, 2, 0)]
    swept = tqs.sweep(evaluate, maps, labels=X.argmax(1) % 4, store=store, executor=executor)
    return table, found, swept, records(folder)


def records(folder):
    lines = [
        json.loads(line)
        for file in pathlib.Path(folder).glob("records-*.jsonl")
        for line in file.read_text().splitlines()
    ]
    results = {line["key"]: line for line in lines}
    assert len(results) == len(lines)  # none twice
    return results


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    return answers(None, tmp_path_factory.mktemp("serial"))


def test_threads_change_nothing(serial, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        assert answers(executor, tmp_path) == serial


def test_processes_change_nothing_and_write_no_store(serial, tmp_path):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        assert answers(executor, tmp_path) == serial
    assert len(list(tmp_path.glob("records-*.jsonl"))) == 1


def test_the_order_in_which_evaluations_finish_changes_nothing(serial, tmp_path):
    executor = Backwards()
    assert answers(executor, tmp_path) == serial
    assert executor.submitted != executor.finished
    assert sorted(executor.submitted) == sorted(executor.finished)


def test_single_changes_of_a_round_are_submitted_together(serial, tmp_path):
    together = []

    class Counting(Backwards):
        def run(self):
            together.append(len(self.waiting))
            super().run()

    tqs.search(evaluate, serial[0], COST, margin=0.2, executor=Counting())
    assert max(together) >= 3  # of three places, each a step wider, a step narrower or both


BAD = "nearest,3,"


def failing(maps):
    if BAD in maps.to_json():
        raise ArithmeticError("no power\nand more of it")
    return evaluate(maps)


@pytest.mark.parametrize("executor", [None, Backwards(), concurrent.futures.ThreadPoolExecutor(1)])
def test_a_failure_is_one_error_and_results_before_it_stay(executor, tmp_path):
    store = tqs.Store(tmp_path, model="tanh")
    with pytest.raises(tq.Error) as caught:
        tqs.sensitivity(failing, PLACES, WIDTHS, store=store, executor=executor)
    assert str(caught.value).startswith('no result of maps {"weights":{"=')
    assert BAD in str(caught.value)
    assert str(caught.value).endswith(": ArithmeticError: no power")
    assert isinstance(caught.value.__cause__, ArithmeticError)
    kept = len(store)
    assert 1 <= kept < 3 * len(WIDTHS)
    # What is there is not evaluated again.
    seen = []

    def counted(maps):
        seen.append(maps)
        return evaluate(maps)

    table = tqs.sensitivity(counted, PLACES, WIDTHS, store=store)
    assert len(seen) == 1 + 3 * len(WIDTHS) - kept
    assert table == tqs.sensitivity(evaluate, PLACES, WIDTHS)


def test_what_runs_when_another_evaluation_fails_is_kept(tmp_path):
    """One map fails; those that run finish when the first of those that wait has been given up."""
    given_up = threading.Event()
    begun = []

    def slow(maps):
        text = maps.to_json()
        begun.append(text)
        if "=a" in text:
            raise OSError("disk")
        assert text == "{}" or given_up.wait(30)
        return evaluate(maps)

    class Watching(concurrent.futures.ThreadPoolExecutor):
        def submit(self, function, /, *arguments):
            future = super().submit(function, *arguments)
            future.add_done_callback(lambda done: done.cancelled() and given_up.set())
            return future

    store = tqs.Store(tmp_path, model="tanh")
    specs = [("b", 8), ("a", 8), *(("c", bits) for bits in range(8, 2, -1))]
    maps = [tq.Override(weights={f"={n}": f"nearest,{bits},2"}) for n, bits in specs]
    with Watching(2) as executor, pytest.raises(tq.Error, match="OSError: disk"):
        tqs.sweep(slow, maps, store=store, executor=executor)
    done = [
        json.dumps(record["maps"], separators=(",", ":")) for record in records(tmp_path).values()
    ]
    assert maps[0].to_json() in done
    assert sorted(done) == sorted(text for text in begun if text != "{}" and "=a" not in text)
    assert len(begun) < len(maps)


def crash(maps):
    if maps.to_json() != "{}":
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(maps)


def test_a_process_that_dies_is_one_error(tmp_path):
    context = multiprocessing.get_context("spawn")
    with (
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(tq.Error, match="BrokenProcessPool: A process in the process pool"),
    ):
        tqs.sensitivity(crash, PLACES, WIDTHS, executor=executor)


def test_what_is_no_executor_is_told_at_once():
    with pytest.raises(tq.Error, match="must be a concurrent.futures.Executor, not int"):
        tqs.sensitivity(evaluate, PLACES, WIDTHS, executor=4)


def test_a_map_that_is_asked_for_twice_is_evaluated_once():
    seen = []

    def counted(maps):
        seen.append(maps)
        return evaluate(maps)

    maps = tq.Override(weights={"=a": "nearest,4,2"})
    once, again = tqs.sweep(counted, [maps, maps])
    assert once == again and len(seen) == 2  # the float model, and the map


def test_a_seed_is_part_of_what_is_evaluated(tmp_path):
    store = tqs.Store(tmp_path, model="tanh")
    maps = [tq.Override(weights={"=a": "stochastic,4,2"}, seed=seed) for seed in (0, 1)]
    tqs.sweep(evaluate, maps, store=store)
    assert len(store) == 2
    assert sorted("seed" in key for key in records(tmp_path)) == [False, True]
