#!/usr/bin/env python3
"""Evaluators, --jobs, --shard, ranks and kill -9 as a user meets them, and the commands of docs/clusters.md.

Usage: test_sweeps.py PROGRAM [MPI_PROGRAM]
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from image_files import write_images

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "clusters.md"
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
MPI_PROGRAM = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
HAS_MPI = MPI_PROGRAM is not None and shutil.which("mpirun") is not None
ENVIRONMENT = os.environ | {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
}
MPIRUN = ["mpirun", "--oversubscribe"]
FOLDER = None
LONGEST = 300  # seconds, for whatever is waited for


def start(*command, **more):
    return subprocess.Popen(
        command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, **more
    )


def run(*command, text=None):
    return subprocess.run(
        command, cwd=FOLDER, capture_output=True, text=True, env=ENVIRONMENT, input=text, timeout=LONGEST, check=False
    )


def setUpModule():
    global FOLDER
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    FOLDER = pathlib.Path(folder.name)
    write_images(FOLDER, "train", 60)
    write_images(FOLDER, "t10k", 20)
    train = "train --model lenet --data . --checkpoint lenet.safetensors --epochs 3 --batch-size 20 --threads 1"
    assert run(PROGRAM, *shlex.split(train)).returncode == 0


NETWORK = "--model lenet --checkpoint lenet.safetensors --score-data . --images 20 --widths 8,3".split()
WIDE = [*NETWORK[:-1], "2:8"]
SEARCH = [*NETWORK, *"--data . --margin 20 --search-images 30".split()]


class AnEvaluator(unittest.TestCase):
    request = {"model": "lenet", "checkpoint": "lenet.safetensors", "data": {"path": "."}, "maps": {"weights": "nearest,4,3"}}

    def answers(self, *lines, options=()):
        done = run(PROGRAM, "evaluate", "--requests", "--threads", "1", *options, text="\n".join(lines))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_answers_each_line_whatever_it_says(self):
        good = json.dumps(self.request)
        unknown = json.dumps(self.request | {"maps": {"weights": {"=nowhere": "nearest,4,3"}}})
        huge = json.dumps(self.request | {"maps": "x" * (17 << 20)})
        bad = ['{"model": "lenet"', "[]", "", "null", unknown, huge, json.dumps(self.request | {"data": {"path": "/nowhere"}})]
        found = self.answers(good, *(line for wrong in bad for line in (wrong, good)))
        self.assertEqual(len(found), 1 + 2 * len(bad))
        for answer in found:
            answer.pop("seconds", None)
        for i, answer in enumerate(found):
            if i % 2:
                # Without images, or a checkpoint, there is no map's result to be had.
                keys = ["error", "has_subject"] if "/nowhere" in bad[i // 2] else ["error"]
                self.assertEqual(list(answer), keys, bad[i // 2][:80])
            else:
                self.assertEqual(answer, found[0])
        self.assertIn("nowhere", found[9]["error"])
        self.assertIn("16 MiB", found[11]["error"])

    def test_says_what_evaluate_does(self):
        (answer,) = self.answers(json.dumps(self.request))
        evaluate = "--model lenet --checkpoint lenet.safetensors --data . --weights nearest,4,3 --threads 1 --json"
        told = json.loads(run(PROGRAM, "evaluate", *evaluate.split()).stdout)
        self.assertEqual((answer["images"], answer["correct"]), (20, told["correct"]))

    def test_takes_from_the_command_line_what_requests_leave_out(self):
        options = "--model lenet --checkpoint lenet.safetensors --data . --limit 7".split()
        self.assertEqual([answer["images"] for answer in self.answers("{}", "{}", options=options)], [7, 7])

    def test_ends_by_a_signal_while_it_waits(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with start(PROGRAM, "evaluate", "--requests", stdin=subprocess.PIPE) as process:
                process.stdin.write(json.dumps(self.request) + "\n" + '{"model"')
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["images"], 20)
                process.send_signal(number)
                self.assertEqual(process.wait(LONGEST), 0)
                self.assertEqual((process.stdout.read(), process.stderr.read()), ("", ""))

    def test_ends_when_nobody_reads(self):
        process = start(PROGRAM, "evaluate", "--requests", stdin=subprocess.PIPE)
        process.stdout.close()
        process.stdin.write(json.dumps(self.request) + "\n")
        process.stdin.flush()
        self.assertEqual(process.wait(LONGEST), 1)
        process.stdin.close()
        process.stderr.close()


class ASweep(unittest.TestCase):
    def setUp(self):
        for store in FOLDER.glob("runs*"):
            shutil.rmtree(store)

    def expect_good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def table(self, *command, store="runs"):
        return json.loads(self.expect_good(run(*command, "sensitivity", *NETWORK, "--store", store, "--json")))

    def expect_once(self, store, tasks):
        """Every key has one record, over all files."""
        lines = [json.loads(line) for file in (FOLDER / store).glob("*.jsonl") for line in file.read_text().splitlines()]
        keys = [line["key"] for line in lines if "key" in line]
        self.assertEqual((len(keys), len(set(keys))), (tasks, tasks))

    def test_gives_the_table_of_one_process_whoever_evaluates(self):
        alone = json.loads(
            self.expect_good(run(PROGRAM, "sensitivity", *NETWORK, "--store", "runs1", "--threads", "1", "--json"))
        )
        jobs = run(PROGRAM, "sensitivity", *NETWORK, "--store", "runs2", "--jobs", "3", "--json")
        self.assertEqual(json.loads(self.expect_good(jobs)), alone)
        if HAS_MPI:
            self.assertEqual(self.table(*MPIRUN, "-n", "3", MPI_PROGRAM, store="runs3"), alone)
            self.assertEqual(self.table(*MPIRUN, "-n", "1", MPI_PROGRAM, store="runs4"), alone)
            # One rank has one thread, too: another number would be another store.
            self.assertEqual(self.table(*MPIRUN, "-n", "1", MPI_PROGRAM, store="runs1"), alone | {"evaluations": 0})

    def test_finds_the_same_maps_whoever_evaluates(self):
        files = []
        ways = [[PROGRAM], [PROGRAM]] + ([[*MPIRUN, "-n", str(n), MPI_PROGRAM] for n in (1, 2, 4)] if HAS_MPI else [])
        for i, way in enumerate(ways):
            options = [["--threads", "1"], ["--jobs", "2"]][i] if i < 2 else []
            files.append(FOLDER / f"best{i}.json")
            self.expect_good(run(*way, "search", *SEARCH, *options, "--store", f"runs{i}", "--output", files[-1]))
        self.assertEqual(len({file.read_text() for file in files}), 1)

    def test_is_merged_from_shards(self):
        for shard in ("1/3", "2/3", "3/3"):
            done = run(PROGRAM, "sensitivity", *NETWORK, "--store", "runs", "--threads", "1", "--shard", shard)
            self.assertEqual(self.expect_good(done), "")
        done = run(PROGRAM, "sensitivity", *NETWORK, "--store", "runs", "--threads", "1", "--json")
        self.assertEqual(json.loads(self.expect_good(done))["evaluations"], 0)

    def test_goes_on_without_a_map_that_is_wrong(self):
        (FOLDER / "list.jsonl").write_text('{"weights": {"=nowhere": "nearest,8,6"}}\n\n{"weights": "nearest,8,6"}\n')
        options = "--model lenet --checkpoint lenet.safetensors --data . --store runs --list list.jsonl".split()
        for jobs in (["--threads", "1"], ["--jobs", "2"]):
            done = run(PROGRAM, "sweep", *options, *jobs, "--json")
            self.assertEqual(done.returncode, 1)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn("list.jsonl:1", done.stderr)
            wrong, right = json.loads(done.stdout)["results"]
            self.assertIn("nowhere", wrong["error"])
            self.assertIn("accuracy", right)

    def test_survives_kills_of_evaluators_and_of_itself(self):
        def children(process):
            return [int(text) for text in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]

        def records():
            return sum(file.read_text().count('"key"') for file in (FOLDER / "runs").glob("*.jsonl"))

        for victim in ("evaluator", "itself"):
            before = records()
            process = start(PROGRAM, "sensitivity", *WIDE, "--store", "runs", "--jobs", "2", "--json")
            end = time.monotonic() + LONGEST
            while process.poll() is None and records() < before + 2 and time.monotonic() < end:
                time.sleep(0.002)
            evaluators = children(process.pid) if process.poll() is None else []
            if victim == "evaluator":
                for one in evaluators[:1]:
                    os.kill(one, signal.SIGKILL)
                out, err = process.communicate(timeout=LONGEST)
                self.assertEqual(process.returncode, 0, err)
                shutil.rmtree(FOLDER / "runs")
            else:
                process.kill()
                process.communicate()
                end = time.monotonic() + 5
                while any(map(is_running, evaluators)) and time.monotonic() < end:
                    time.sleep(0.01)
                self.assertFalse(any(map(is_running, evaluators)))
        done = run(PROGRAM, "sensitivity", *WIDE, "--store", "runs", "--jobs", "2", "--json")
        self.assertEqual(json.loads(self.expect_good(done))["places"], json.loads(out)["places"])
        self.expect_once("runs", 7 * 7)

    def test_says_what_is_wrong_in_one_line(self):
        for options, said in (
            ("--shard 0/2", "--shard"),
            ("--shard 2", "--shard"),
            ("--jobs 0", "--jobs"),
        ):
            done = run(PROGRAM, "sensitivity", *NETWORK, "--store", "runs", *options.split())
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1))
            self.assertIn(said, done.stderr)
        self.assertIn("--uniform", run(PROGRAM, "sweep", *NETWORK[:4], "--store", "runs").stderr)
        for option in ("--places weights", "--fraction cover", "--score-data .", "--images 20"):
            done = run(PROGRAM, "sweep", *NETWORK[:4], "--store", "runs", "--maps", "maps.json", *option.split())
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1))
            self.assertIn(option.split()[0] + " requires --uniform", done.stderr)

    def test_refuses_a_store_of_other_numerics(self):
        self.expect_good(run(PROGRAM, "sensitivity", *NETWORK, "--store", "runs", "--jobs", "1"))
        shared = FOLDER / "runs" / "store.json"
        settings = json.loads(shared.read_text())
        self.assertIn("libtorch", settings["numerics"])
        shared.write_text(json.dumps(settings | {"numerics": "another libtorch"}))
        done = run(PROGRAM, "sensitivity", *NETWORK, "--store", "runs", "--jobs", "1")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1))
        self.assertIn("another libtorch", done.stderr)


def is_running(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class ThePage(unittest.TestCase):
    # What makes a command quick, beside what the page says.
    short = {
        "sensitivity": "--widths 8,3 --images 20 --score-data .",
        "search": "--widths 8,3 --images 20 --search-images 30 --refine 0 --data . --score-data .",
        "sweep": "--limit 10 --data .",
        "results": "",
    }

    def setUp(self):
        shutil.rmtree(FOLDER / "runs", ignore_errors=True)

    def fences(self, kind):
        found = re.findall(r"^```(.*)\n((?:.*\n)*?)```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        return [text for info, text in found if info == kind]

    def test_has_command_lines_that_run(self):
        count = 0
        for line in "".join(self.fences("")).splitlines():
            words = shlex.split(line)
            if words[:1] == ["mpirun"]:
                if not HAS_MPI:
                    continue
                words[0:1] = MPIRUN
            elif words[:1] != ["tensorquant"]:
                continue
            command = next(word for word in words if word in self.short)
            more = self.short[command].split()
            if "--uniform" in words:
                more += ["--images", "20", "--score-data", "."]
            done = run(*words, *more)
            self.assertEqual(done.returncode, 0, f"{line}: {done.stderr}")
            count += 1
        self.assertGreaterEqual(count, 9)

    def test_has_a_request_that_is_answered(self):
        (request,) = [line for line in "".join(self.fences("")).splitlines() if line.startswith("{")]
        request = json.loads(request)
        request["data"] |= {"path": ".", "images": 10}
        (answer,) = run(PROGRAM, "evaluate", "--requests", text=json.dumps(request)).stdout.splitlines()
        self.assertEqual(json.loads(answer)["images"], 10)

    def test_has_scripts_that_a_shell_reads(self):
        for script in self.fences("bash"):
            self.assertEqual(run("bash", "-n", text=script).returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
