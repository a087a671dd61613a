"""Inputs at which roundings part: borders between the values of a format, and their neighbours."""

import numpy as np

SPECIALS = np.array([0, np.inf, np.nan, np.finfo(np.float32).max, 2.0**-126, 2.0**-149])


def every_half() -> np.ndarray:
    """All 65536 bit patterns of binary16 and of bfloat16, as float32."""
    bits = np.arange(2**16, dtype=np.uint32)
    binary16 = bits.astype(np.uint16).view(np.float16).astype(np.float32)
    return np.concatenate([binary16, (bits << 16).view(np.float32)])


def with_neighbours(x, dtype) -> np.ndarray:
    """x in `dtype`, the next numbers on either side of each, and all with the other sign."""
    x = np.asarray(x, dtype)
    with np.errstate(over="ignore", under="ignore"):
        x = np.concatenate([np.nextafter(x, dtype(-np.inf)), x, np.nextafter(x, dtype(np.inf))])
    return np.concatenate([x, -x])


def borders(values, dtype=np.float32) -> np.ndarray:
    """The values of a format, the middles between them, steps and half steps beyond the largest,
    and the specials, each as `with_neighbours`. The middles must be numbers of `dtype`."""
    values = np.unique(np.abs(np.asarray(values, np.float64)))
    values = values[np.isfinite(values)]
    middles = (values[1:] + values[:-1]) / 2
    step = values[-1] - values[-2]
    beyond = values[-1] + step * np.array([0.5, 1, 1.5, 2, 4])
    x = np.concatenate([values, middles, beyond, SPECIALS])
    with np.errstate(over="ignore"):
        assert np.array_equal(middles, middles.astype(dtype))
        return with_neighbours(x, dtype)


def quarters(bits: int, step: float, dtype=np.float32, around: int = 20) -> np.ndarray:
    """Quarters of steps around the ends of a word of `bits`, around zero and some turns outside,
    each as `with_neighbours`."""
    ends = 2.0 ** (bits - 1) * np.arange(-5, 6)
    k = np.unique(ends[:, None] + np.arange(-4 * around, 4 * around + 1) / 4)
    return with_neighbours(k * step, dtype)
