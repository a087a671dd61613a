"""What the maps say about the layers of a model, and everything that speaks against it."""

import collections

from tensorquant.frontend.layer_quantizers import LayerQuantizers
from tensorquant.maps.explain import explain

_INPUT = "input"  # a name for the extrinsic map alone, where the model has no layer of that name
_KINDS = ("weights", "extrinsic", "intrinsic")


class Assignment:
    """The quantizers that maps choose for the layers of a model.

    Args:
        override: A tensorquant.Override.
        layers: Objects with a list `names`, the first of which is the layer's name, and the text
            that errors have for the layer.
        has_input: Whether the name `input` stands for the model's input.
        is_covered: Tells of one of the layers whether an intrinsic rule leaves nothing in it that
            is not rounded.

    Attributes:
        names: All names of the layers.
        quantizers: LayerQuantizers for each of the layers; None where no rule hits it.
        input: LayerQuantizers of the model's input, or None.
        idle: A message for each rule that does nothing.
        faults: What cannot be done.
    """

    def __init__(self, override, layers, has_input, is_covered):
        self._override = override
        self.names = [name for layer in layers for name in layer.names]
        self.input = None
        self.faults = []
        self._refuse_equal_names()
        explanation = explain(override, self.names)
        self.idle = self._idle(explanation, has_input)
        rules = iter(explanation.layers)
        inexact, torn = [], []
        self.quantizers = [
            self._choose(layer, [next(rules) for _ in layer.names], is_covered, inexact, torn)
            for layer in layers
        ]
        if inexact:
            self.faults.append(
                "the intrinsic map hits layers whose arithmetic cannot be rounded: "
                + ", ".join(map(str, inexact))
            )
        if torn:
            self.faults.append("one layer under two names has different rules: " + ", ".join(torn))
        if override.strict:
            self.faults += self.idle

    def _refuse_equal_names(self):
        twice = [name for name, count in collections.Counter(self.names).items() if count > 1]
        if twice:
            self.faults.append(
                "several layers have one name, give them names of their own: "
                + ", ".join(f"'{name}'" for name in twice)
            )

    def _idle(self, explanation, has_input):
        with_input = explanation
        if has_input and _INPUT not in self.names:
            with_input = explain(self._override, [_INPUT, *self.names])
            rule = with_input.layers[0].extrinsic
            if rule is not None and rule.output is not None:
                self.input = LayerQuantizers(
                    _INPUT,
                    output=rule.output,
                    rule=_cited("extrinsic", rule),
                    seed=self._override.seed,
                )
        return [
            rule.message
            for kind in _KINDS
            for rule in (with_input if kind == "extrinsic" else explanation).idle
            if rule.kind == kind
        ]

    def _choose(self, layer, rules, is_covered, inexact, torn):
        name, *others = layer.names
        chosen = self._quantizers(name, rules[0])
        for other, its_rules in zip(others, rules[1:]):
            if _texts(its_rules) != _texts(rules[0]):
                torn.append(f"'{name}' and '{other}'")
        if not any((chosen.weight, chosen.bias, chosen.output, chosen.product)):
            return None
        if chosen.product is not None and not is_covered(layer):
            inexact.append(layer)
        return chosen

    def _quantizers(self, name, rules):
        cited = [_cited(kind, getattr(rules, kind)) for kind in _KINDS if getattr(rules, kind)]
        chosen = {"layer": name, "rule": ", ".join(cited), "seed": self._override.seed}
        if rules.weights is not None:
            chosen.update(weight=rules.weights.weight, bias=rules.weights.bias)
        if rules.extrinsic is not None:
            chosen.update(output=rules.extrinsic.output)
        if rules.intrinsic is not None and rules.intrinsic.product is not None:
            chosen.update(
                product=rules.intrinsic.product,
                accumulator=rules.intrinsic.accumulator,
                accumulate=rules.intrinsic.accumulate,
                intrinsic=rules.intrinsic.text.replace('"', ""),
            )
        return LayerQuantizers(**chosen)


def _cited(kind, rule):
    return f'{kind} "{rule.key}" ({rule.origin})'


def _texts(rules):
    """The rules' values: equal texts do the same."""
    found = ((kind, getattr(rules, kind)) for kind in _KINDS)
    return [(kind, rule.text) for kind, rule in found if rule is not None and rule.text != "null"]
