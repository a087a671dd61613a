"""The table of operations, shapes and errors, which the C++ tests run too."""

import json
import pathlib

import pytest

import tensorquant as tq
from tensorquant import ops

TABLE = json.loads(
    (pathlib.Path(__file__).parents[3] / "tests" / "operations.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['kind']}-{row['inputs']}")
def test_each_row_comes_out_as_the_table_says(row):
    known = ("kind", "inputs", "shape", "error")
    numbers = {name: value for name, value in row.items() if name not in known}
    operation = getattr(ops, row["kind"])("none", "nearest,16,8", **numbers)
    if "shape" in row:
        assert list(operation.result_shape(*row["inputs"])) == row["shape"]
        return
    with pytest.raises(tq.Error) as error:
        operation.result_shape(*row["inputs"])
    assert row["error"] in str(error.value)
