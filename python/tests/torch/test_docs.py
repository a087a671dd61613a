"""The examples in the documents and in the folder of examples run."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tensorquant.torch as tqt

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}  # the tensors are small


def run(*arguments, cwd):
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_examples_of_the_page_run():
    page = ROOT / "docs" / "pytorch.md"
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 8 and result.failed == 0


@pytest.mark.parametrize("name", tqt.__all__)
def test_everything_public_is_documented_and_its_examples_run(name):
    thing = getattr(tqt, name)
    assert thing.__doc__.strip()
    if thing.__module__.startswith("tensorquant.torch"):
        for test in doctest.DocTestFinder().find(thing, name, globs={}):
            assert doctest.DocTestRunner().run(test).failed == 0


def test_the_readmes_example_runs_and_prints_the_float_and_the_quantized_accuracy(tmp_path):
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (program,) = (block for block in blocks if "tensorquant.torch" in block)
    found = re.fullmatch(r"float: (\S+)\nquantized: (\S+)\n", run("-c", program, cwd=tmp_path))
    assert found and all(0.8 < float(accuracy) < 1 for accuracy in found.groups())


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").exists(),
    reason="Debian's package dataset-fashion-mnist is not installed",
)
def test_the_example_runs_and_says_what_it_should(tmp_path):
    program = ROOT / "examples" / "pytorch" / "finetune.py"
    said = run(program, "--quick", cwd=tmp_path)
    assert "quantized and fine-tuned" in said
    assert re.search(r"^blocks\.1\.add +operation .* nearest,8,4 ", said, re.MULTILINE)
    assert not list(tmp_path.iterdir())
