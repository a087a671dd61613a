#!/usr/bin/env python3
"""What a sweep over MPI's ranks costs beside its evaluations: evaluators that sleep, on more ranks than there are cores.

Usage: ranks_bench.py FOLDER_OF_PROGRAMS [--json]    (build/release/bin: simulated_evaluator, simulated_sweep_ranks)

For each number of workers: tasks a second, that number if nothing but sleep took time, and the share of a core that rank 0 takes. Before
the clock counts, every task must have its result, once.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

RUNS = [(1, 40, 100), (4, 160, 100), (16, 640, 100), (64, 2560, 100), (64, 10000, 100), (64, 10000, 0)]  # workers, tasks, milliseconds


def sweep(programs, workers, tasks, milliseconds):
    with tempfile.TemporaryDirectory() as folder:
        store = pathlib.Path(folder, "store")
        command = ["mpirun", "--oversubscribe", "-n", workers + 1, programs / "simulated_sweep_ranks", store, tasks, milliseconds]
        command += [programs / "simulated_evaluator", pathlib.Path(folder, "log")]
        environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, env=environment)
        lines = [json.loads(line) for file in store.glob("*.jsonl") for line in file.read_text().splitlines()]
        values = [(line["key"], line["value"]) for line in lines if "key" in line]
        assert sorted(values) == sorted((f"task {i}", i * i) for i in range(tasks)), "a task is lost, or there twice"
        told = json.loads(run.stdout)
        assert told["evaluations"] == tasks
    return {
        "workers": workers,
        "tasks": tasks,
        "milliseconds": milliseconds,
        "tasks_per_second": tasks / told["seconds"],
        "of_sleep_alone": 1000 * workers / milliseconds if milliseconds else None,
        "manager_share": told["processor_seconds"] / told["seconds"],
        "manager_microseconds_a_task": 1e6 * told["processor_seconds"] / tasks,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = []
    if not arguments.json:
        print("workers  tasks  sleep (ms)  tasks/s  of sleep alone  rank 0's share of a core  its us a task")
    for run in RUNS:
        found = sweep(arguments.programs.resolve(), *run)
        results.append(found)
        if not arguments.json:
            ideal = f"{found['of_sleep_alone']:.0f}" if found["of_sleep_alone"] else "-"
            print(
                f"{found['workers']:7} {found['tasks']:6} {found['milliseconds']:11} {found['tasks_per_second']:8.1f} {ideal:>15}"
                f" {found['manager_share']:25.3f} {found['manager_microseconds_a_task']:14.0f}",
                flush=True,
            )
    if arguments.json:
        print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0], "runs": results}, indent=2))


if __name__ == "__main__":
    main()
