"""The README's example for Keras."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[3] / "README.md"


def test_the_example_runs_and_prints_the_float_and_the_quantized_accuracy(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    (program,) = (block for block in blocks if "tensorquant.keras" in block)
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # its tensors are small
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = re.fullmatch(r"float: (\S+)\nquantized: (\S+)\n", run.stdout)
    assert found, run.stdout
    assert all(0.8 < float(accuracy) < 1 for accuracy in found.groups())
