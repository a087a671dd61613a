#!/usr/bin/env python3
"""The maps in README.md and docs are maps of the shipped models. Needs Python's standard library alone.

A fence of a map says what it is: ```json KIND [FILE] [wrong]. KIND is weights, extrinsic, intrinsic or maps; FILE is the name under
which the text saves the map; the message of a wrong map is the fence after it. The command lines find the page's files. Maps are
explained for the model that a command line names, in a fence for LeNet.

Usage: test_documents.py PROGRAM
"""

import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

PROGRAM = None
ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
KINDS = ("weights", "extrinsic", "intrinsic", "maps")


def fences(page):
    """(info string, text) of each."""
    return re.findall(r"^ *```(.*)\n((?:.*\n)*?) *```$", page.read_text(encoding="utf-8"), re.MULTILINE)


def json_fences(page):
    """(kind, file, text, message) of each: file is None where the text does not save it, message where it is right."""
    found = fences(page)
    for (info, text), (_, next_text) in zip(found, [*found[1:], ("", "")]):
        language, *words = info.split() or [""]
        if language != "json":
            continue
        wrong = "wrong" in words[1:]
        files = [word for word in words[1:] if word != "wrong"]
        if not words or words[0] not in KINDS or len(files) > 1:
            raise ValueError(f"{page.name}: '```{info}' does not say what map it is; expected ```json KIND [FILE] [wrong]")
        yield words[0], files[0] if files else None, text, next_text if wrong else None


def command_lines(page):
    """The arguments of each call of tensorquant that has a map for a network that comes with it."""
    for info, text in fences(page):
        if info not in ("", "sh"):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            if not re.match(r" *(build/release/bin/)?tensorquant ", line):
                continue
            arguments = shlex.split(line, comments=True)[1:]
            is_file = any(word.endswith(".onnx") for word in arguments)
            if any(f"--{kind}" in arguments for kind in KINDS) and not is_file:
                yield arguments


def explain(folder, model, *maps):
    arguments = [PROGRAM, "explain", "--model", model, *maps]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)


class Documents(unittest.TestCase):
    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def right(self, run, what):
        self.assertEqual((run.returncode, run.stderr), (0, ""), what)

    def test_every_json_fence_is_a_map_that_hits_layers_of_the_model_or_is_marked_wrong(self):
        count = 0
        for page in PAGES:
            folder = self.folder()
            for kind, file, text, message in json_fences(page):
                count += 1
                path = folder / (file or "map.json")
                path.write_text(text, encoding="utf-8")
                run = explain(folder, "lenet", f"--{kind}", path.name)
                if message is None:
                    self.right(run, (page.name, text))
                else:
                    says = re.sub("^tensorquant: (warning: )?", "", run.stderr, flags=re.MULTILINE)
                    self.assertEqual(says, message, (page.name, text))
        self.assertGreaterEqual(count, 5)

    def test_every_map_on_a_command_line_hits_layers_of_the_model(self):
        count = 0
        for page in PAGES:
            folder = self.folder()
            for _, file, text, message in json_fences(page):
                if file and message is None:
                    (folder / file).write_text(text, encoding="utf-8")
            for arguments in command_lines(page):
                count += 1
                options = dict(zip(arguments, arguments[1:]))
                maps = [word for kind in KINDS if f"--{kind}" in options for word in (f"--{kind}", options[f"--{kind}"])]
                self.right(explain(folder, options["--model"], *maps), (page.name, arguments))
        self.assertGreaterEqual(count, 5)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
