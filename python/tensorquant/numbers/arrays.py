"""Arrays of NumPy, PyTorch, TensorFlow and JAX as contiguous NumPy arrays, and back.

What lies in C order is not copied. A framework is looked at only where the program has imported it.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tensorquant.numbers.checks import wrong

DTYPES = ("float16", "bfloat16", "float32", "float64")
_ALIGNMENT = 64  # bytes; less, and TensorFlow and JAX would copy


class Array(NamedTuple):
    """A borrowed array.

    Attributes:
        data: Its numbers in C order; 16-bit floats as their bits in uint16.
        dtype: One of DTYPES.
        library: "numpy", "torch", "tensorflow" or "jax".
        give_back: Turns something shaped like data into an array of the library.
    """

    data: np.ndarray
    dtype: str
    library: str
    give_back: Callable[[np.ndarray], Any]

    def empty(self, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """An array of data's type for a result; its numbers are arbitrary."""
        shape = self.data.shape if shape is None else shape
        size = int(np.prod(shape, dtype=np.int64)) * self.data.itemsize
        memory = np.empty(size + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        return memory[start : start + size].view(self.data.dtype).reshape(shape)


def borrow(x: Any, name: str = "x") -> Array:
    """Takes an array of any of the libraries.

    Args:
        x: The array; on a CPU, of a type in DTYPES.
        name: What messages call it.

    Raises:
        TypeError: It is something else; the message says what to do.
    """
    if isinstance(x, (np.ndarray, np.generic)):
        return _borrow_numpy(x, name)
    for library, (kind, borrow_from) in _FRAMEWORKS.items():
        framework = sys.modules.get(library)
        if framework is not None and isinstance(x, kind(framework)):
            return borrow_from(framework, x, name)
    error = wrong(name, "a NumPy, PyTorch, TensorFlow or JAX array", x)
    raise TypeError(f"{error}; numpy.asarray(..., dtype=numpy.float32) makes one")


def borrow_out(out: Any, like: Array, name: str = "out") -> Array:
    """Takes an array that is to be overwritten and has to be as `like` is.

    Raises:
        TypeError: It is immutable, or of another library or type.
        ValueError: It has another shape, is not in C order or is read-only.
    """
    borrowed = borrow(out, name)
    if borrowed.library in ("tensorflow", "jax"):
        raise TypeError(f"{name}: arrays of {borrowed.library} cannot be overwritten")
    if (borrowed.library, borrowed.dtype) != (like.library, like.dtype):
        raise TypeError(
            f"{name}: is of {borrowed.library} and {borrowed.dtype}, expected {like.library}"
            f" and {like.dtype}"
        )
    if borrowed.data.shape != like.data.shape:
        raise ValueError(f"{name}: has the shape {borrowed.data.shape}, expected {like.data.shape}")
    memory = out if borrowed.library == "numpy" else borrowed.data
    if isinstance(out, np.generic) or not memory.flags.writeable:
        raise ValueError(f"{name}: is read-only")
    if borrowed.data.ctypes.data != _address(out, borrowed.library) and borrowed.data.size:
        raise ValueError(f"{name}: is not in C order and of the machine's byte order")
    return borrowed


def mark_overwritten(out: Any, library: str) -> None:
    """Tells the library that `out` has new numbers."""
    if library == "torch":
        sys.modules["torch"].autograd.graph.increment_version(out)


def _address(out: Any, library: str) -> int:
    return out.data_ptr() if library == "torch" else out.ctypes.data


def _check_dtype(dtype: str, name: str) -> None:
    if dtype not in DTYPES:
        raise TypeError(f"{name}: has the type {dtype}, expected one of {', '.join(DTYPES)}")


def _contiguous(x: Any, dtype: Any = None) -> np.ndarray:
    data = np.require(x, dtype, ["C", "A", "E"])
    return data.view(np.uint16) if data.itemsize == 2 else data


def _borrow_numpy(x: Any, name: str) -> Array:
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name}: is a masked array; fill it first: {name}.filled(0)")
    dtype = x.dtype
    _check_dtype(dtype.name, name)
    native = dtype.newbyteorder("=")

    def give_back(y: np.ndarray) -> Any:
        y = y.view(native).astype(dtype, copy=False)
        return y[()] if isinstance(x, np.generic) else y

    return Array(_contiguous(x, native), dtype.name, "numpy", give_back)


def _borrow_torch(torch: Any, x: Any, name: str) -> Array:
    dtype = str(x.dtype).removeprefix("torch.")
    _check_dtype(dtype, name)
    if x.device.type != "cpu":
        raise TypeError(f"{name}: is on the device {x.device}; only CPU tensors can be quantized")
    if x.layout is not torch.strided:
        raise TypeError(f"{name}: is sparse; {name}.to_dense() makes a dense tensor")
    if x.requires_grad and torch.is_grad_enabled():
        raise TypeError(
            f"{name}: requires a gradient, which would be lost here; pass {name}.detach(), or call"
            " under torch.no_grad()"
        )
    bits = x.detach().resolve_neg().contiguous()
    bits = (bits.view(torch.int16) if dtype == "bfloat16" else bits).numpy()

    def give_back(y: np.ndarray) -> Any:
        if dtype == "bfloat16":
            return torch.from_numpy(y.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(y.view(dtype))

    return Array(_contiguous(bits), dtype, "torch", give_back)


def _borrow_tensorflow(tf: Any, x: Any, name: str) -> Array:
    _check_dtype(x.dtype.name, name)
    if not hasattr(x, "numpy"):
        raise TypeError(
            f"{name}: is a symbolic tensor, which has no numbers yet; quantize outside of"
            " tf.function"
        )
    dtype = x.dtype
    x = tf.convert_to_tensor(x)  # of a variable
    if "CPU" not in x.backing_device:
        raise TypeError(f"{name}: is on {x.backing_device}; only CPU tensors can be quantized")

    def give_back(y: np.ndarray) -> Any:
        if dtype == tf.bfloat16:
            return tf.bitcast(tf.experimental.dlpack.from_dlpack(y.__dlpack__()), dtype)
        return tf.experimental.dlpack.from_dlpack(y.view(dtype.name).__dlpack__())

    # Its __array__() gives what NumPy does not take where there are no dimensions.
    return Array(_contiguous(x if x.ndim else x.numpy()), dtype.name, "tensorflow", give_back)


def _borrow_jax(jax: Any, x: Any, name: str) -> Array:
    _check_dtype(x.dtype.name, name)
    if isinstance(x, jax.core.Tracer):
        raise TypeError(
            f"{name}: is traced by JAX and has no numbers yet; quantize outside of jax.jit,"
            " jax.grad and jax.vmap"
        )
    if any(device.platform != "cpu" for device in x.devices()) or len(x.devices()) != 1:
        raise TypeError(
            f"{name}: is on {', '.join(map(str, x.devices()))}; only arrays on one CPU device can"
            " be quantized"
        )
    dtype = x.dtype

    def give_back(y: np.ndarray) -> Any:
        if dtype.name == "bfloat16":
            return jax.lax.bitcast_convert_type(jax.numpy.from_dlpack(y), dtype)
        return jax.numpy.from_dlpack(y.view(dtype))

    return Array(_contiguous(x), dtype.name, "jax", give_back)


# Name of the module -> its class of arrays, and who takes them.
_FRAMEWORKS = {
    "torch": (lambda torch: torch.Tensor, _borrow_torch),
    "tensorflow": (lambda tf: (tf.Tensor, tf.Variable), _borrow_tensorflow),
    "jax": (lambda jax: jax.Array, _borrow_jax),
}
