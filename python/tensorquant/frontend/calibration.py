"""Maps with numbers in place of the scales that outputs find for themselves."""

import dataclasses
from collections.abc import Iterable, Mapping

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.maps.override import Override
from tensorquant.maps.quantizer_map import QuantizerMap
from tensorquant.numbers.checks import wrong
from tensorquant.numbers.quantizer import Quantizer


@dataclasses.dataclass
class WatchedOutput:
    """An output that a rule of the extrinsic map hits."""

    names: list[str]
    what: str  # for people
    quantizer: Quantizer
    calibrator: _core.Calibrator | None = None  # where its rule stays as it is

    def watch(self, method):
        """Gets a calibrator if there is a number to be found.

        Raises:
            tensorquant.Error: The method does not suit the quantizer.
        """
        if _core.can_be_calibrated(self.quantizer._native):
            self.calibrator = _core.Calibrator(method)
            self.calibrator.check_calibration(self.quantizer._native, self.what)

    def result(self):
        """Its quantizer from now on, and warnings."""
        if self.calibrator is None:
            return self.quantizer, []
        finite, nan, infinite = self.calibrator.counts
        stays = f"its rule stays '{self.quantizer}'"
        if finite + nan + infinite == 0:
            return self.quantizer, [f"{self.what} had no numbers that could be seen: {stays}"]
        texts = []
        if nan + infinite > 0:
            texts = [f"{self.what} had {nan} NaN and {infinite} infinities, which were left out"]
        fixed = self.calibrator.calibrated(self.quantizer._native, self.what)
        if fixed is None:
            return self.quantizer, [*texts, f"{self.what} was 0 throughout: {stays}"]
        return Quantizer._of(fixed), texts


def refuse_nothing(outputs):
    """Raises an Error where no output has a rule to calibrate."""
    if not any(output.calibrator for output in outputs):
        raise Error(
            "no layer has an extrinsic quantizer to calibrate, such as 'int,8,scale=max': a rule "
            "that finds one scale in the whole tensor"
        )


def check_batches(data, passes, method):
    """Checks data that is no single array.

    Raises:
        TypeError: There are no batches in it, or they can be read once and are needed twice.
    """
    if not isinstance(data, Iterable) or isinstance(data, (str, bytes, Mapping)):
        raise wrong("data", "an array or batches", data)
    if passes > 1 and iter(data) is data:
        raise TypeError(
            f"data: '{method}' goes through it {passes} times, and a {type(data).__name__} can only "
            "be read once; give a list"
        )


def run_pass(number, outputs, batches, run):
    """Runs batches, which observers show to the calibrators of outputs.

    Args:
        number: Of the pass, from 0.
        outputs: A list of WatchedOutput, to which the run may add some.
        batches: The batches.
        run: A function of one.

    Raises:
        tensorquant.Error: There is no batch.
    """

    def calibrators():
        return [output.calibrator for output in outputs if output.calibrator is not None]

    if number > 0:
        for calibrator in calibrators():
            calibrator.begin_second_pass()
    empty = True
    for batch in batches:
        run(batch)
        for calibrator in calibrators():
            calibrator.end_batch()
        empty = False
    if empty:
        raise Error("data: there is no batch in it")


def calibrated(override, outputs):
    """What an Override has become, and warnings.

    Args:
        override: The Override.
        outputs: A list of WatchedOutput of all outputs that its extrinsic map hits.
    """
    rules, texts = [], []
    for output in outputs:
        quantizer, its_texts = output.result()
        rules += [("=" + name, quantizer) for name in output.names]
        texts += its_texts
    extrinsic = QuantizerMap(rules, "extrinsic")
    settings = {"seed": override.seed, "strict": override.strict}
    return Override(override.weights, extrinsic, override.intrinsic, **settings), texts
