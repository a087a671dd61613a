"""What the layers of a Keras model compute, as hardware costs count it."""

import math

import keras
from keras import layers, tree

from tensorquant._core import Error
from tensorquant.frontend.layer_facts import (
    INPUT,
    LayerCall,
    Products,
    facts_of,
    refuse_earlier_call,
    refuse_uncounted,
)
from tensorquant.keras import einsum
from tensorquant.keras.keras_internals import functional_of, operations_of
from tensorquant.keras.layers import walk
from tensorquant.keras.moving import only_moves_values
from tensorquant.keras.parameters import parameters
from tensorquant.numbers.checks import checked
from tensorquant.search.costs import LayerFacts

_SIZES = (1, 2, 3)
_CONVS = tuple(getattr(layers, f"Conv{n}D") for n in _SIZES)
_TRANSPOSED = tuple(getattr(layers, f"Conv{n}DTranspose") for n in _SIZES)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_WITHOUT_PRODUCTS = (layers.Embedding, layers.PReLU, layers.LayerNormalization)


@checked
def layer_facts(model: keras.Model) -> list[LayerFacts]:
    """Counts what each layer of a model computes for one input: for `tensorquant.search.cost_of`.

    The model does not run: Keras' graph of it tells. What is no layer, such as `x + y`, counts as
    nothing, but whose outputs it makes others of is seen.

    Args:
        model: A Functional or Sequential model, quantized or not, of such models and layers.

    Returns:
        Facts in the order of the graph; first those of "input". A layer that is called twice has two.

    Raises:
        tensorquant.Error: The model, or one inside, has no graph; a size is not known; a layer has
            products that nothing counts, such as an LSTM's.

    Example:
        >>> import keras
        >>> import tensorquant.keras as tqk
        >>> import tensorquant.search as tqs
        >>> model = keras.Sequential([
        ...     keras.Input((8, 8, 3)), keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
        ...     keras.layers.Flatten(name="flatten"), keras.layers.Dense(10, name="fc")])
        >>> facts = tqk.layer_facts(model)
        >>> [(one.layer, one.macs, one.sources) for one in facts if one.macs]
        [('conv', 7776, ['input']), ('fc', 2880, ['flatten'])]
        >>> tqs.cost_of(facts)({"weight:conv": "nearest,4,3", "output:conv": "nearest,6,3"})
        1548288.0
    """
    graph = _Graph({id(found.layer): found for found in walk(model)})
    function = functional_of(model)
    if function is None:
        _refuse_model(model.name, model)
    tensors = tree.flatten(function.inputs)
    graph.follow(function, [[(INPUT, -1)]] * len(tensors))
    return facts_of(graph.calls, sum(map(_elements, tensors)))


class _Graph:
    """The calls of layers in graphs of Keras' operations."""

    def __init__(self, found):
        self.calls = []
        self._found = found

    def follow(self, function, sources):
        """Sees all calls of a model.

        Args:
            function: The model's graph.
            sources: Names and calls of the layers that its inputs are made of, for each input.

        Returns:
            The same for each output.
        """
        made_of = {id(x): names for x, names in zip(tree.flatten(function.inputs), sources)}
        for operation, inputs, outputs in operations_of(function):
            if all(id(x) in made_of for x in outputs):
                continue  # an input
            names = list(dict.fromkeys(name for x in inputs for name in made_of[id(x)]))
            results = self._results(operation, inputs, outputs, names, made_of)
            made_of.update({id(x): result for x, result in zip(outputs, results)})
        return [made_of[id(x)] for x in tree.flatten(function.outputs)]

    def _results(self, operation, inputs, outputs, names, made_of):
        found = self._found.get(id(operation))
        if found is not None:
            number = len(self.calls)
            self.calls.append(_call_of(found, inputs, outputs, self._sources(found, names)))
            return [[(found.name, number)]] * len(outputs)
        inner = functional_of(operation)
        if inner is not None:
            return self.follow(inner, [made_of[id(x)] for x in inputs])
        if isinstance(operation, layers.Layer):
            _refuse_model(operation.name, operation)
        return [names] * len(outputs)

    def _sources(self, found, names):
        for name, number in names:
            if any(call.name == name for call in self.calls[number + 1 :]):
                refuse_earlier_call(str(found), name)
        return [name for name, _ in names]


def _call_of(found, inputs, outputs, names):
    layer = found.layer
    call = LayerCall(
        found.name,
        inputs=sum(map(_elements, inputs)),
        outputs=sum(map(_elements, outputs)),
        sources=names,
        moves_values=only_moves_values(layer),
    )
    shapes = []
    for parameter in parameters(layer):
        shape = tuple(parameter.variable.shape)
        if parameter.is_bias:
            call.biases += math.prod(shape)
        else:
            call.weights += math.prod(shape)
            shapes.append(shape)
    call.products = _products_of(found, call, shapes)
    return call


def _products_of(found, call, shapes):
    layer = found.layer
    if isinstance(layer, (layers.Dense, *_CONVS)) and len(shapes) == 1:
        return Products.of_outputs(call.outputs, call.weights, shapes[0][-1])
    if isinstance(layer, _TRANSPOSED):
        window = zip(layer.kernel_size, layer.strides, layer.dilation_rate)
        return Products.of_inputs(call.inputs, call.weights, shapes[0][-1], 1, window)
    if isinstance(layer, _DEPTHWISE):
        return Products.of_outputs(call.outputs, call.weights, math.prod(shapes[0][-2:]))
    if isinstance(layer, _SEPARABLE):
        window, channels = math.prod(shapes[0][:-2]), math.prod(shapes[0][-2:])
        places = call.outputs // shapes[1][-1]
        return Products(places * channels * window + call.outputs * channels, max(window, channels))
    if isinstance(layer, layers.EinsumDense) and len(shapes) == 1:
        return Products.of_outputs(
            call.outputs, call.weights, einsum.kernel_channels(layer.equation, shapes[0])
        )
    if max(map(len, shapes), default=0) > 1 and not isinstance(layer, _WITHOUT_PRODUCTS):
        refuse_uncounted(str(found))
    return Products()


def _elements(x):
    sizes = x.shape[1:]
    if None in sizes:
        raise Error(
            f"the size of '{x.name}' is not known, {tuple(x.shape)}: give keras.Input a shape"
        )
    return math.prod(sizes)


def _refuse_model(name, model):
    raise Error(
        f"'{name}' ({type(model).__name__}) has no graph of Keras' operations: layer_facts() sees"
        " through Functional and built Sequential models"
    )
