"""A layer of a model, as its front-end found it."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class FoundLayer:
    """A layer of a model. One that the model holds twice has two names; the first is its name."""

    layer: Any
    names: list[str]
    kind = "layer"  # as Assignment wants it

    @property
    def name(self):
        return self.names[0]

    @property
    def type(self):
        return type(self.layer).__name__

    def __str__(self):
        return f"'{self.name}' ({self.type})"


def named_types(layers):
    """Pairs of a name and a type for all names of the layers, as keys of maps are matched with."""
    return [(name, layer.type) for layer in layers for name in layer.names]
