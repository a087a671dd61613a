"""Arguments that no function takes, and what its error may say."""

import numpy as np

HOSTILE = {
    "None": None,
    "bytes": b"{}",
    "object": object(),
    "negative": -1,
    "huge": 2**70,
    "fraction": 1.5,
    "text": "x",
    "surrogate": "\udc80",
    "zero byte": "a\0b",
    "nan": float("nan"),
    "list": [object()],
    "array": np.full((2, 2), "x"),
}


def assert_clear(function, *args, **kwargs):
    """That it works or tells in one line what is wrong. Returns the error."""
    try:
        function(*args, **kwargs)
    except (TypeError, ValueError) as error:
        text = str(error)
        assert text and "\n" not in text, text
        assert not any(word in text for word in ("nanobind", "_core", "incompatible", "NoneType"))
        return error
