"""What quantizers in models have saturated and made zero: the words of `evaluate --ranges`."""

import threading
from typing import Any, NamedTuple

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.numbers.quantizer import Report

_counting = threading.Lock()
_BITS = 2**32 - 1


class PlaceRanges(NamedTuple):
    """How a quantizer of a layer has fitted its numbers. None is what is not known.

    Attributes:
        layer: The layer's name; `input` is the model's input.
        place: "weight", "bias", "output", ...
        quantizer: Its string.
        bits_per_value: What a number takes in memory, with the scales of its format.
        values: How many finite numbers there were.
        saturated: How many of them lay beyond the format's ends.
        saturated_share: Their share of the values.
        nonzero: How many of the values were not zero.
        became_zero: How many of these became zero.
        became_zero_share: Their share of the nonzero values.
        lowest, highest: The extreme values before they were quantized.
    """

    layer: str
    place: str
    quantizer: str
    bits_per_value: float | None
    values: int
    saturated: int | None
    saturated_share: float | None
    nonzero: int
    became_zero: int
    became_zero_share: float | None
    lowest: float | None
    highest: float | None


class RangeRecorder:
    """Counts for the quantizers of a model.

    Attributes:
        has_seen_compiled: Whether a quantizer was called where there are no numbers to be counted.
    """

    def __init__(self):
        self._reports = {}  # by layer and place: a quantizer's string and the core's report
        self._contents = {}
        self.has_seen_compiled = False

    def count(self, layer, place, quantizer, array, context, content: Any = None):
        """Counts what a quantizer is about to do.

        Args:
            layer: The layer's name.
            place: Of the quantizer in it.
            quantizer: A Quantizer. Those that frameworks compute cannot be counted.
            array: What tensorquant.Quantizer takes.
            context: The Context of the call.
            content: Tells a parameter's values apart: the same ones count once, unless they are
                rounded at random.
        """
        if isinstance(quantizer, TensorQuantizer):
            return
        key = layer, place
        if content is not None and not quantizer.is_random:
            if self._contents.get(key) == content:
                return
            self._contents[key] = content
        report = quantizer._report_in(array, context.at(int(context.step) & _BITS))
        with _counting:
            if key in self._reports:
                self._reports[key][1].merge(report)
            else:
                self._reports[key] = quantizer.spec, report

    def rows(self, order):
        """A PlaceRanges for each quantizer that was called.

        Args:
            order: The names of the layers; others come behind them.
        """
        index = {name: number for number, name in enumerate(["input", *order])}
        found = sorted(self._reports.items(), key=lambda item: index.get(item[0][0], len(index)))
        return [_row(layer, place, spec, report) for (layer, place), (spec, report) in found]


def ranges_of(recorder, order, print_fn):
    """What a front-end's ranges() returns and prints.

    Raises:
        tensorquant.Error: Nothing was counted.
    """
    if recorder is None:
        raise Error("nothing counts; call record_ranges() before the model")
    rows = recorder.rows(order)
    if not rows and recorder.has_seen_compiled:
        raise Error("the model ran compiled, where no numbers can be counted; run it eagerly")
    if print_fn is not None:
        print_fn(table(rows))
    return rows


def table(rows):
    """A line for each PlaceRanges, under the headings of `evaluate --ranges`."""
    columns = ["layer", "place", "quantizer", "bits a value", "values", "saturated", "became zero"]
    return _core.format_table([*columns, "range"], list(map(_cells, rows))).removesuffix("\n")


def _cells(row):
    return [
        row.layer,
        row.place,
        row.quantizer,
        "-" if row.bits_per_value is None else f"{row.bits_per_value:g}",
        str(row.values),
        _share(row.saturated, row.saturated_share),
        _share(row.became_zero, row.became_zero_share),
        "-" if row.lowest is None else f"{row.lowest:.4g} .. {row.highest:.4g}",
    ]


def _share(part, share):
    if part is None or share is None:
        return "-"
    return "0" if part == 0 else f"{part} ({100 * share:.2g} %)"


def _row(layer, place, spec, report):
    report = Report(*report.fields())
    fields = {name: getattr(report, name) for name in PlaceRanges._fields[3:]}
    return PlaceRanges(layer, place, spec, **fields)
