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


def test_a_transposed_convolution_makes_of_the_result_the_input():
    options = {"stride": (2,), "padding_begin": (1,), "padding_end": (1,)}
    transposed = ops.convolution(
        "none", "nearest,16,8", **options, transposed=True, output_padding=(1,)
    )
    assert transposed.result_shape((2, 3, 5), (3, 4, 3)) == (2, 4, 10)
    plain = ops.convolution("none", "nearest,16,8", **options)
    assert plain.result_shape((2, 4, 10), (3, 4, 3)) == (2, 3, 5)
    with pytest.raises(ValueError, match="output_padding: the convolution is not transposed"):
        ops.convolution("none", "nearest,16,8", **options, output_padding=(1,))


def test_a_pool_may_have_a_last_window_that_ends_outside():
    sizes = {
        mode: ops.average_pool("none", "nearest,16,8", kernel=(2,), ceil_mode=mode).result_shape(
            (1, 1, 5)
        )
        for mode in (False, True)
    }
    assert sizes == {False: (1, 1, 2), True: (1, 1, 3)}
