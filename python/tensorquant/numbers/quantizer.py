"""Quantizers: arrays to arrays whose numbers lie in a format."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from tensorquant import _core
from tensorquant.numbers.arrays import Array, borrow, borrow_out, mark_overwritten
from tensorquant.numbers.checks import AxisNumber, Count, Seed, Step, Stream, checked
from tensorquant.numbers.context import Context, axes_of


class Facts(NamedTuple):
    """What a designer asks of a format first, for float64 arrays.

    Attributes:
        lowest: The lowest finite value; infinite where the format sets no bound.
        highest: The highest finite value; infinite where the format sets no bound.
        smallest_positive: The least value above 0; None where the array's type decides it.
        step: The distance between neighbours; None where it is not the same everywhere.
        count: How many finite values there are, +0 and -0 as one; None where the array's type decides
            it.
    """

    lowest: float
    highest: float
    smallest_positive: float | None
    step: float | None
    count: int | None


class Report(NamedTuple):
    """How a quantizer has fitted the numbers of an array. Those that are not finite do not count.

    Attributes:
        values: How many numbers there were.
        nonzero: How many of them were not zero.
        saturated: How many of them lay beyond the format's ends also once they were rounded,
            whatever then became of them; None for a quantizer of your own.
        saturated_share: Their share of the values; None where there are none.
        became_zero: How many of the nonzero numbers became zero.
        became_zero_share: Their share of the nonzero numbers; None where there are none.
        lowest: The lowest number before it was quantized; None where there are none.
        highest: The highest.
        bits_per_value: What a number takes in memory, with the scales of its format; None where the
            array's shape or type decides it.
    """

    values: int
    nonzero: int
    saturated: int | None
    saturated_share: float | None
    became_zero: int
    became_zero_share: float | None
    lowest: float | None
    highest: float | None
    bits_per_value: float | None


class QuantizerInfo(NamedTuple):
    """A kind of quantizer that strings can name."""

    name: str
    usage: str
    summary: str


class Quantizer:
    """A function from an array to one of the same type and shape, with numbers of one format.

    A value: quantizers with the same string are equal, and none ever changes. Use them from as many
    threads as you like; Python's lock is released while they work.

    Args:
        spec: A quantizer string, such as "nearest,8,4"; docs/quantizers.md has them all.

    Raises:
        Error: The string is wrong; the message names the column.

    Example:
        >>> import numpy as np
        >>> import tensorquant as tq
        >>> q = tq.Quantizer("nearest,8,4")
        >>> q(np.array([0.3, 100.0], np.float32))
        array([0.3125, 7.9375], dtype=float32)
        >>> q.facts.step
        0.0625
        >>> tq.Quantizer("neares,8,4")
        Traceback (most recent call last):
        tensorquant.Error: quantizer 'neares,8,4', column 1: unknown name 'neares', did you mean \
'nearest'?
    """

    @checked
    def __init__(self, spec: str) -> None:
        self._native = _core.make_quantizer(spec)

    @staticmethod
    def _of(core: _core.Quantizer | None) -> "Quantizer | None":
        """The quantizer of Python for one of the core."""
        if core is None:
            return None
        if core.python_object is not None:
            return core.python_object
        quantizer = Quantizer.__new__(Quantizer)
        quantizer._native = core
        return quantizer

    @property
    def spec(self) -> str:
        """The canonical string: lower case, defaults left out; str() gives it, too.

        Of an object of your own class that no string has made: the class and the object.
        """
        return self._native.spec

    @property
    def is_random(self) -> bool:
        """Whether results depend on seed, stream and step."""
        return self._native.is_random

    @property
    def is_straight_through(self) -> bool:
        """Whether the gradient passes unchanged."""
        return self._native.is_straight_through

    @property
    def needs_layout(self) -> bool:
        """Whether results depend on what the array's axes mean: reduction_axis and channel_axis."""
        return self._native.needs_layout

    @property
    def facts(self) -> Facts | None:
        """Range, step and count of the format; None for a quantizer of your own.

        Example:
            >>> Quantizer("float,4,3").facts.highest
            240.0
        """
        facts = self._native.facts()
        return None if facts is None else Facts(*facts)

    @checked
    def values(self, at_most: Count = 65536) -> np.ndarray | None:
        """All finite values of the format.

        Args:
            at_most: Give None where they are more.

        Returns:
            A float64 array in ascending order, or None.

        Example:
            >>> Quantizer("nearest,3,1").values()
            array([-2. , -1.5, -1. , -0.5,  0. ,  0.5,  1. ,  1.5])
        """
        values = self._native.values(at_most)
        return np.array(values) if values else None

    @checked
    def __call__(
        self,
        x: Any,
        *,
        seed: Seed = 0,
        stream: Stream = 0,
        step: Step = 0,
        reduction_axis: AxisNumber | None = None,
        channel_axis: AxisNumber | None = None,
        out: Any = None,
    ) -> Any:
        """Quantizes an array.

        float16 and bfloat16 are computed in float32 and rounded back, ties to even; there is a
        warning where the format has values that the type has not.

        Args:
            x: An array of NumPy, PyTorch, TensorFlow or JAX: float16, bfloat16 (ml_dtypes in
                NumPy), float32 or float64, on a CPU, of any shape. In C order it is not copied.
            seed: Of random rounding, with stream and step: 64 bits.
            stream: Tells tensors apart, see stream_of(): 32 bits.
            step: Tells calls apart: 32 bits.
            reduction_axis: The axis that blocks and rows run along, from the end where negative.
                Left out, they run along the whole array in C order.
            channel_axis: The axis of the channels, for per=channel.
            out: Where the result goes: an array of NumPy or PyTorch in C order, of x's type and
                shape, which may be x.

        Returns:
            A new array of x's library, type and shape, or `out`.

        Raises:
            TypeError: x is no such array.
            ValueError: out does not fit, or one of the numbers; x has no such axis; per=channel
                without a channel_axis.

        Example:
            >>> x = np.array([[0.5, 0.5], [0.5, 0.5]], np.float32)
            >>> Quantizer("stochastic,8,0")(x, seed=3)
            array([[0., 1.],
                   [0., 1.]], dtype=float32)
            >>> x = np.array([[1, 0.3], [100, 30]], np.float32)
            >>> Quantizer("int,4,per=channel,scale=ceil")(x, channel_axis=0)
            array([[ 1.  ,  0.25],
                   [96.  , 32.  ]], dtype=float32)
        """
        core = self._native
        source = borrow(x)
        axes = axes_of(core, core.spec, reduction_axis, channel_axis, source.data.ndim)
        _warn_of(core, source)
        target = None if out is None else borrow_out(out, source)
        y = source.empty() if target is None else target.data
        data = source.data
        if y.ctypes.data != data.ctypes.data and np.may_share_memory(y, data):
            data = data.copy()
        _method(core, "quantize", source)(data, y, seed, stream, step, axes.numbers)
        if target is None:
            return source.give_back(y)
        mark_overwritten(out, target.library)
        return out

    @checked
    def report(
        self,
        x: Any,
        *,
        seed: Seed = 0,
        stream: Stream = 0,
        step: Step = 0,
        reduction_axis: AxisNumber | None = None,
        channel_axis: AxisNumber | None = None,
    ) -> Report:
        """Counts what saturates and what becomes zero in the same call of the quantizer.

        Args:
            x, seed, stream, step, reduction_axis, channel_axis: As in a call.

        Raises:
            TypeError, ValueError: As in a call.

        Example:
            >>> report = Quantizer("mxfp4").report(np.array([7.5, 2, -0.1, 0], np.float32))
            >>> report.bits_per_value, report.saturated_share, report.became_zero_share
            (4.25, 0.25, 0.3333333333333333)
        """
        source = borrow(x)
        axes = axes_of(self._native, self.spec, reduction_axis, channel_axis, source.data.ndim)
        return Report(*self._report_in(x, Context(seed, stream, step, axes)).fields())

    def _report_in(self, x: Any, context: Context) -> _core.QuantizerReport:
        """The core's report in a Context, which is not checked."""
        source = borrow(x)
        seed, stream, step, axes = context
        report = _method(self._native, "report", source)
        return report(source.data, seed, stream, step, axes.numbers)

    @checked
    def gradient(
        self,
        x: Any,
        y: Any,
        dy: Any,
        *,
        reduction_axis: AxisNumber | None = None,
        channel_axis: AxisNumber | None = None,
    ) -> Any:
        """The gradient of a loss at the quantizer's input.

        Args:
            x: What was quantized.
            y: The result.
            dy: The loss's gradient at y. All three are alike in library, type and shape.
            reduction_axis, channel_axis: As x was quantized with.

        Returns:
            The gradient at x: dy where the gradient is straight-through; with grad=clipped, 0 where
            x lies outside the format's range; what a quantizer of your own says.

        Raises:
            TypeError: One of the arrays is none, or they differ in library or type.
            ValueError: They differ in shape; x has no such axis; per=channel without a
                channel_axis.

        Example:
            >>> q = Quantizer("nearest,8,4,grad=clipped")
            >>> x = np.array([1.0, 100.0], np.float32)
            >>> q.gradient(x, q(x), np.ones_like(x))
            array([1., 0.], dtype=float32)
        """
        source, result, upstream = borrow(x), borrow(y, "y"), borrow(dy, "dy")
        for name, array in (("y", result), ("dy", upstream)):
            if (array.library, array.dtype) != (source.library, source.dtype):
                raise TypeError(
                    f"{name}: is of {array.library} and {array.dtype}, x of {source.library} and"
                    f" {source.dtype}"
                )
            if array.data.shape != source.data.shape:
                raise ValueError(f"{name}: has the shape {array.data.shape}, x {source.data.shape}")
        core = self._native
        axes = axes_of(core, core.spec, reduction_axis, channel_axis, source.data.ndim)
        dx = source.empty()
        arrays = (source.data, result.data, upstream.data, dx)
        _method(core, "gradient", source)(*arrays, axes.numbers)
        return source.give_back(dx)

    def __eq__(self, other: object) -> bool:
        return self.spec == other.spec if isinstance(other, Quantizer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.spec)

    def __str__(self) -> str:
        return self.spec

    def __repr__(self) -> str:
        return f"Quantizer({self.spec!r})"

    def __reduce__(self) -> Any:
        return Quantizer, (self.spec,)


@checked
def stream_of(layer: str, role: str) -> int:
    """Where the random numbers of one tensor of a network come from.

    Args:
        layer: The layer's full name.
        role: weight, bias, output, product or accumulator.

    Returns:
        The stream, an integer of 32 bits.

    Example:
        >>> q, x = Quantizer("stochastic,8,0"), np.full(4, 0.5, np.float32)
        >>> q(x, stream=stream_of("conv1", "weight"))
        array([0., 0., 1., 0.], dtype=float32)
        >>> q(x, stream=stream_of("conv1", "bias"))
        array([0., 1., 1., 0.], dtype=float32)
    """
    return _core.stream_of(layer, role)


def list_quantizers() -> list[QuantizerInfo]:
    """All kinds of quantizers: the built-in ones, then the registered ones by name.

    Returns:
        Name, usage and summary of each.

    Example:
        >>> list_quantizers()[0].name
        'none'
    """
    return [QuantizerInfo(*line) for line in _core.list_quantizers()]


def _method(core: _core.Quantizer, name: str, array: Array) -> Any:
    return getattr(core, f"{name}_{array.dtype}" if array.data.itemsize == 2 else name)


def _warn_of(core: _core.Quantizer, array: Array) -> None:
    message = misfit_of(core, array.dtype) if array.data.itemsize == 2 else None
    if message is not None:
        warnings.warn(message, stacklevel=4)


def misfit_of(core: _core.Quantizer, dtype: str) -> str | None:
    """A message where a format has values that float16 or bfloat16 has not."""
    if getattr(core, f"fits_{dtype}"):
        return None
    return (
        f"quantizer '{core.spec}' has values that {dtype} has not; results are rounded to {dtype}"
    )
