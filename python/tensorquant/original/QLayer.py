"""The original's way to one quantized layer."""

from tensorquant.keras import quantize_model

__all__ = ["create_qLayer"]


def create_qLayer(
    layer, intr_quantizer=None, extr_quantizer=None, weight_quantizer=None, name=None
):
    """A quantized layer of a layer's class and config, with variables of its own.

    Args:
        layer: A Keras layer, which stays as it is.
        intr_quantizer: For the products and sums inside: a quantizer string, or one of Quantizers.
            The original took no notice of it.
        extr_quantizer: For the outputs, likewise; or a Quantizer_if of your own.
        weight_quantizer: For the weights and biases, likewise.
        name: Of no effect, as in the original: the new layer has the name of the layer.

    Raises:
        tensorquant.Error: The layer cannot be quantized like that.
    """
    new_layer = type(layer).from_config(layer.get_config())
    return quantize_model(new_layer, weight_quantizer, extr_quantizer, intr_quantizer)
