"""A machine without a library skips its models and says so."""

import os
import pathlib
import subprocess
import sys

import cases
import pytest

HERE = pathlib.Path(__file__).parent
WITHOUT = """
import sys, pytest
sys.modules.update(dict.fromkeys(sys.argv[1].split(","), None))
sys.exit(pytest.main(["-q", "-rs", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def run(missing, *arguments):
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(missing), *arguments],
        cwd=HERE,
        env={**os.environ, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("missing", [["torchvision"], [*cases.LIBRARIES, "lightning", "peft"]])
def test_models_of_a_library_that_is_not_there_are_skipped_in_one_clear_line(missing):
    said = run(missing, "test_names.py", "test_trainers.py", "-k", "names or adapters or scaled")
    assert "failed" not in said
    for library in {"torchvision", "peft"} & set(missing):
        assert cases.LACKS.format(library) in said
