"""The core's calibrator behind Python: every line of tests/golden/calibration, bit for bit; its README.md says whose hand made them."""

import json

import numpy as np
import pytest
from conftest import GOLDEN

import tensorquant as tq
from tensorquant import _core

FOLDER = GOLDEN / "calibration"
LINES = [json.loads(line) for line in (FOLDER / "calibration.jsonl").read_text().splitlines()]
ELEMENTS = {"int,8": "even,8,0", "int,4": "even,4,0", "e2m1": "e2m1"}


def method_of(line):
    numbers = [f"={line[key]}" for key in ("c", "p") if key in line]
    return line["method"].removesuffix("_range") + "".join(numbers)


def from_hex(text):
    return np.array([int(text, 16)], np.uint32).view(np.float32)[0]


def batches_of(line):
    x = np.fromfile(FOLDER / line["input"], np.float32)
    return np.split(x, np.cumsum(line["batches"])[:-1])


def calibrated(method, batches, observe="observe"):
    calibrator = _core.Calibrator(method)
    for number in range(calibrator.passes):
        if number == 1:
            calibrator.begin_second_pass()
        for batch in batches:
            getattr(calibrator, observe)(batch)
            calibrator.end_batch()
    return calibrator


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("line", LINES, ids=str)
def test_the_calibrator_has_the_bits_of_the_line(line, dtype):
    calibrator = calibrated(method_of(line), [batch.astype(dtype) for batch in batches_of(line)])
    if "amax" in line:
        element = _core.make_quantizer(ELEMENTS[line.get("format", "int,8")])
        assert calibrator.amax(element, "x") == from_hex(line["amax"])
    else:
        assert calibrator.range("x") == (from_hex(line["lo"]), from_hex(line["hi"]))


def test_there_are_33_lines_and_each_method_is_among_them():
    assert len(LINES) == 33
    assert {method_of(line).split("=")[0] for line in LINES} == set(_core.calibration_methods())


def test_halves_are_looked_at_as_float32():
    x = np.array([1.5, -0.25, np.nan, np.inf, 2.0**-24, -65504], np.float16)
    half = calibrated("minmax", [x.view(np.uint16)], "observe_float16")
    assert half.range("x") == (-65504, 1.5)
    assert half.counts == (4, 1, 1)
    bits = (np.array([1.5, -3e38, np.nan], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    wanted = (bits[1:2].astype(np.uint32) << 16).view(np.float32)[0]
    assert calibrated("minmax", [bits], "observe_bfloat16").range("x") == (wanted, 1.5)


def test_a_calibrator_tells_of_its_method():
    calibrator = _core.Calibrator("average")
    assert (calibrator.method, calibrator.passes, calibrator.finds_range) == (
        "average=0.01",
        1,
        True,
    )
    calibrator = _core.Calibrator("entropy")
    assert (calibrator.method, calibrator.passes, calibrator.finds_range) == ("entropy", 2, False)


@pytest.mark.parametrize(
    "spec, ends, wanted",
    [
        ("int,8,scale=max", [-254, 3], "int,8,scale=2"),
        ("int,8,unsigned,scale=range", [-256, 254], "int,8,unsigned,scale=2,zero=128"),
        ("float,4,3,scale=ceil", [-1, 241], "float,4,3,scale=2"),  # its largest number is 240
    ],
)
def test_a_rule_becomes_numbers(spec, ends, wanted):
    quantizer = _core.make_quantizer(spec)
    assert _core.can_be_calibrated(quantizer)
    calibrator = calibrated("minmax", [np.array(ends, np.float32)])
    assert calibrator.calibrated(quantizer, "x").spec == _core.make_quantizer(wanted).spec
    zeros = calibrated("minmax", [np.zeros(2, np.float32)])
    assert zeros.calibrated(quantizer, "x") is None


@pytest.mark.parametrize("spec", ["none", "nearest,8,4", "int,8,scale=2", "mxfp8_e4m3"])
def test_other_quantizers_have_nothing_to_calibrate(spec):
    assert not _core.can_be_calibrated(_core.make_quantizer(spec))


def test_faults_are_errors_of_one_line():
    with pytest.raises(tq.Error, match="^calibration method 'averge': unknown name 'averge', did"):
        _core.Calibrator("averge")
    none = _core.make_quantizer("none")
    with pytest.raises(
        tq.Error, match="^conv1: calibration method 'mse' wants a format with a largest"
    ):
        _core.Calibrator("mse").check_element(none, "conv1")
    both_ends = _core.make_quantizer("int,8,scale=range")
    with pytest.raises(tq.Error, match="^conv1: 'int,8,scale=range' wants both ends of a range"):
        _core.Calibrator("mse").check_calibration(both_ends, "conv1")
    with pytest.raises(tq.Error, match="^conv1 has no finite number, 1 NaN and 0 infinite ones"):
        calibrated("minmax", [np.array([np.nan])]).range("conv1")
