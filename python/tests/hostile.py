"""Arguments that no function takes, or hardly, and what its error may say."""

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

MOST = 2**63 - 1

# Windows over [1, 2, 4, 8] that make no sense, that no machine can hold, or that just fit: arguments,
# and the sums of the windows' inputs; None: refused. `padding` is (before, after).
WINDOWS = [
    ({"kernel": 2, "stride": MOST}, [3]),
    ({"kernel": 4, "stride": MOST}, [15]),
    ({"kernel": 1, "stride": 3, "dilation": MOST}, [1, 8]),
    ({"kernel": 2, "stride": 2**62}, [3]),
    ({"kernel": 2, "dilation": MOST}, None),
    ({"kernel": 3, "dilation": 2**62}, None),
    ({"kernel": 4, "dilation": 2**62 + 1}, None),
    ({"kernel": 2, "padding": (MOST, 0)}, None),
    ({"kernel": 2, "padding": (0, MOST)}, None),
    ({"kernel": 2, "stride": MOST, "padding": (MOST, MOST)}, None),
    ({"kernel": 2, "padding": (2**62, 2**62)}, None),
    ({"kernel": 2, "padding": (2**61, 2**61)}, None),
    ({"kernel": 5}, None),
    ({"kernel": 3, "dilation": 2}, None),
]
# Beyond what 64 bits hold, or below what makes sense.
NUMBERS = [
    {"kernel": 2, "stride": 2**63},
    {"kernel": 2, "stride": 2**64 + 1},
    {"kernel": 2, "stride": 0},
    {"kernel": 2, "stride": -(2**63)},
    {"kernel": 2, "stride": -(2**63) - 1},
    {"kernel": 2, "dilation": 2**64},
    {"kernel": 2, "dilation": 0},
    {"kernel": 2, "padding": (2**64, 0)},
    {"kernel": 2, "padding": (0, -1)},
]


def assert_clear(function, /, *args, **kwargs):
    """That it works or tells in one line what is wrong. Returns the error."""
    try:
        function(*args, **kwargs)
    except (TypeError, ValueError) as error:
        text = str(error)
        assert text and "\n" not in text, text
        assert not any(word in text for word in ("nanobind", "_core", "incompatible", "NoneType"))
        return error
