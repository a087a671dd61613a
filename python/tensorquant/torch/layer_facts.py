"""What the layers of a PyTorch model compute, as hardware costs count it."""

from typing import Any

import torch
from torch import nn

from tensorquant.frontend.layer_facts import (
    INPUT,
    LayerCall,
    Products,
    facts_of,
    refuse_earlier_call,
    refuse_uncounted,
)
from tensorquant.numbers.checks import checked, wrong
from tensorquant.search.costs import LayerFacts
from tensorquant.torch import rounded
from tensorquant.torch.inference import in_inference, without_quantizers
from tensorquant.torch.names import walk
from tensorquant.torch.structures import floats_in, map_tensors

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_WITHOUT_PRODUCTS = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)


@checked
def layer_facts(model: nn.Module, inputs: Any) -> list[LayerFacts]:
    """Counts what each layer of a model computes for one input: for `tensorquant.search.cost_of`.

    The model runs once, in inference and without quantizers; afterwards it is as it was. What is no
    layer, such as `x @ y`, counts as nothing, but whose outputs it makes others of is seen.

    Args:
        model: A module, quantized or not.
        inputs: The model's argument, a tensor, or a tuple of all of them. The first axis is the batch, of any size.

    Returns:
        Facts in the order of the calls; first those of "input". A layer that is called twice has two.

    Raises:
        TypeError: There is no tensor in the inputs.
        tensorquant.Error: A layer has products that nothing counts, such as an LSTM's.

    Example:
        >>> import torch
        >>> import tensorquant.search as tqs
        >>> import tensorquant.torch as tqt
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 10))
        >>> facts = tqt.layer_facts(model, torch.zeros(1, 3, 8, 8))
        >>> [(one.layer, one.macs, one.sources) for one in facts if one.macs]
        [('0', 7776, ['input']), ('3', 2880, ['2'])]
        >>> tqs.cost_of(facts)({"output:input": "int,8,scale=1", "weight:0": "nearest,4,3"})  # the ReLU's output is float
        3197952.0
    """
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    tensors = [x for x in arguments if isinstance(x, torch.Tensor)]
    if not tensors or any(x.dim() == 0 or x.shape[0] == 0 for x in tensors):
        raise wrong("inputs", "a tensor with a batch, or a tuple of them", inputs)
    flow = _Flow(tensors[0].shape[0])
    hooks = []
    try:
        for place in walk(model):
            if not place.is_parameter:
                hooks.append(
                    place.layer.register_forward_hook(flow.seen_by(place), with_kwargs=True)
                )
        with without_quantizers(model), in_inference(model), torch.enable_grad():
            model(*(flow.begin(x) for x in arguments))
    finally:
        for hook in hooks:
            hook.remove()
    return facts_of(flow.calls, sum(x.numel() // x.shape[0] for x in tensors))


class _Flow:
    """The calls of layers, and through the graph of gradients whose outputs each reads."""

    def __init__(self, batch):
        self.calls = []
        self._batch = batch
        self._makers = {}  # nodes of the graph: the numbers of the calls that made them, -1 the input
        self._kept = []

    def begin(self, x):
        """A tensor of the model's input, ready to be followed."""
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            return x
        return self._made(x, -1)

    def seen_by(self, place):
        """A forward hook of a layer."""

        def hook(layer, args, kwargs, output):
            taken = floats_in((args, kwargs))
            numbers = sorted({n for x in taken for n in self._makers_of(x.grad_fn)})
            call = LayerCall(
                place.name,
                inputs=self._elements(taken),
                outputs=self._elements(floats_in(output)),
                sources=self._sources(place, numbers),
                moves_values=rounded.arithmetic_of(layer) == "nothing",
            )
            for parameter in place.parameters:
                size = getattr(parameter.owner, parameter.attribute).numel()
                if parameter.is_bias:
                    call.biases += size
                else:
                    call.weights += size
            call.products = _products_of(place, call)
            number = len(self.calls)
            self.calls.append(call)
            return map_tensors(lambda x: self._made(x, number), output)

        return hook

    def _sources(self, place, numbers):
        for n in numbers:
            if n >= 0 and any(call.name == self.calls[n].name for call in self.calls[n + 1 :]):
                refuse_earlier_call(str(place), self.calls[n].name)
        return list(dict.fromkeys(self._name(n) for n in numbers)) or [INPUT]

    def _name(self, number):
        return INPUT if number < 0 else self.calls[number].name

    def _elements(self, tensors):
        return sum(x.numel() for x in tensors) // self._batch

    def _made(self, x, number):
        # A copy has a node of its own, also where a layer returns its input, and where nothing requires a gradient.
        copy = (x if x.requires_grad else x.detach().requires_grad_()).clone()
        self._makers[copy.grad_fn] = number
        self._kept.append(copy)
        return copy

    def _makers_of(self, node):
        found, seen, open_nodes = set(), set(), [node]
        while open_nodes:
            node = open_nodes.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if node in self._makers:
                found.add(self._makers[node])
            else:
                open_nodes += [before for before, _ in node.next_functions]
        return found


def _products_of(place, call):
    layer = place.layer
    if isinstance(layer, nn.Linear):
        return Products.of_outputs(call.outputs, call.weights, layer.out_features)
    if isinstance(layer, _CONVS):
        return Products.of_outputs(call.outputs, call.weights, layer.out_channels)
    if isinstance(layer, _TRANSPOSED):
        window = zip(layer.kernel_size, layer.stride, layer.dilation)
        return Products.of_inputs(
            call.inputs, call.weights, layer.in_channels, layer.groups, window
        )
    shapes = [getattr(parameter.owner, parameter.attribute).dim() for parameter in place.parameters]
    if max(shapes, default=0) > 1 and not isinstance(layer, _WITHOUT_PRODUCTS):
        refuse_uncounted(str(place))
    return Products()
