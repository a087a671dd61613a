"""What a call tells a quantizer beside the numbers."""

from typing import Any, NamedTuple


class Context(NamedTuple):
    """Where random rounding takes its numbers from.

    Attributes:
        seed: 64 bits.
        stream: Tells tensors apart, see stream_of(): 32 bits.
        step: Tells calls apart: an integer of 32 bits, or what a framework has for one.
    """

    seed: int = 0
    stream: int = 0
    step: Any = 0

    def at(self, step: Any) -> "Context":
        """The same at another step."""
        return Context(self.seed, self.stream, step)
