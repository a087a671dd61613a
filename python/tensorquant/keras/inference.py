"""Runs of a model that leave it as it was."""

import contextlib

from tensorquant.keras.keras_internals import every_layer
from tensorquant.keras.twin import attach, detach, settled


@contextlib.contextmanager
def without_quantizers(model):
    """A context in which a model is float; afterwards its layers have what they had."""
    before = [(layer, settled(layer)) for layer in every_layer(model)]
    try:
        for layer, _ in before:
            detach(layer)
        yield
    finally:
        for layer, attachment in before:
            detach(layer)
            if attachment is not None:
                attach(layer, attachment)
