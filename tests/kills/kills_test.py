#!/usr/bin/env python3
"""Sweeps survive kill -9 of evaluators, ranks, the manager, mpirun, and of all at once: no task is lost, none has two results, few run twice.

Usage: kills_test.py FOLDER_OF_PROGRAMS [ROUNDS [FIRST]]    (simulated_evaluator, simulated_sweep_jobs and, where there is MPI, simulated_sweep_ranks)

What is killed, and when, is chosen by a seed; each round has seeds of its own.
"""

import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).resolve()
NUMBERS = [int(text) for text in sys.argv[1:] if text.isdigit()]
sys.argv[1:] = [text for text in sys.argv[1:] if not text.isdigit()]
ROUNDS, FIRST = [*NUMBERS, 1, 1][:2] if len(NUMBERS) != 1 else (NUMBERS[0], 1)
EVALUATOR = PROGRAMS / "simulated_evaluator"
JOBS = PROGRAMS / "simulated_sweep_jobs"
RANKS = PROGRAMS / "simulated_sweep_ranks"
HAS_MPI = RANKS.exists() and shutil.which("mpirun") is not None
LONGEST = 120  # seconds, for whatever is waited for

TASKS, MILLISECONDS = 60, 40


def kill(process, number=signal.SIGKILL):
    """Whether it lived."""
    lived = lives(process)
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
    return lived


def lives(process):
    """Whether it does anything: one that nobody waits for is no orphan."""
    try:
        stat = pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Sweep:
    """A folder, in which sweeps run one after the other."""

    def __init__(self, folder, seed):
        self.store, self.log = folder / "store", folder / "log"
        self.random = random.Random(seed)
        self.log.touch()

    def start(self, workers, *, mpi=False, more=(), tasks=TASKS):
        sweep = [str(self.store), str(tasks), str(MILLISECONDS), str(EVALUATOR), str(self.log), *more]
        if mpi:
            command = ["mpirun", "--oversubscribe", "-n", str(workers + 1), str(RANKS), *sweep]
        else:
            command = [str(JOBS), *sweep, "--jobs", str(workers)]
        environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        if mpi:  # Open MPI never frees some of its memory, and its parts are no longer loaded when LeakSanitizer looks: no name to suppress.
            environment["ASAN_OPTIONS"] = ":".join([*filter(None, [os.environ.get("ASAN_OPTIONS")]), "detect_leaks=0"])
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )

    def starts(self):
        """(task, evaluator, its parent), in order."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [tuple(map(int, line)) for line in lines if line[0] != "manager"]

    def managers(self):
        return [int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("manager")]

    def wait_for(self, more, process):
        """For so many more starts, or the end; and a moment."""
        starts = len(self.starts()) + more
        end = time.monotonic() + LONGEST
        while len(self.starts()) < starts and process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"only {len(self.starts())} tasks started, not {starts}")
            time.sleep(0.002)
        time.sleep(self.random.random() * MILLISECONDS / 1000)

    def records(self):
        """All lines that are whole, of all files."""
        found = []
        for file in self.store.glob("records-*.jsonl"):
            for line in file.read_text().split("\n")[:-1]:
                found.append(json.loads(line))
        return found


class Kills(unittest.TestCase):
    seed = 0

    def sweep(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        Kills.seed += 1
        return Sweep(pathlib.Path(folder.name), Kills.seed)

    def end_of(self, process, code=0):
        with process:
            out, err = process.communicate(timeout=LONGEST)
        if code is not None:
            self.assertEqual(process.returncode, code, err)
        return json.loads(out) if process.returncode == 0 else err

    def expect_whole(self, sweep, extra, tasks=TASKS):
        """Each task has one result, the right one, and no more than `extra` runs were in vain."""
        values = collections.defaultdict(list)
        for record in sweep.records():
            if "key" in record:
                values[record["key"]].append(record["value"])
        self.assertEqual(dict(values), {f"task {i}": [i * i] for i in range(tasks)})
        self.assertLessEqual(len(sweep.starts()), tasks + extra)

    def expect_no_orphans(self, sweep):
        processes = {process for start in sweep.starts() for process in start[1:]} - {os.getpid(), 1}
        end = time.monotonic() + 5
        while any(map(lives, processes)) and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual([process for process in processes if lives(process)], [])

    def kill_evaluators(self, mpi):
        sweep = self.sweep()
        process = sweep.start(3, mpi=mpi)
        kills = 0
        for more in (3, 6, 11):
            sweep.wait_for(more, process)
            kills += kill(sweep.starts()[-1 - sweep.random.randrange(3)][1])
        self.end_of(process)
        self.assertGreater(kills, 0)
        self.expect_whole(sweep, extra=3)
        self.expect_no_orphans(sweep)

    def kill_jobs(self, victim, mpi):
        """The whole sweep ends, twice, and is started again with other numbers of workers."""
        sweep = self.sweep()
        numbers = [3, 2, 4]
        kills = 0
        for workers, more in zip(numbers, (5, 10)):
            process = sweep.start(workers, mpi=mpi)
            sweep.wait_for(more, process)
            kills += sum(map(kill, victim(sweep, process)))
            process.communicate(timeout=LONGEST)
            # Ranks may outlive mpirun, even until all is done.
            self.assertTrue(process.returncode != 0 or len(sweep.starts()) >= TASKS)
            self.expect_no_orphans(sweep)
        self.assertGreater(kills, 0)
        self.end_of(sweep.start(numbers[-1], mpi=mpi))
        self.expect_whole(sweep, extra=numbers[0] + numbers[1] + 2)
        self.assertEqual(self.end_of(sweep.start(2, mpi=mpi))["evaluations"], 0)

    def test_of_evaluators_cost_no_more_than_their_tasks(self):
        self.kill_evaluators(mpi=False)

    def test_of_a_plain_sweep_with_jobs_lose_only_what_it_was_computing(self):
        self.kill_jobs(lambda sweep, process: [process.pid], mpi=False)

    def test_of_all_processes_at_once_lose_only_what_they_were_computing(self):
        def everyone(sweep, process):
            return [process.pid, *(start[1] for start in sweep.starts()[-3:])]

        self.kill_jobs(everyone, mpi=False)

    def test_by_a_task_of_its_own_evaluator_are_an_error_after_the_third(self):
        sweep = self.sweep()
        self.end_of(sweep.start(3, more=["--dies", "7"]))
        (error,) = [record for record in sweep.records() if "error" in record]
        self.assertEqual(error["key"], "task 7")
        self.assertEqual(error["error"], "its evaluator died 3 times, at last by signal 9")
        self.assertEqual(len(sweep.starts()), TASKS + 2)
        self.assertEqual(self.end_of(sweep.start(3))["evaluations"], 0)
        # Tried again it may have a result, which stands for the error.
        self.assertEqual(self.end_of(sweep.start(3, more=["--retry"]))["evaluations"], 1)
        values = [record["value"] for record in sweep.records() if record.get("key") == "task 7" and "value" in record]
        self.assertEqual(values, [49])

    def test_by_a_task_of_the_whole_sweep_are_an_error_after_the_tenth_and_the_others_are_done(self):
        sweep = self.sweep()
        runs = 0
        while True:
            process = sweep.start(2, more=["--takes-all", "3"], tasks=8)
            process.communicate(timeout=LONGEST)
            if process.returncode == 0:
                break
            runs += 1
            self.assertLess(runs, 11)
        errors = {record["key"]: record["error"] for record in sweep.records() if "error" in record}
        self.assertEqual(list(errors), ["task 3"])
        self.assertIn("started 10 times", errors["task 3"])
        self.assertEqual(runs, 10)
        self.assertEqual(len({record["key"] for record in sweep.records() if "value" in record}), 7)

    def test_of_nobody_a_sigterm_lets_what_runs_come_to_its_end(self):
        sweep = self.sweep()
        process = sweep.start(3)
        sweep.wait_for(8, process)
        kill(process.pid, signal.SIGTERM)
        self.assertIn("interrupted", self.end_of(process, code=1))
        done = [record for record in sweep.records() if "key" in record]
        self.assertEqual(len(done), len(sweep.starts()))
        self.end_of(sweep.start(3))
        self.expect_whole(sweep, extra=0)

    def test_evaluators_that_cannot_start_are_an_error_that_names_them(self):
        sweep = self.sweep()
        command = [str(JOBS), str(sweep.store), "3", "1", "/nowhere/evaluator", str(sweep.log)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("/nowhere/evaluator", run.stderr)

    @unittest.skipUnless(HAS_MPI, "built without MPI")
    def test_of_evaluators_of_ranks_cost_no_more_than_their_tasks(self):
        self.kill_evaluators(mpi=True)

    @unittest.skipUnless(HAS_MPI, "built without MPI")
    def test_of_a_rank_lose_only_what_was_computed(self):
        self.kill_jobs(lambda sweep, process: [sweep.starts()[-1 - sweep.random.randrange(2)][2]], mpi=True)

    @unittest.skipUnless(HAS_MPI, "built without MPI")
    def test_of_rank_0_lose_only_what_was_computed(self):
        self.kill_jobs(lambda sweep, process: sweep.managers()[-1:], mpi=True)

    @unittest.skipUnless(HAS_MPI, "built without MPI")
    def test_of_mpirun_lose_only_what_was_computed(self):
        self.kill_jobs(lambda sweep, process: [process.pid], mpi=True)

    @unittest.skipUnless(HAS_MPI, "built without MPI")
    def test_of_ranks_evaluators_and_mpirun_at_once_lose_only_what_was_computed(self):
        def everyone(sweep, process):
            recent = sweep.starts()[-2:]
            return [process.pid, *sweep.managers()[-1:], *(one for start in recent for one in start[1:])]

        self.kill_jobs(everyone, mpi=True)

    def test_two_sweeps_at_once_on_one_store_both_finish(self):
        sweep = self.sweep()
        both = [sweep.start(2), sweep.start(2)]
        for process in both:
            self.end_of(process)
        keys = {record["key"] for record in sweep.records() if "key" in record}
        self.assertEqual(len(keys), TASKS)
        self.assertEqual(self.end_of(sweep.start(1))["evaluations"], 0)


if __name__ == "__main__":
    for number in range(FIRST, FIRST + ROUNDS):
        Kills.seed = 1000 * number
        result = unittest.main(exit=False, verbosity=2 if ROUNDS == 1 else 0).result
        if not result.wasSuccessful():
            sys.exit(f"round {number}: failed")
        if ROUNDS > 1:
            print(f"round {number}: good", flush=True)
