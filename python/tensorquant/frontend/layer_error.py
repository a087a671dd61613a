"""Errors that say which layer they come from."""

from tensorquant._core import Error


class LayerError:
    """A context in which errors name a layer: the innermost, where one stands in another.

    Args:
        name: The layer's name.
        kind: The name of its class.
    """

    def __init__(self, name, kind):
        self._place = f"layer '{name}' ({kind})"

    def __enter__(self):
        pass

    def __exit__(self, _, error, __):
        if isinstance(error, Error) and self.named(error) is not error:
            raise self.named(error) from error

    def named(self, error):
        """The Error that names the layer, of one that may do so already."""
        text = str(error)
        return error if text.startswith("layer '") else Error(f"{self._place}: {text}")
