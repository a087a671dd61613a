"""The maps that a model is overridden with."""

import os
from typing import Any

from tensorquant import _core
from tensorquant.maps.quantizer_map import QuantizerMap, path_text, quantizer_map
from tensorquant.numbers.checks import Seed, checked

KINDS = ("weights", "extrinsic", "intrinsic", "gradients", "optimizer")  # as the core has them


class Override:
    """The maps that a model is overridden with: which quantizers go into which layers.

    Args:
        weights: Map of the layers' weights and biases: anything that quantizer_map() takes.
        extrinsic: Map of the layers' outputs; the name "input" is the model's input.
        intrinsic: Map of the arithmetic inside the layers.
        gradients: Map of errors and of parameters' gradients, for PyTorch.
        optimizer: Map of an optimizer's states and updates, for PyTorch.
        seed: Of random rounding.
        strict: Whether a rule that does nothing is an error.

    Raises:
        Error: A map is wrong, or the seed is not one of 64 bits.

    Example:
        >>> o = Override(weights={"conv": "nearest,8,6"}, extrinsic="nearest,8,4")
        >>> print(o.to_json())
        {"weights":{"conv":"nearest,8,6"},"extrinsic":{"":"nearest,8,4"}}
        >>> Override.from_json(o.to_json()) == o
        True
    """

    @checked
    def __init__(
        self,
        weights: Any = None,
        extrinsic: Any = None,
        intrinsic: Any = None,
        *,
        gradients: Any = None,
        optimizer: Any = None,
        seed: Seed = 0,
        strict: bool = False,
    ) -> None:
        self.weights = quantizer_map(weights, "weights")
        self.extrinsic = quantizer_map(extrinsic, "extrinsic")
        self.intrinsic = quantizer_map(intrinsic, "intrinsic")
        self.gradients = quantizer_map(gradients, "gradients")
        self.optimizer = quantizer_map(optimizer, "optimizer")
        self.seed = seed
        self.strict = strict

    @staticmethod
    @checked
    def from_file(path: str | os.PathLike, *, seed: Seed = 0, strict: bool = False) -> "Override":
        """Reads a file with all maps.

        Args:
            path: {"weights": {...}, "extrinsic": {...}, "intrinsic": {...}, "gradients": {...},
                "optimizer": {...}}, each of which may be left out or be a quantizer string.
            seed: Of random rounding.
            strict: Whether a rule that does nothing is an error.

        Raises:
            Error: With file, line and column.
        """
        return Override._of(_core.override_from_file(path_text(path)), seed, strict)

    @staticmethod
    @checked
    def from_json(text: str, *, seed: Seed = 0, strict: bool = False) -> "Override":
        """Reads the same from a text; see from_file()."""
        return Override._of(_core.override_from_json(text), seed, strict)

    @staticmethod
    def _of(natives: list[_core.QuantizerMap], seed: int, strict: bool) -> "Override":
        maps = dict(zip(KINDS, map(QuantizerMap._of, natives)))
        return Override(**maps, seed=seed, strict=strict)

    @property
    def empty(self) -> bool:
        """Whether there is no rule."""
        return not any(len(rules) for rules in self._maps)

    def to_json(self) -> str:
        """Canonical JSON of the maps, empty ones left out; seed and strict are not part of it."""
        return _core.override_to_json(self._natives())

    @property
    def _maps(self) -> list[QuantizerMap]:
        return [getattr(self, kind) for kind in KINDS]

    def _natives(self) -> list[_core.QuantizerMap]:
        return [m._native for m in self._maps]

    def _fields(self) -> tuple:
        return *self._maps, self.seed, self.strict

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, Override) else NotImplemented

    __hash__ = None

    def __repr__(self) -> str:
        return f"Override.from_json({self.to_json()!r}, seed={self.seed}, strict={self.strict})"
