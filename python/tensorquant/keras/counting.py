"""What quantizers do to Keras' tensors, counted."""

import hashlib

import keras

from tensorquant.keras.backend import has_numbers


def count(recorder, layer, place, quantizer, x, context, is_parameter=False):
    """Lets a RangeRecorder count what a quantizer is about to do, where there are numbers.

    Args:
        recorder: The RangeRecorder, or None.
        layer, place: The names of both.
        quantizer: The quantizer.
        x: The tensor.
        context: The Context of the call.
        is_parameter: Whether the same values count once.
    """
    if recorder is None:
        return
    if not has_numbers(x):
        recorder.has_seen_compiled = True
        return
    array = keras.ops.convert_to_numpy(x)
    content = hashlib.blake2b(array.tobytes()).digest() if is_parameter else None
    step = int(keras.ops.convert_to_numpy(context.step))
    recorder.count(layer, place, quantizer, array, context.at(step), content)
