"""What maps cost in hardware."""

from collections.abc import Callable, Iterable, Mapping

from tensorquant import _core

Cost = Callable[[Mapping[str, str]], float]
"""Of a map, as the quantizer string of each place; the other places are float."""

LayerFacts = _core.LayerFacts


def cost_names() -> list[str]:
    """What cost_of() can count."""
    return [name for name in _core.cost_names() if name != "ebops"]  # which need the weights' codes


def cost_of(facts: Iterable[LayerFacts], name: str = "bops", technology: str = "45nm") -> Cost:
    """A cost function of the maps of a network, for one input.

    Args:
        facts: Of its layers in the order of execution.
        name: One of cost_names().
        technology: 45nm or 7nm, for "energy".

    Raises:
        Error: A name is unknown, or a layer reads one that is not before it.

    Example:
        >>> cost = cost_of([LayerFacts("fc", macs=6, terms=3, weights=6, inputs=3, outputs=2)])
        >>> cost({"weight:fc": "nearest,4,3"})  # 6 products of 4 and 32 bits
        768.0
    """
    if name not in cost_names():
        raise _core.Error(f"unknown cost '{name}', expected one of {', '.join(cost_names())}")
    function = _core.CostFunction(list(facts), technology)
    return lambda specs: function.cost(name, list(specs.items()))
