"""What the twins of recurrent layers need: these keep their parameters in a list beside them."""

from torch import nn

from tensorquant.torch import frames


def members(base):
    """Further members of the twin of a class; none of a class that is no nn.RNNBase.

    A running forward finds quantized values in the list. They are never put into it: other threads
    look at the same one, and whoever copies or saves the layer finds parameters there.
    """
    if not issubclass(base, nn.RNNBase):
        return {}

    def flat_weights(self):
        if frames.top() is not None:
            return [getattr(self, name, None) for name in self._flat_weights_names]
        try:
            return self.__dict__["_flat_weights"]
        except KeyError:
            raise AttributeError("_flat_weights") from None

    def set_flat_weights(self, weights):
        self.__dict__["_flat_weights"] = weights

    def _init_flat_weights(self):
        with frames.float_reads():
            base._init_flat_weights(self)

    def _update_flat_weights(self):
        if frames.top() is None:
            base._update_flat_weights(self)

    return {
        "_flat_weights": property(flat_weights, set_flat_weights),
        "_init_flat_weights": _init_flat_weights,
        "_update_flat_weights": _update_flat_weights,
    }
