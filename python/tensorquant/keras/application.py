"""Maps put into the layers of a Keras model."""

import keras

from tensorquant._core import Error
from tensorquant.frontend.assignment import Assignment
from tensorquant.frontend.found_layer import named_types
from tensorquant.frontend.layer_quantizers import LayerQuantizers
from tensorquant.keras import rounded
from tensorquant.keras.container import ContainerPlan, remember_layers
from tensorquant.keras.keras_internals import sublayers
from tensorquant.keras.layers import is_whole, walk
from tensorquant.keras.moving import only_moves_values, passes_on_scales
from tensorquant.keras.plan import LayerPlan
from tensorquant.keras.twin import attach, detach


class Application:
    """The quantizers that maps choose for the layers of a model. Nothing is changed by making it.

    Args:
        root: The model, or a single layer.
        override: A tensorquant.Override.
        wanted: Tells of a layer whether the maps are for it; for all if left out.
        has_input: Whether the name `input` stands for the model's input.

    Attributes:
        named_types: Pairs of a name and a type for all names of the layers.
        idle: A message for each rule that does nothing.
        layers: Pairs of a FoundLayer and its LayerQuantizers; None where no rule hits it.
        input: LayerQuantizers of the model's input, or None.

    Raises:
        tensorquant.Error: One error with everything that cannot be done.
    """

    def __init__(self, root, override, wanted=lambda layer: True, has_input=True):
        found = [layer for layer in walk(root) if wanted(layer.layer)]
        has_input = has_input and isinstance(root, keras.Model)
        assignment = Assignment(override, found, has_input, _arithmetic_of)
        self.named_types = named_types(found)
        self.idle = assignment.idle
        self._root = root
        self.input = assignment.input
        self.layers = list(zip(found, assignment.quantizers))
        self._plans = []  # pairs of a layer and its plan or None
        for layer, quantizers in self.layers:
            if quantizers is None and assignment.keeps_scales and passes_on_scales(layer.layer):
                quantizers = LayerQuantizers(layer.name, keeps_scales=True)
            try:
                plan = quantizers and LayerPlan(layer.layer, quantizers)
                self._plans.append((layer.layer, plan))
            except Error as error:
                assignment.add_fault(layer, error)
        assignment.refuse()

    def attach(self):
        """Puts the quantizers into the layers; layers that no rule hits become plain ones."""
        for layer, plan in self._plans:
            if is_whole(layer):
                _detach_inside(layer)
            detach(layer)
            if plan is not None:
                attach(layer, plan)
        if isinstance(self._root, keras.Model):
            detach(self._root)
            if self.input is not None:
                attach(self._root, ContainerPlan(self._root, self.input))
        remember_layers(self._root)


def _arithmetic_of(found):
    if only_moves_values(found.layer):
        return "nothing"
    return "rounded" if rounded.can_round(found.layer) else "other"


def _detach_inside(layer):
    for child in sublayers(layer):
        detach(child)
        _detach_inside(child)
