"""What is in the layers of a model, for people to read."""

from typing import NamedTuple

from tensorquant import _core


class LayerSummary(NamedTuple):
    """What is in one layer. Empty strings where nothing is quantized."""

    layer: str
    type: str
    weights: str
    bias: str
    output: str
    intrinsic: str
    rule: str
    gradients: str = ""


def summary_of(quantizers, kind, roles=(), can_round=False):
    """The summary of a layer, or of a model's input.

    Args:
        quantizers: Its LayerQuantizers.
        kind: The name of its class; "" for an input.
        roles: The roles of the parameters that it has: "weight", "bias".
        can_round: Whether it has arithmetic that can be rounded.
    """

    def text(quantizer):
        return "" if quantizer is None else str(quantizer)

    return LayerSummary(
        quantizers.layer,
        kind,
        text(quantizers.weight) if "weight" in roles else "",
        text(quantizers.bias) if "bias" in roles else "",
        text(quantizers.output),
        quantizers.intrinsic if can_round or not quantizers.intrinsic else "nothing to round",
        quantizers.rule,
    )


def empty_summary(name, kind):
    """The summary of a layer in which nothing is quantized."""
    return LayerSummary(name, kind, *[""] * 5)


def table(summaries):
    """A line for each summary, under headings; gradients have a column where there are some."""
    columns = [*LayerSummary._fields[:-2], "rule"]
    if any(summary.gradients for summary in summaries):
        columns.insert(-1, "gradients")
    cells = [[getattr(summary, name) or "-" for name in columns] for summary in summaries]
    return _core.format_table(columns, cells).removesuffix("\n")
