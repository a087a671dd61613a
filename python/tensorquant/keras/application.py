"""What the maps say about the layers of a model, and everything that speaks against it."""

import collections

import keras

import tensorquant as tq
from tensorquant.keras import rounded
from tensorquant.keras.container import ContainerPlan, remember_layers
from tensorquant.keras.keras_internals import sublayers
from tensorquant.keras.layers import is_whole, walk
from tensorquant.keras.moving import only_moves_values
from tensorquant.keras.plan import LayerPlan
from tensorquant.keras.quantizers import LayerQuantizers
from tensorquant.keras.twin import attach, detach

_INPUT = "input"  # a name for the extrinsic map alone, where the model has no layer of that name
_KINDS = ("weights", "extrinsic", "intrinsic")


class Application:
    """The quantizers that maps choose for the layers of a model. Nothing is changed by making it.

    Args:
        root: The model, or a single layer.
        override: A tensorquant.Override.
        wanted: Tells of a layer whether the maps are for it; for all if left out.
        has_input: Whether the name `input` stands for the model's input.

    Raises:
        tensorquant.Error: One error with everything that cannot be done.
    """

    def __init__(self, root, override, wanted=lambda layer: True, has_input=True):
        self._root = root
        self._override = override
        self._input = None
        self._plans = []  # pairs of a layer and its plan or None
        self._faults = []
        found = [layer for layer in walk(root) if wanted(layer.layer)]
        self.names = [name for layer in found for name in layer.names]
        self._refuse_equal_names()
        explanation = tq.explain(override, self.names)
        self.idle = self._idle(explanation, has_input and isinstance(root, keras.Model))
        rules = iter(explanation.layers)
        inexact, torn = [], []
        for layer in found:
            self._choose(layer, [next(rules) for _ in layer.names], inexact, torn)
        if inexact:
            self._faults.append(
                "the intrinsic map hits layers whose arithmetic cannot be rounded: "
                + ", ".join(map(str, inexact))
            )
        if torn:
            self._faults.append("one layer under two names has different rules: " + ", ".join(torn))
        if override.strict:
            self._faults += self.idle
        if self._faults:
            raise tq.Error("; ".join(self._faults))

    def attach(self):
        """Puts the quantizers into the layers; layers that no rule hits become plain ones."""
        for layer, plan in self._plans:
            if is_whole(layer):
                _detach_inside(layer)
            detach(layer)
            if plan is not None:
                attach(layer, plan)
        if isinstance(self._root, keras.Model):
            detach(self._root)
            if self._input is not None:
                attach(self._root, ContainerPlan(self._root, self._input))
        remember_layers(self._root)

    def _refuse_equal_names(self):
        twice = [name for name, count in collections.Counter(self.names).items() if count > 1]
        if twice:
            self._faults.append(
                "several layers have one name, give them names of their own: "
                + ", ".join(f"'{name}'" for name in twice)
            )

    def _idle(self, explanation, has_input):
        with_input = explanation
        if has_input and _INPUT not in self.names:
            with_input = tq.explain(self._override, [_INPUT, *self.names])
            rule = with_input.layers[0].extrinsic
            if rule is not None and rule.output is not None:
                self._input = LayerQuantizers(
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

    def _choose(self, layer, rules, inexact, torn):
        chosen = self._quantizers(layer.name, rules[0])
        for name, others in zip(layer.names[1:], rules[1:]):
            if _texts(others) != _texts(rules[0]):
                torn.append(f"'{layer.name}' and '{name}'")
        if not any((chosen.weight, chosen.bias, chosen.output, chosen.product)):
            self._plans.append((layer.layer, None))
            return
        covered = only_moves_values(layer.layer) or rounded.can_round(layer.layer)
        if chosen.product is not None and not covered:
            inexact.append(layer)
        try:
            self._plans.append((layer.layer, LayerPlan(layer.layer, chosen)))
        except tq.Error as error:
            self._faults.append(str(error))

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


def _detach_inside(layer):
    for child in sublayers(layer):
        detach(child)
        _detach_inside(child)
