"""ONNX's own tests of single operators: ONNX Runtime computes of our copy what it does of the file."""

import re
import warnings

import numpy as np
import onnxruntime
import pytest
from files import run_plain
from onnx import AttributeProto
from onnx.backend.test.case.node import collect_testcases

import tensorquant as tq
import tensorquant.onnx as tqo

TYPES_IN_BRANCHES = {"test_if_opt"}
FLOAT16 = re.compile("fp16|softmax_precision")


@pytest.fixture(scope="module")
def cases():
    """Models that ONNX Runtime computes, with inputs and outputs by name."""
    onnxruntime.set_default_logger_severity(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        all_of_them = collect_testcases(None)
    found = []
    for case in all_of_them:
        names = [port.name for port in case.model.graph.input]
        given = [x if isinstance(x, list) else np.asarray(x) for x in case.data_sets[0][0]]
        inputs = dict(zip(names, given))
        try:
            found.append((case, inputs, run_plain(case.model, inputs)))
        except Exception:  # noqa: BLE001, S112  an operator, or a type, that it has not
            continue
    assert len(found) > 1200
    return found


def has_tensors_alone(*ports):
    return all(port.type.WhichOneof("value") in ("tensor_type", None) for port in ports)


def same(a, b):
    if isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=b.dtype.kind == "f")


def has_attribute(case, kind):
    return any(a.type == kind for node in case.model.graph.node for a in node.attribute)


def is_refused(case):
    has_types = has_attribute(case, AttributeProto.TYPE_PROTO) or case.name in TYPES_IN_BRANCHES
    return has_types or not has_tensors_alone(*case.model.graph.input)


def different(run, inputs, expected):
    found = run(inputs)
    return [name for name, array in expected.items() if not same(found[name], array)]


def test_an_operator_gives_what_it_gives_in_the_file(cases):
    wrong = {}
    for case, inputs, expected in cases:
        if is_refused(case):
            with pytest.raises(tq.Error):
                tqo.load(case.model)
        elif found := different(tqo.load(case.model).run, inputs, expected):
            wrong[case.name] = found
    assert not wrong


@pytest.mark.filterwarnings("ignore::tensorquant.onnx.IdleRuleWarning")
def test_an_operator_gives_the_same_in_a_piece(cases):
    wrong = {}
    for case, inputs, expected in cases[::4]:
        if is_refused(case):
            continue
        model = tqo.quantize_model(tqo.load(case.model), weights="none", extrinsic="none")
        if found := different(model.run, inputs, expected):
            wrong[case.name] = found
    assert not wrong


def test_nodes_give_the_same_where_the_model_is_cut_behind_each(cases):
    wrong, seen = {}, []
    for case, inputs, expected in cases[::3]:
        is_one = len(case.model.graph.node) == 1 and not has_attribute(case, AttributeProto.GRAPH)
        # Nodes of float16 that ONNX Runtime computes in one go are not rounded between.
        if is_one or is_refused(case) or FLOAT16.search(case.name):
            continue
        model = tqo.load(case.model)
        with tqo.observe(model, lambda name, array: seen.append(name)):
            if found := different(model.run, inputs, expected):
                wrong[case.name] = found
    assert not wrong
    assert len(seen) > 600
