"""What bench/arithmetic/rivals_bench.py measures beside matmul computes the same numbers, and the script notices where not."""

import argparse
import sys

import numpy as np
import pytest
from conftest import GOLDEN

sys.path.insert(0, str(GOLDEN.parents[1] / "bench" / "arithmetic"))
import rivals_bench as bench

SIZE = 64
NUMPY, ONEDNN = "NumPy, ml_dtypes", "oneDNN"


def products(rival: str):
    needs = {NUMPY: "ml_dtypes", ONEDNN: "torch"}
    pytest.importorskip(needs[rival], reason=f"{needs[rival]} is not installed")
    return bench.RIVALS[rival](argparse.Namespace(cpfloat=None))


def row_of(product, accumulator):
    (row,) = (r for r in bench.ROWS if (r.product, r.accumulator) == (product, accumulator))
    return row


def numbers_of(row, offer):
    """Theirs and ours."""
    a, b = bench.factors_of(row, SIZE)
    run = offer(row, a, b)
    return run and np.asarray(run()), bench.ours_of(row, a, b)()


@pytest.mark.parametrize("row", bench.ROWS, ids=str)
def test_numpy_computes_every_row_but_floats_with_ties_away(row):
    theirs, ours = numbers_of(row, products(NUMPY))
    if row.accumulator == bench.FP16_AWAY:
        assert theirs is None
    else:
        np.testing.assert_array_equal(theirs, ours)


def test_onednn_computes_bytes_alone():
    offer = products(ONEDNN)
    theirs, ours = numbers_of(row_of(None, bench.INT32), offer)
    np.testing.assert_array_equal(theirs, ours)
    assert numbers_of(row_of(bench.FP16, bench.FP16), offer)[0] is None


def test_a_rival_with_another_rounding_ends_the_run():
    offer = products(NUMPY)
    even, away = (
        row_of(bench.Fixed(16, 8, ties), bench.Fixed(16, 8, ties)) for ties in ("even", "nearest")
    )
    theirs, _ = numbers_of(even, offer)
    _, ours = numbers_of(away, offer)
    with pytest.raises(SystemExit, match=r"rivals_bench.py: R, nearest,16,8 -> .* element \["):
        bench.share_that_differs("R", away, ours, theirs)


def test_a_rival_that_says_why_it_differs_is_told_how_much():
    row = row_of(None, bench.FP16)
    _, ours = numbers_of(row, products(NUMPY))
    theirs = ours.copy()
    theirs[:, :3] += 1
    assert bench.share_that_differs("CPFloat", row, ours, theirs) == 3 / SIZE
    assert bench.share_that_differs("CPFloat", row, ours, ours) == 0


def test_rivals_that_are_not_there_are_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mptorch", None)
    monkeypatch.setitem(sys.modules, "qtorch", None)
    rivals = bench.rivals_that_are_there(argparse.Namespace(cpfloat=None))
    assert not rivals.keys() & {"CPFloat", "MPTorch", "QPyTorch"}
    said = capsys.readouterr().err
    assert "CPFloat is left out: ImportError: --cpfloat names its shared library\n" in said
    assert "MPTorch is left out" in said
    assert "QPyTorch is left out" in said


def test_a_line_for_each_rival_of_a_row():
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    row = row_of(bench.E4M3, bench.BF16)
    (line,) = bench.measure(row, {NUMPY: products(NUMPY)}, 4, 2)
    assert (line["rival"], line["product"], line["accumulator"]) == (
        NUMPY,
        "float,4,3",
        "float,8,7",
    )
    assert line["differ"] == 0
    assert line["over_ours_low"] <= line["over_ours"] <= line["over_ours_high"]
