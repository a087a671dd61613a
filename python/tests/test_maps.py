"""Quantizer maps, overrides and what hits what."""

import copy
import json
import pathlib
import pickle

import pytest

import tensorquant as tq

RULES = {
    "conv1": "nearest,8,6",
    "conv": tq.Quantizer("nearest,8,4"),
    "fc1": {"weight": "nearest,8,6", "bias": "nearest,16,12"},
    "fc2": None,
    "fc3": "none",
}


def test_the_first_rule_that_hits_wins():
    m = tq.quantizer_map(RULES)
    assert m.find("block/conv1") == tq.Quantizer("nearest,8,6")
    assert m.find("conv2") == tq.Quantizer("nearest,8,4")
    assert m.find("fc2") is None
    assert m.find_rule("fc2").key == "fc2"
    assert m.find_rule("pool") is None
    rule = m.find_rule("fc1")
    assert (rule.weight.spec, rule.bias.spec) == ("nearest,8,6", "nearest,16,12")
    assert (rule.output, rule.product, rule.accumulator) == (None, None, None)
    assert [rule.key for rule in m] == list(RULES)
    assert len(m) == 5


def test_nothing_of_the_caller_changes():
    rules = {key: dict(v) if isinstance(v, dict) else v for key, v in RULES.items()}
    before = copy.deepcopy(rules)
    m = tq.quantizer_map(rules)
    assert rules == before
    rules["conv1"] = "ternary"
    assert m.find("conv1").spec == "nearest,8,6"


def test_equal_maps_have_equal_texts(tmp_path):
    m = tq.quantizer_map(RULES)
    path = tmp_path / "map.json"
    path.write_text(m.to_json())
    pairs = list(RULES.items())
    for again in (
        tq.quantizer_map(path),
        tq.quantizer_map(str(path)),
        tq.quantizer_map(m.to_json()),
        tq.quantizer_map(pairs),
        tq.quantizer_map(iter(pairs)),
        tq.quantizer_map(m),
        pickle.loads(pickle.dumps(m)),
        copy.deepcopy(m),
    ):
        assert again == m
        assert hash(again) == hash(m)
    assert tq.quantizer_map(pairs[::-1]) != m
    assert tq.quantizer_map({"a": None}, "extrinsic") != tq.quantizer_map({"a": None}, "weights")
    assert json.loads(m.to_json())["fc1"] == RULES["fc1"]


@pytest.mark.parametrize("kind", ["weights", "extrinsic", "intrinsic"])
def test_one_quantizer_stands_for_every_layer(kind):
    q = tq.Quantizer("nearest,8,4")
    for source in ("nearest,8,4", q, {"": q}):
        m = tq.quantizer_map(source, kind)
        assert m.find("anything") == q
        assert m.kind == kind
    assert len(tq.quantizer_map(None, kind)) == 0
    assert tq.quantizer_map("none", kind).find("anything") is None


def test_a_part_that_an_intrinsic_rule_leaves_out_is_exact():
    m = tq.quantizer_map(
        {
            "a": {"product": "nearest,8,4", "accumulate": "chunk:8"},
            "b": {"accumulator": tq.Quantizer("nearest,16,8")},
            "c": "nearest,8,4",
            "d": {"product": "none", "accumulator": "none"},
            "e": None,
        },
        "intrinsic",
    )
    a, b, c, d, e = m
    assert (a.product.spec, a.accumulator.spec, a.accumulate) == ("nearest,8,4", "none", "chunk:8")
    assert (b.product.spec, b.accumulator.spec, b.accumulate) == ("none", "nearest,16,8", "step")
    assert c.product == c.accumulator == tq.Quantizer("nearest,8,4")
    assert (d.product.spec, d.accumulator.spec) == ("none", "none")
    assert e.product is None
    assert tq.quantizer_map(m.to_json(), "intrinsic") == m
    assert pickle.loads(pickle.dumps(m)) == m


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ({"a": "neares,8,4"}, "weights", "rule 1: quantizer 'neares,8,4', column 1: unknown"),
        ({"a": None, "b": {"wieght": None}}, "weights", "rule 2: unknown key 'wieght'"),
        ({"a": {}}, "weights", "rule 1: an empty dictionary"),
        ({"a": {"weight": "x"}}, "weights", "rule 1, weight: quantizer 'x', column 1: unknown"),
        ({"a": {"weight": None}}, "extrinsic", "expected a quantizer string"),
        ({"a": {"outer": {}}}, "intrinsic", "rule 1, outer: an empty dictionary"),
        ({"a": {"outer": {"every": 0}}}, "intrinsic", "rule 1, outer, every: 0 is not between 1"),
        ({"a": {"outer": {"B": 1}}}, "intrinsic", "rule 1, outer: unknown key 'B'"),
        ({"a": {"outer": {"accumulator": "x"}}}, "intrinsic", "rule 1, outer, accumulator: "),
        ({"a": {"order": "depth"}}, "intrinsic", "rule 1: order: unknown order 'depth'"),
        ({"a": "hoper_fp8"}, "intrinsic", "rule 1: quantizer 'hoper_fp8', column 1: unknown name"),
        ({"a": {"accumulate": "twice"}}, "intrinsic", "rule 1: accumulate: "),
        ([("a", None), ("a", None)], "weights", "rule 2: duplicate key 'a', first at rule 1"),
        ({"re:(": None}, "weights", "rule 1: "),
        ({}, "weight", "not 'weight'"),
        ('{"a": "neares,8,4"}', "weights", "line 1, column 8: quantizer 'neares,8,4': unknown"),
        ('{"a": null,}', "weights", "line 1, column "),
        ("8bit", "weights", "'8bit' is neither an existing file nor a quantizer string"),
        ("maps/8bit.json", "weights", "maps/8bit.json: no such file"),
        (pathlib.Path("8bit"), "weights", "8bit: no such file"),
        (tq.QuantizerMap({}, "extrinsic"), "weights", "stands in the place of 'weights'"),
    ],
)
def test_an_error_names_the_fault_and_its_place(source, kind, message):
    with pytest.raises(tq.Error) as caught:
        tq.quantizer_map(source, kind)
    assert message in str(caught.value)


def test_faults_in_files_have_line_and_column(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{\n  "conv": "nearest,8,4",\n  "fc": "neares,8,4"\n}\n')
    with pytest.raises(tq.Error, match=r"map\.json:3:10: quantizer 'neares,8,4': unknown name"):
        tq.quantizer_map(path)


@pytest.mark.parametrize("source", [8, {"a": 8}, {8: "none"}, [("a", 1.5)], {"a": ["none"]}])
def test_values_of_other_types_are_refused(source):
    with pytest.raises(TypeError, match="expected"):
        tq.quantizer_map(source)


def test_an_override_is_that_of_its_file_and_of_its_text(tmp_path):
    path = tmp_path / "maps.json"
    path.write_text('{"weights": {"conv": "nearest,8,6"}, "intrinsic": "nearest,16,8"}')
    o = tq.Override.from_file(path, seed=3, strict=True)
    assert o == tq.Override({"conv": "nearest,8,6"}, intrinsic="nearest,16,8", seed=3, strict=True)
    assert o != tq.Override.from_json(path.read_text())
    assert tq.Override.from_json(o.to_json(), seed=3, strict=True) == o
    assert (o.seed, o.strict, o.empty) == (3, True, False)
    assert tq.Override().empty
    assert pickle.loads(pickle.dumps(o)) == o
    with pytest.raises(tq.Error, match="nothing.json: no such file"):
        tq.Override.from_file("nothing.json")
    with pytest.raises(tq.Error, match="line 1, column"):
        tq.Override.from_json('{"weight": "none"}')


def test_keys_of_a_type_hit_layers_of_that_type():
    m = tq.QuantizerMap({"op:Conv2d": "fp16", "op:Linear": "bf16"})
    assert m.find("a.b", "Conv2d").spec == "fp16"
    assert m.find_rule("a.b", "Linear").key == "op:Linear"
    assert m.find("Conv2d") is None
    assert m.find("a", "LazyConv2d") is None
    found = tq.explain(tq.Override(m, {"op:Dense": "fp16"}), [("a", "Conv2d"), ("b", "ReLU"), "c"])
    assert [e.weights and e.weights.key for e in found.layers] == ["op:Conv2d", None, None]
    assert [rule.message for rule in found.idle] == [
        "rule 2: weights key 'op:Linear' hits no layer; the types are 'Conv2d', 'ReLU'",
        "rule 1: extrinsic key 'op:Dense' hits no layer; the types are 'Conv2d', 'ReLU'",
    ]
    with pytest.raises(tq.Error, match="names no type"):
        tq.QuantizerMap({"op:": "fp16"})


def test_explain_names_each_layers_rules_and_the_idle_ones():
    o = tq.Override(
        weights={"conv1": "fp16", "conv": None, "conv2": "bf16", "cnov": "bf16"},
        extrinsic={"=fc": "nearest,8,4"},
    )
    explanation = tq.explain(o, ["conv1", "conv2", "fc"])
    found = [
        (e.layer, e.weights and e.weights.text, e.extrinsic and e.extrinsic.text)
        for e in explanation.layers
    ]
    assert found == [
        ("conv1", '"fp16"', None),
        ("conv2", "null", None),
        ("fc", None, '"nearest,8,4"'),
    ]
    shadowed, misspelled = explanation.idle
    assert (shadowed.rule.key, shadowed.shadowed_by.key) == ("conv2", "conv")
    assert (misspelled.rule.key, misspelled.shadowed_by) == ("cnov", None)
    assert misspelled.suggestion in ("conv1", "conv2")
    assert "hits no layer" in misspelled.message
    assert str(explanation).splitlines()[-1] == misspelled.message


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    text = '\ufeff{"conv": "fp16"}'
    path = tmp_path / "map.json"
    path.write_text(text, encoding="utf-8")
    for m in (tq.quantizer_map(text), tq.quantizer_map(path), tq.quantizer_map("\ufefffp16")):
        assert m.find("conv") == tq.Quantizer("fp16")
    assert not tq.Override.from_json('\ufeff{"weights": "fp16"}').empty
    path.write_text(text, encoding="utf-16")
    with pytest.raises(tq.Error, match="map.json: the text is UTF-16, expected UTF-8"):
        tq.quantizer_map(path)


def test_a_table_is_straight_whatever_the_layers_names_hold():
    table = str(tq.explain(tq.Override("fp16"), ["a\nb", "畳み", "e\u0301"])).splitlines()
    assert table == [
        "layer   weights  extrinsic  intrinsic",
        'a\\x0ab  "fp16"   -          -',
        '畳み    "fp16"   -          -',
        'e\u0301       "fp16"   -          -',
    ]


def test_two_accumulators_and_the_order_of_taps_come_back_from_a_map():
    rules = {
        "a": {"accumulate": "align:32:13", "outer": {"accumulator": "float,8,23", "every": 128}},
        "b": {"outer": {"every": 4}, "order": "tap"},
        "c": "fp16",
    }
    m = tq.quantizer_map(rules, "intrinsic")
    a, b, c = m.rules
    assert (a.accumulate, a.outer, a.order) == (
        "align:32:13",
        tq.OuterSum(tq.Quantizer("float,8,23"), 128),
        "channel",
    )
    assert (b.outer, b.order) == (tq.OuterSum(tq.Quantizer("none"), 4), "tap")
    assert (c.outer, c.order) == (None, "channel")
    assert tq.quantizer_map(m.to_json(), "intrinsic") == m
    assert pickle.loads(pickle.dumps(m)) == m
    assert len({hash(rule) for rule in m}) == 3


def test_a_name_of_hardware_stands_for_its_value():
    assert len(tq.list_hardware()) >= 9
    for hardware in tq.list_hardware():
        by_name = tq.quantizer_map({"": hardware.name}, "intrinsic")
        assert by_name == tq.quantizer_map(hardware.name, "intrinsic")
        assert by_name == tq.quantizer_map({"": hardware.arithmetic}, "intrinsic")
        assert by_name.rules[0].text == hardware.text
        with pytest.raises(tq.Error, match="is no quantizer but a value of intrinsic maps"):
            tq.Quantizer(hardware.name)


def test_maps_of_training_have_places_of_their_own():
    gradients = tq.quantizer_map(
        {"fc": {"error": "float,5,2", "weight": tq.Quantizer("fp16"), "bias": None}, "": "bf16"},
        "gradients",
    )
    rule = gradients.find_rule("fc")
    assert (str(rule.error), str(rule.weight_gradient), rule.bias_gradient) == (
        "float,5,2",
        "fp16",
        None,
    )
    assert gradients.to_json() == '{"fc":{"error":"float,5,2","weight":"fp16"},"":"bf16"}'
    optimizer = tq.quantizer_map(
        {"": {"state": "fp16", "update": "bf16", "exp_avg": None, "max": "float,5,2"}}, "optimizer"
    )
    rule = optimizer.find_rule("fc")
    assert (str(rule.state), str(rule.update)) == ("fp16", "bf16")
    assert dict(rule.states) == {"exp_avg": None, "max": tq.Quantizer("float,5,2")}
    for one in (gradients, optimizer):
        assert pickle.loads(pickle.dumps(one)) == one
        assert tq.quantizer_map(one.to_json(), one.kind) == one
    override = tq.Override(gradients=gradients, optimizer=optimizer)
    assert not override.empty and tq.Override.from_json(override.to_json()) == override


@pytest.mark.parametrize(
    "kind, rules, message",
    [
        (
            "gradients",
            {"a": {"output": "fp16"}},
            "rule 1: unknown key 'output' in a map of kind gra",
        ),
        (
            "optimizer",
            {"a": {"weight": "fp16"}},
            "rule 1: unknown key 'weight' in a map of kind opt",
        ),
        ("optimizer", {"a": {}}, "rule 1: an empty dictionary, expected 'state' or 'update'"),
        ("optimizer", {"a": {"exp_avg": "f16"}}, "rule 1, exp_avg: .*'f16'"),
        ("optimiser", {}, "a map's kind is .* or 'optimizer', not 'optimiser'"),
    ],
)
def test_faults_in_maps_of_training_name_their_place(kind, rules, message):
    with pytest.raises(tq.Error, match=message):
        tq.quantizer_map(rules, kind)


def test_explain_shows_maps_of_training_where_there_are_rules():
    override = tq.Override("fp16", gradients={"fc": "bf16"}, optimizer={"x": {"exp_avg": "bf16"}})
    explanation = tq.explain(override, ["conv", "fc"])
    assert explanation.layers[1].gradients.text == '"bf16"'
    lines = str(explanation).splitlines()
    assert lines[0].split() == ["layer", "weights", "extrinsic", "intrinsic", "gradients"]
    assert lines[-1] == "rule 1: optimizer key 'x' hits no layer"
