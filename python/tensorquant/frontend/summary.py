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


class TrainingSummary(NamedTuple):
    """The same in a model with quantized gradients."""

    layer: str
    type: str
    weights: str
    bias: str
    output: str
    intrinsic: str
    gradients: str
    rule: str


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
    return LayerSummary(name, kind, *[""] * (len(LayerSummary._fields) - 2))


def with_training(summaries, training):
    """TrainingSummaries of LayerSummaries, unless nothing of training is quantized.

    Args:
        summaries: A list of LayerSummary.
        training: TrainingQuantizers by the layers' names.
    """
    if not any(quantizers.gradients for quantizers in training.values()):
        return summaries
    return [_with(summary, training.get(summary.layer)) for summary in summaries]


def _with(summary, quantizers):
    *front, rule = summary
    if quantizers is None:
        return TrainingSummary(*front, "", rule)
    return TrainingSummary(*front, quantizers.gradients, rule or quantizers.rule)


def table(summaries):
    """A line for each summary, under headings."""
    columns = list((summaries[0] if summaries else LayerSummary)._fields)
    cells = [[cell or "-" for cell in summary] for summary in summaries]
    return _core.format_table(columns, cells).removesuffix("\n")
