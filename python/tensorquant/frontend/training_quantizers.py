"""What the maps put into the training of one layer."""

import dataclasses

from tensorquant.frontend.layer_quantizers import check_has_string, numbered
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.numbers.checks import check_integer
from tensorquant.numbers.context import NO_AXES, Context
from tensorquant.numbers.quantizer import Quantizer, stream_of

_PLACES = ("error", "weight_gradient", "bias_gradient", "state", "update")


@dataclasses.dataclass(frozen=True)
class TrainingQuantizers:
    """The quantizers of one layer's training; None leaves a place alone."""

    layer: str  # the full name, which also names the random streams of errors
    error: Quantizer | None = None
    weight_gradient: Quantizer | None = None
    bias_gradient: Quantizer | None = None
    state: Quantizer | None = None
    update: Quantizer | None = None
    states: dict = dataclasses.field(default_factory=dict)  # by names, in place of `state`
    rule: str = ""  # which rules chose them, for people to read
    seed: int = 0

    def __post_init__(self):
        check_integer("seed", self.seed, 0, 2**64 - 1)
        for quantizer in (*(getattr(self, place) for place in _PLACES), *self.states.values()):
            if quantizer is not None and not isinstance(quantizer, TensorQuantizer):
                check_has_string(quantizer)

    @classmethod
    def of(cls, core, layer, rule, seed):
        """What the core's assign() chose."""
        quantizers = {place: Quantizer._of(getattr(core, place)) for place in _PLACES}
        states = {name: Quantizer._of(quantizer) for name, quantizer in core.states.items()}
        return cls(layer, **quantizers, states=states, rule=rule, seed=seed)

    @property
    def gradients(self):
        """What becomes of gradients, for people to read."""
        chosen = {
            "error": self.error,
            "weight": self.weight_gradient,
            "bias": self.bias_gradient,
        }
        texts = {place: str(quantizer) for place, quantizer in chosen.items() if quantizer}
        if len(texts) == len(chosen) and len(set(texts.values())) == 1:
            return texts["error"]
        return ", ".join(f"{place}: {text}" for place, text in texts.items())

    def gradient(self, is_bias):
        """The quantizer of the gradient of a weight or a bias, or None."""
        return self.bias_gradient if is_bias else self.weight_gradient

    def state_of(self, name):
        """The quantizer of a state of that name, or None."""
        return self.states.get(name, self.state)

    def context(self, role, index=0):
        """The Context of the layer's first, second, ... error at step 0."""
        return Context(self.seed, stream_of(self.layer, numbered(role, index)))

    def parameter_context(self, parameter, role, axes=NO_AXES):
        """The Context of what belongs to a parameter at step 0.

        Args:
            parameter: Its full name.
            role: "gradient", "state.exp_avg", "update".
            axes: Of the parameter.
        """
        return Context(self.seed, stream_of(parameter, role), axes=axes)
