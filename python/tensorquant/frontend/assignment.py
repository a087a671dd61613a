"""What the maps say about the layers of a model, and everything that speaks against it."""

from tensorquant import _core
from tensorquant._core import Error
from tensorquant.frontend.layer_quantizers import LayerQuantizers
from tensorquant.frontend.tensor_quantizer import TensorQuantizer
from tensorquant.frontend.training_quantizers import TrainingQuantizers


class Assignment:
    """The quantizers that maps choose for the layers of a model.

    Args:
        override: A tensorquant.Override.
        layers: Objects with a list `names`, the first of which is the layer's name, its `type` and
            its `kind`: "layer", "mover" for one that only moves numbers, or "input"; str() of one
            is what errors call it.
        has_input: Whether the name `input` stands for the model's input.
        arithmetic_of: Tells of one of the layers what an intrinsic rule finds in it: "rounded" what
            can be rounded, "nothing", or "other" arithmetic.
        later: Messages of rules that only a call of the model shows to do nothing.
        takes_training: Whether the front-end quantizes gradients and what optimizers keep.

    Attributes:
        quantizers: LayerQuantizers for each of the layers; None where no rule hits it.
        training: TrainingQuantizers for each of the layers, likewise.
        input: LayerQuantizers of the model's input, or None.
        idle: A message for each rule that does nothing.
        keeps_scales: Whether tensors keep the scales that they are made with: arithmetic that is
            rounded sees elements and scales apart.

    What cannot be done is collected: see add_fault() and refuse().

    Raises:
        tensorquant.Error: The intrinsic map holds a TensorQuantizer, or a map is about training and
            the front-end is not.
    """

    def __init__(self, override, layers, has_input, arithmetic_of, later=(), takes_training=False):
        if not takes_training:
            _core.refuse_training(override._natives())
        _refuse_tensor_quantizers(override.intrinsic)
        told = [(layer.names, layer.type, arithmetic_of(layer), "", layer.kind) for layer in layers]
        chosen, training, its_input, idle, self._faults = _core.assign(
            override._natives(), False, told, has_input
        )
        self.idle = []
        self._is_strict = override.strict
        self._add_messages([message for message in idle if message not in later])
        self._seed = override.seed
        self.keeps_scales = any(rule.product is not None for rule in override.intrinsic)
        self.quantizers = [self._of(layer, one) for layer, one in zip(layers, chosen)]
        self.training = [
            self._training_of(layer, one, core.rule)
            for layer, core, one in zip(layers, chosen, training)
        ]
        self.input = self._of("the model's input", its_input)

    def add_idle(self, rules):
        """Adds IdleRules that a front-end found."""
        self._add_messages([rule.message for rule in rules])

    def add_fault(self, layer, error):
        """Adds what a front-end found in one of the layers.

        Args:
            layer: The layer.
            error: An Error, or a text.
        """
        self._faults.add_of_layer(str(layer), str(error))

    def refuse(self):
        """Raises one Error with all faults, unless there is none."""
        self._faults.refuse()

    def _add_messages(self, messages):
        self.idle += messages
        for message in messages if self._is_strict else ():
            self._faults.add(message)

    def _of(self, layer, core):
        return self._made(layer, core, LayerQuantizers.of, core, self._seed, self.keeps_scales)

    def _training_of(self, layer, core, rule):
        name = layer.names[0]
        return self._made(layer, core, TrainingQuantizers.of, core, name, rule, self._seed)

    def _made(self, layer, core, make, *arguments):
        if not core.any:
            return None
        try:
            return make(*arguments)
        except Error as error:
            self.add_fault(layer, error)
            return None


def _refuse_tensor_quantizers(intrinsic):
    for rule in intrinsic:
        for quantizer in (rule.product, rule.accumulator):
            if isinstance(quantizer, TensorQuantizer):
                raise Error(
                    f"the intrinsic map cannot take {quantizer}, which is written in framework "
                    "operations; use a quantizer string"
                )
