"""Which rules of maps hit which layers."""

from collections.abc import Iterable
from typing import NamedTuple

from tensorquant import _core
from tensorquant.maps.override import KINDS, Override
from tensorquant.maps.quantizer_map import Rule
from tensorquant.numbers.checks import checked

_FORWARD = ("weights", "extrinsic", "intrinsic")  # whose columns are there in any case


class LayerExplanation(NamedTuple):
    """What the maps say about one layer; None where no rule hits."""

    layer: str
    weights: Rule | None
    extrinsic: Rule | None
    intrinsic: Rule | None
    gradients: Rule | None = None
    optimizer: Rule | None = None


class IdleRule(NamedTuple):
    """A rule that does nothing.

    Attributes:
        kind: The kind of its map.
        rule: The rule.
        shadowed_by: The earlier rule that takes its layers; None where its key hits no layer.
        suggestion: Where its key hits no layer, the nearest one, or "".
        message: All that in one line.
    """

    kind: str
    rule: Rule
    shadowed_by: Rule | None
    suggestion: str
    message: str


class Explanation(NamedTuple):
    """Which rule chooses each layer's quantizers, and which rules do nothing."""

    layers: list[LayerExplanation]
    idle: list[IdleRule]

    def __str__(self) -> str:
        """A table of the layers, and a line for each idle rule."""
        kinds = [kind for kind in KINDS if kind in _FORWARD or self._has(kind)]
        rows = [
            [layer.layer, *(_text(getattr(layer, kind)) for kind in kinds)] for layer in self.layers
        ]
        table = _core.format_table(["layer", *kinds], rows).removesuffix("\n")
        return "\n".join([table, *(rule.message for rule in self.idle)])

    def _has(self, kind: str) -> bool:
        return any(getattr(layer, kind) is not None for layer in self.layers)


def _text(rule: Rule | None) -> str:
    return "-" if rule is None else rule.text


@checked
def explain(override: Override, layers: Iterable[str | tuple[str, str]]) -> Explanation:
    """Tells which rules hit which layers.

    Args:
        override: The maps.
        layers: The layers' full names, or pairs of a name and the layer's type, which keys such as
            `op:Conv2d` ask for.

    Returns:
        The rules of each layer, and the rules that do nothing.

    Example:
        >>> print(explain(Override({"conv": "fp16", "cnov": "bf16"}), ["conv1", "fc"]))
        layer  weights  extrinsic  intrinsic
        conv1  "fp16"   -          -
        fc     -        -          -
        rule 2: weights key 'cnov' hits no layer; the nearest is 'conv1'
    """
    return explain_model(
        override, [(one, "") if isinstance(one, str) else one for one in layers], has_input=False
    )


def explain_model(
    override: Override, layers: Iterable[tuple[str, ...]], has_input: bool
) -> Explanation:
    """The same of layers by name, type and, unless it is "layer", the kind that Assignment knows.

    If the model has an input that is none of them, it stands before them.
    """
    told = [("input", "", "input")] if has_input else []
    told += [(*layer, "layer")[:3] for layer in layers]
    hits, idle = _core.explain(override._natives(), told)
    return Explanation(
        [LayerExplanation(layer, *map(Rule._of, rules)) for layer, rules in hits],
        [
            IdleRule(kind, Rule._of(rule), Rule._of(shadow), suggestion, message)
            for kind, rule, shadow, suggestion, message in idle
        ],
    )
