"""The examples run, in their quick form."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "examples" / "keras"
SAYS = {
    "lenet": "Test accuracy: ",
    "finetune": "quantized and fine-tuned",
    "application": "block_1_expand: nearest,8,6",
    "own_layer": "the same bits: True",
    "accuracy_over_bits": "| 12 | ",
}


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").exists(),
    reason="Debian's package dataset-fashion-mnist is not installed",
)
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs_and_says_what_it_should(name, tmp_path):
    run = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", "--quick"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert SAYS[name] in run.stdout
    assert not list(tmp_path.iterdir())
