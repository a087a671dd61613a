"""What the twins of PyTorch's transformers need: in inference these compute without their layers.

In place of the layers inside they call one function with all weights, so that no output in between
is quantized. An attribute of theirs says whether they may; while quantizers are attached it says
no, also to torch.compile.
"""

from torch import nn

_SWITCHES = (
    (nn.TransformerEncoderLayer, "activation_relu_or_gelu", 0),
    (nn.TransformerEncoder, "use_nested_tensor", False),
)


def members(base):
    """Further members of the twin of a class; none of a class that has no such path."""
    return {
        name: _constant(name, value) for kind, name, value in _SWITCHES if issubclass(base, kind)
    }


def _constant(name, value):
    """An attribute that reads as a constant, and keeps for the float class what is assigned."""

    def assign(module, assigned):
        vars(module)[name] = assigned

    return property(lambda module: value, assign)
