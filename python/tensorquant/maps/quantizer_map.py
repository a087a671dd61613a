"""Quantizer maps: rules from layer names to quantizers."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.numbers.checks import check_text, checked, wrong
from tensorquant.numbers.outer_sum import OuterSum
from tensorquant.numbers.quantizer import Quantizer

# What a rule may give to a layer.
Value = str | Quantizer | Mapping[str, "str | Quantizer | Mapping | None"] | None

_PARTS = {
    "weights": ("weight", "bias"),
    "extrinsic": (),
    "intrinsic": ("product", "accumulator", "accumulate", "outer", "order"),
    "gradients": ("error", "weight", "bias"),
    "optimizer": ("state", "update"),
}
_PLACES = ("weight", "bias", "output", "product", "accumulator", "error")
_PLACES += ("weight_gradient", "bias_gradient", "state", "update")


@dataclass(frozen=True)
class Rule:
    """What a map gives to the layers that a key hits.

    Attributes:
        key: The key: see docs/maps.md.
        weight: Quantizer of weights in a weights map. Here and below None leaves the place alone.
        bias: Quantizer of biases in a weights map.
        output: Quantizer of outputs in an extrinsic map.
        product: Quantizer of products in an intrinsic map.
        accumulator: Quantizer of sums in an intrinsic map.
        accumulate: How an intrinsic map adds up: "step", "once", "chunk:N", "align:N:F", "fused".
        outer: The second accumulator of an intrinsic map, an OuterSum; None for a single one.
        order: In which order an intrinsic map adds up a convolution: "channel" or "tap".
        error: Quantizer of the gradients of outputs in a gradients map.
        weight_gradient: Quantizer of weights' gradients in a gradients map.
        bias_gradient: Quantizer of biases' gradients in a gradients map.
        state: Quantizer of what an optimizer keeps, in an optimizer map.
        update: Quantizer of parameters after a step, in an optimizer map.
        states: Pairs of names of states and what an optimizer map has for them in place of `state`.
        text: The value as canonical JSON.
        origin: Where the rule stands: "maps/8bit.json:3:5" or "rule 2".
    """

    key: str
    weight: Quantizer | None
    bias: Quantizer | None
    output: Quantizer | None
    product: Quantizer | None
    accumulator: Quantizer | None
    error: Quantizer | None
    weight_gradient: Quantizer | None
    bias_gradient: Quantizer | None
    state: Quantizer | None
    update: Quantizer | None
    states: tuple[tuple[str, Quantizer | None], ...]
    accumulate: str
    outer: OuterSum | None
    order: str
    text: str
    origin: str = field(compare=False)

    @property
    def place(self) -> str:
        """The former name of origin."""
        return self.origin

    @staticmethod
    def _of(core: _core.Rule | None) -> "Rule | None":
        if core is None:
            return None
        quantizers = {place: Quantizer._of(getattr(core, place)) for place in _PLACES}
        states = tuple((name, Quantizer._of(q)) for name, q in core.states.items())
        outer = core.outer and OuterSum(Quantizer._of(core.outer[0]), core.outer[1])
        return Rule(
            core.key,
            **quantizers,
            states=states,
            accumulate=core.accumulate,
            outer=outer,
            order=core.order,
            text=core.text,
            origin=core.origin,
        )

    def _value(self) -> Value:
        """What makes the same rule again."""
        if self.weight or self.bias:
            return {"weight": self.weight, "bias": self.bias}
        if self.error or self.weight_gradient or self.bias_gradient:
            gradients = {"weight": self.weight_gradient, "bias": self.bias_gradient}
            return {"error": self.error, **gradients}
        if self.state or self.update or self.states:
            return {"state": self.state, "update": self.update, **dict(self.states)}
        if self.product:
            return {
                "product": self.product,
                "accumulator": self.accumulator,
                "accumulate": self.accumulate,
                "outer": self.outer,
                "order": self.order,
            }
        return self.output


class QuantizerMap:
    """An ordered list of rules from layer names to quantizers; the first that hits a name wins.

    A value: it never changes, and neither does what it was made from.

    Args:
        rules: A dictionary or pairs of keys and values. A value is a quantizer string, a Quantizer,
            None, or a dictionary of parts: weight and bias in a map of weights; product,
            accumulator, accumulate, outer and order in an intrinsic one, which also takes a name of
            list_hardware(); error, weight and bias in one of gradients; state, update and names of
            states in one of an optimizer.
        kind: "weights", "extrinsic", "intrinsic", "gradients" or "optimizer".

    Raises:
        Error: A rule is wrong; the message says which.

    Example:
        >>> m = QuantizerMap({"conv": "nearest,8,4", "fc": {"weight": "ternary"}, "": None})
        >>> m.find("block/conv1")
        Quantizer('nearest,8,4')
        >>> m.find("pool") is None
        True
        >>> print(m.to_json())
        {"conv":"nearest,8,4","fc":{"weight":"ternary"},"":null}
    """

    @checked
    def __init__(self, rules: Any = (), kind: str = "weights") -> None:
        self._native = _core.QuantizerMap(kind)
        for number, pair in enumerate(_pairs(rules), 1):
            place = f"rule {number}"
            if not isinstance(pair, Sequence) or isinstance(pair, (str, bytes)) or len(pair) != 2:
                raise wrong(place, "a pair of a key and a value", pair)
            key, value = pair
            self._add(check_text(f"{place}, the key", key), value, place)

    @staticmethod
    def _of(core: _core.QuantizerMap) -> "QuantizerMap":
        quantizer_map = QuantizerMap.__new__(QuantizerMap)
        quantizer_map._native = core
        return quantizer_map

    def _add(self, key: str, value: Value, place: str) -> None:
        if isinstance(value, str):
            self._native.add_string(key, check_text(place, value))
            return
        if not isinstance(value, Mapping):
            self._native.add_plain(key, _core_quantizer(value, place))
            return
        known = _PARTS[self.kind]
        for part in value:
            if self.kind == "optimizer" and part not in _PLACES:
                check_text(f"{place}, the name of a state", part)
            elif part not in known:
                expected = " or ".join(map(repr, known)) if known else "a quantizer string"
                raise Error(
                    f"{place}: unknown key {part!r} in a map of kind {self.kind}, expected"
                    f" {expected}"
                )
        if not value:
            raise Error(f"{place}: an empty dictionary, expected {' or '.join(map(repr, known))}")
        quantizers = {
            part: _core_quantizer(value.get(part), f"{place}, {part}")
            for part in [*known, *value]
            if part not in ("accumulate", "outer", "order")
        }
        parts = {part: quantizers.pop(part) for part in known if part in quantizers}
        if self.kind == "weights":
            self._native.add_weights(key, **parts)
        elif self.kind == "gradients":
            self._native.add_gradients(key, **parts)
        elif self.kind == "optimizer":
            self._native.add_optimizer(key, **parts, states=quantizers)
        else:
            words = {
                name: check_text(f"{place}, {name}", value.get(name, default))
                for name, default in (("accumulate", "step"), ("order", "channel"))
            }
            outer = OuterSum.of(value.get("outer"), f"{place}, outer")
            self._native.add_intrinsic(key, **parts, **words, outer=outer and outer._native)

    @property
    def kind(self) -> str:
        """ "weights", "extrinsic", "intrinsic", "gradients" or "optimizer"."""
        return self._native.kind

    @property
    def rules(self) -> list[Rule]:
        """The rules in order."""
        return [Rule._of(rule) for rule in self._native.rules]

    @checked
    def find(self, layer: str, type: str = "") -> Quantizer | None:
        """The quantizer of the first of the kind's places for a layer: weights, outputs, products,
        errors or states.

        Args:
            layer: The layer's full name.
            type: The layer's type, which keys such as `op:Conv2d` ask for; "": not known.

        Returns:
            The quantizer; None where no rule hits or the rule leaves the layer alone.
        """
        return Quantizer._of(self._native.find(layer, type))

    @checked
    def find_rule(self, layer: str, type: str = "") -> Rule | None:
        """The first rule that hits a layer, or None; the arguments are those of `find`."""
        return Rule._of(self._native.find_rule(layer, type))

    def to_json(self) -> str:
        """Canonical JSON: maps that mean the same, rule for rule, have the same text."""
        return self._native.to_json()

    def __len__(self) -> int:
        return len(self._native.rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __eq__(self, other: object) -> bool:
        return self._native == other._native if isinstance(other, QuantizerMap) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.kind, self.to_json()))

    def __repr__(self) -> str:
        return f"quantizer_map({self.to_json()!r}, kind={self.kind!r})"

    def __reduce__(self) -> Any:
        return QuantizerMap, ([(rule.key, rule._value()) for rule in self.rules], self.kind)


@checked
def quantizer_map(source: Any, kind: str = "weights") -> QuantizerMap:
    """Makes a quantizer map of anything that can stand for one.

    Args:
        source: The path of a JSON file, or its text if it starts with "{"; a quantizer string or
            a Quantizer, for every layer; a dictionary or pairs, as QuantizerMap takes them; a
            QuantizerMap; None for no rules. Nothing of it is changed.
        kind: "weights", "extrinsic", "intrinsic", "gradients" or "optimizer".

    Returns:
        The map.

    Raises:
        Error: The file is missing, or something in it is wrong; the message names file, line and
            column.

    Example:
        >>> quantizer_map("nearest,16,8").find("any layer")
        Quantizer('nearest,16,8')
        >>> quantizer_map('{"conv": "neares,8,4"}')
        Traceback (most recent call last):
        tensorquant.Error: line 1, column 11: quantizer 'neares,8,4': unknown name 'neares', did \
you mean 'nearest'?
        >>> quantizer_map("maps/8bit.json")
        Traceback (most recent call last):
        tensorquant.Error: maps/8bit.json: no such file
    """
    if source is None:
        return QuantizerMap((), kind)
    if isinstance(source, QuantizerMap):
        if source.kind != kind:
            raise Error(f"a map of kind '{source.kind}' stands in the place of '{kind}'")
        return source
    if isinstance(source, Quantizer):
        return QuantizerMap({"": source}, kind)
    if isinstance(source, str):
        return QuantizerMap._of(_core.QuantizerMap.from_argument(check_text("map", source), kind))
    if isinstance(source, os.PathLike):
        return QuantizerMap._of(_core.QuantizerMap.from_file(path_text(source), kind))
    return QuantizerMap(source, kind)


def path_text(path: str | os.PathLike) -> str:
    text = os.fsdecode(path)
    if "\0" in text:
        raise Error(f"path: {text!r} has a zero byte")
    return text


def _pairs(rules: Any) -> Iterable[Any]:
    if isinstance(rules, Mapping):
        return rules.items()
    if isinstance(rules, Iterable) and not isinstance(rules, (str, bytes, bytearray)):
        return rules
    raise wrong("map", "a path, a quantizer string, JSON, a dictionary or pairs", rules)


def _core_quantizer(value: Any, place: str) -> _core.Quantizer | None:
    if value is None:
        return None
    if isinstance(value, Quantizer):
        return value._native
    if not isinstance(value, str):
        raise wrong(place, "a quantizer string, a Quantizer or None", value)
    try:
        return _core.make_quantizer(check_text("quantizer", value))
    except Error as error:
        raise Error(f"{place}: {error}") from None
