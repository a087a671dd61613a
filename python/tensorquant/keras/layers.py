"""Which parts of a model are its layers, and what they are called."""

import keras

from tensorquant.frontend.found_layer import FoundLayer
from tensorquant.keras.keras_internals import own_trainable_variables, sublayers

# One layer each, whatever they are made of: their own call() reads the weights of what they hold,
# or calls it once for each step in time.
WHOLE = (
    keras.layers.RNN,
    keras.layers.Bidirectional,
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
)


def is_whole(layer):
    """Whether the layers inside belong to this one and are none of their own."""
    if isinstance(layer, keras.layers.TimeDistributed):
        return not sublayers(layer.layer) or is_whole(layer.layer)
    return isinstance(layer, WHOLE)


def own_variables(layer):
    """The trainable variables of a layer that are not those of a layer inside it."""
    inner = {id(v) for child in sublayers(layer) for v in own_trainable_variables(child)}
    return [v for v in own_trainable_variables(layer) if id(v) not in inner]


def is_layer(layer):
    """Whether rules can hit it: a layer without layers inside, or one with weights of its own.

    Models are containers even if they have weights of their own.
    """
    if isinstance(layer, keras.Model):
        return False
    return is_whole(layer) or not sublayers(layer) or bool(own_variables(layer))


class _Walk:
    def __init__(self):
        self.found = {}  # by id, in the order of the first names
        self.containers = {}
        self._path = []  # to end where a layer holds one that holds it

    def visit(self, layer, name):
        if isinstance(layer, keras.layers.InputLayer) or any(
            layer is above for above in self._path
        ):
            return
        if is_layer(layer):
            self.found.setdefault(id(layer), FoundLayer(layer, [])).names.append(name)
        else:
            self.containers.setdefault(id(layer), layer)
        if is_whole(layer):
            return
        self._path.append(layer)
        for child in sublayers(layer):
            self.visit(child, f"{name}/{child.name}" if name else child.name)
        self._path.pop()


def walk(root):
    """Finds the layers of a model.

    Names are paths of Keras' names, `block/conv1`. The model's own name is not part of them; a
    single layer goes by its name.

    Args:
        root: A model or layer.

    Returns:
        A list of FoundLayer in the order in which the model holds them.
    """
    tree = _Walk()
    tree.visit(root, "" if isinstance(root, keras.Model) else root.name)
    return list(tree.found.values())


def containers(root):
    """The models and layers in `root`, itself included, that only hold layers."""
    tree = _Walk()
    tree.visit(root, "")
    return list(tree.containers.values())


def holders(root):
    """The layers in `root`, itself included, that hold layers or may come to when they are built.

    Those inside a whole layer are its own matter.
    """
    tree = _Walk()
    tree.visit(root, "")
    found = [found.layer for found in tree.found.values() if not is_whole(found.layer)]
    return [*tree.containers.values(), *(x for x in found if sublayers(x) or not x.built)]
