"""What layers compute, as hardware costs count it."""

import dataclasses
import math
from collections.abc import Iterable

from tensorquant._core import Error
from tensorquant.search.costs import LayerFacts

INPUT = "input"  # what maps call a model's input


@dataclasses.dataclass(frozen=True)
class Products:
    """The multiply-accumulates of a layer for one input of the model.

    Attributes:
        macs: How many.
        terms: How many of them are added up in an output, in transposed convolutions at most.
    """

    macs: int = 0
    terms: int = 0

    @classmethod
    def of_outputs(cls, outputs, weights, channels):
        """Of a layer in which each output is one sum over the weights of its channel.

        Args:
            outputs: How many numbers it returns.
            weights: How many it has.
            channels: How many outputs have weights of their own.
        """
        terms = weights // channels
        return cls(outputs * terms, terms)

    @classmethod
    def of_inputs(cls, inputs, weights, channels, groups, window):
        """Of a transposed convolution, in which each input meets the weights of its channel.

        Args:
            inputs: How many numbers it gets.
            weights: How many it has.
            channels: Of its input.
            groups: Of these.
            window: Size, stride and dilation of the kernel along each axis.
        """
        met = (
            math.ceil(size / (stride // math.gcd(stride, dilation)))
            for size, stride, dilation in window
        )
        return cls(inputs * (weights // channels), channels // groups * math.prod(met))


@dataclasses.dataclass
class LayerCall:
    """A call of a layer, as a front-end saw it. Numbers are those of one input of the model.

    Attributes:
        name: Of the layer.
        inputs: Elements of the tensors that it gets.
        outputs: Elements of the tensors that it returns.
        sources: The names of the layers whose outputs it reads, INPUT among them, in the order of their calls.
        weights: Elements of its weights.
        biases: Elements of its biases.
        products: Its Products.
        moves_values: Whether it has no arithmetic.
    """

    name: str
    inputs: int
    outputs: int
    sources: list[str]
    weights: int = 0
    biases: int = 0
    products: Products = Products()
    moves_values: bool = False


def facts_of(calls: Iterable[LayerCall], inputs: int) -> list[LayerFacts]:
    """The facts of a model whose layers were called in this order.

    Args:
        calls: The calls.
        inputs: Elements of the model's input, which becomes a layer INPUT of its own.

    Raises:
        tensorquant.Error: A layer has that name.
    """
    facts = [LayerFacts(INPUT, inputs=inputs, outputs=inputs, moves_values=True)]
    for call in calls:
        if call.name == INPUT:
            raise Error(f"a layer has the name '{INPUT}', which is that of the model's input")
        facts.append(
            LayerFacts(
                call.name,
                macs=call.products.macs,
                terms=call.products.terms,
                weights=call.weights,
                biases=call.biases,
                inputs=call.inputs,
                outputs=call.outputs,
                sources=call.sources,
                moves_values=call.moves_values,
            )
        )
    return facts


def refuse_earlier_call(text, source):
    """Raises an Error for a layer that reads what an earlier call of another layer returned.

    Facts name layers, and a name stands for the last call.

    Args:
        text: The layer, for people.
        source: The other layer's name.
    """
    raise Error(
        f"layer {text} reads an earlier call of '{source}', which is called again; give the LayerFacts"
        " yourself, see docs/how_many_bits.md"
    )


def refuse_uncounted(text):
    """Raises an Error for a layer whose products nothing counts.

    Args:
        text: The layer, for people.
    """
    raise Error(
        f"layer {text}: nothing counts its products; give its LayerFacts yourself, see"
        " docs/how_many_bits.md"
    )
