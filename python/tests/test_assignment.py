"""The table of maps, layers and what becomes of them, which the C++ tests run too."""

import dataclasses
import json
import pathlib

import pytest

import tensorquant as tq
from tensorquant import _core
from tensorquant.frontend.assignment import Assignment

TABLE = json.loads(
    (pathlib.Path(__file__).parents[2] / "tests" / "assignments.json").read_text(encoding="utf-8")
)
PLACES = ("weight", "bias", "output", "product", "accumulator")


@dataclasses.dataclass
class Layer:
    names: list
    type: str
    arithmetic: str = "rounded"
    obstacle: str = ""
    kind: str = "layer"

    def __str__(self):
        return f"'{self.names[0]}' ({self.type})"


def shown(quantizers):
    if quantizers is None:
        return {}
    found = {place: getattr(quantizers, place) for place in PLACES}
    found = {place: str(quantizer) for place, quantizer in found.items() if quantizer is not None}
    if "product" in found:
        found |= {"accumulate": quantizers.accumulate, "intrinsic": quantizers.intrinsic}
    return found | {"rule": quantizers.rule}


def shown_training(quantizers):
    if quantizers is None:
        return {}
    places = ("error", "weight_gradient", "bias_gradient", "state", "update")
    found = {place: getattr(quantizers, place) for place in places}
    found = {place: str(quantizer) for place, quantizer in found.items() if quantizer is not None}
    states = {name: q and str(q) for name, q in quantizers.states.items()}
    return found | ({"states": states} if states else {})


def assign(row):
    seed, strict = row.get("seed", 0), row.get("strict", False)
    override = tq.Override.from_json(row["maps"], seed=seed, strict=strict)
    layers = [Layer(**layer) for layer in row["layers"]]
    has_input = row.get("has_input", True)
    return Assignment(
        override, layers, has_input, lambda layer: layer.arithmetic, takes_training=True
    )


# In Keras every layer can be quantized.
KERAS = [row for row in TABLE if not any("obstacle" in layer for layer in row["layers"])]


@pytest.mark.parametrize("row", KERAS, ids=lambda row: row["claim"])
def test_each_row_comes_out_as_the_table_says(row):
    found = assign(row)
    if "fault" in row:
        with pytest.raises(tq.Error) as error:
            found.refuse()
        assert str(error.value) == row["fault"]
        return
    found.refuse()
    assert found.idle == row.get("idle", [])
    # Layers that nothing is put into have no quantizers and so no rule.
    wanted = [one if set(one) - {"rule"} else {} for one in row["quantizers"]]
    assert [shown(one) for one in found.quantizers] == wanted
    assert (None if found.input is None else str(found.input.output)) == row["input"]
    assert [shown_training(one) for one in found.training] == row.get("training") or [{}] * len(
        row["layers"]
    )
    for layer, one in zip(row["layers"], found.quantizers):
        if one is not None:
            assert (one.layer, one.seed) == (layer["names"][0], row.get("seed", 0))


def test_layers_that_cannot_be_quantized_are_told_by_the_core():
    rows = [row for row in TABLE if row not in KERAS]
    assert rows
    for row in rows:
        override = tq.Override.from_json(row["maps"], strict=row.get("strict", False))
        layers = [dataclasses.astuple(Layer(**layer)) for layer in row["layers"]]
        *_, faults = _core.assign(override._natives(), override.strict, layers, True)
        with pytest.raises(tq.Error) as error:
            faults.refuse()
        assert str(error.value) == row["fault"]


def test_what_a_front_end_finds_is_told_once_for_all_its_layers():
    found = assign({"maps": "{}", "layers": [{"names": ["a"], "type": "X"}]})
    found.add_fault(Layer(["a"], "X"), "too wide")
    found.add_fault(Layer(["b"], "X"), tq.Error("layer 'b' (X): too wide"))
    with pytest.raises(tq.Error, match=r"^layers 'a' \(X\), 'b' \(X\): too wide$"):
        found.refuse()


def test_a_front_end_without_training_refuses_its_maps():
    override = tq.Override(optimizer={"": {"state": "fp16"}})
    with pytest.raises(
        tq.Error, match="rule 1: the optimizer map is for tensorquant.torch in Pyth"
    ):
        Assignment(override, [], False, None)
