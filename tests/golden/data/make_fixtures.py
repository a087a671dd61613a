"""Writes the files beside this script.

Needs numpy, ml_dtypes and safetensors; README.md has the versions.
"""

import gzip
import io
import pathlib
import struct
import unittest.mock
import zipfile

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent


def npy(name, array, version=None):
    path = HERE / "npy" / name
    path.parent.mkdir(exist_ok=True)
    if version is None:
        np.save(path, array)
    else:
        with open(path, "wb") as file:
            np.lib.format.write_array(file, array, version=version)


def make_npy():
    npy("f4_2x3.npy", np.array([[0.0, -0.0, 1.5], [np.inf, np.nan, 1e-45]], "<f4"))
    npy("f8_scalar.npy", np.array(0.1, "<f8"))
    npy("i4_3.npy", np.array([-(2**31), 0, 2**31 - 1], "<i4"))
    npy("i8_1x2.npy", np.array([[-(2**63), 2**63 - 1]], "<i8"))
    npy("u1_2x2x2.npy", np.array([0, 1, 2, 3, 128, 253, 254, 255], "|u1").reshape(2, 2, 2))
    npy("f4_0x3.npy", np.zeros((0, 3), "<f4"))
    # np.save pads this header with 64 spaces where none would do.
    npy("u1_full_header.npy", np.zeros((0, *11 * [1], *2 * [10]), "|u1"))
    values = np.arange(24, dtype="<i4").reshape(2, 3, 4)
    npy("i4_2x3x4_fortran.npy", np.asfortranarray(values))
    npy("f4_2_version2.npy", np.array([1.0, -2.0], "<f4"), version=(2, 0))
    npy("f4_2_version3.npy", np.array([1.0, -2.0], "<f4"), version=(3, 0))
    npy("f4_2_big_endian.npy", np.array([1.0, -2.0], ">f4"))
    npy("f2_2.npy", np.array([1.0, -2.0], "<f2"))
    npy("f8_2x3_big_endian_fortran.npy", np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)))
    npy("i8_2_big_endian.npy", np.array([1, -(2**63)], ">i8"))
    npy("b1_2.npy", np.array([True, False]))
    npy("u2_2.npy", np.array([0, 2**16 - 1], "<u2"))
    npy("complex.npy", np.zeros(1, "<c8"))
    npy("structured.npy", np.zeros(1, [("a", "<f4"), ("b", "<i4")]))


class Pipe(io.RawIOBase):
    """A file without places: zipfile then writes sizes and check sums after each member."""

    def __init__(self, path):
        self.file = open(path, "wb")

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)

    def close(self):
        self.file.close()


def make_npz():
    folder = HERE / "npz"
    folder.mkdir(exist_ok=True)
    weight = np.array([[1, 2, 3], [4, 5, 6]], "<f4")
    bias = np.array([-1, 1], ">f2")
    np.savez(folder / "stored.npz", **{"fc.weight": weight, "fc.bias": bias})
    np.savez_compressed(folder / "deflated.npz", **{"fc.weight": weight, "fc.bias": bias})
    np.savez_compressed(folder / "one.npz", weight)
    np.savez(folder / "none.npz")
    with Pipe(folder / "piped.npz") as pipe:
        np.savez_compressed(pipe, **{"fc.weight": weight, "fc.bias": bias})
    # What numpy writes beyond 4 GiB or 65535 arrays.
    with unittest.mock.patch.multiple(zipfile, ZIP64_LIMIT=0, ZIP_FILECOUNT_LIMIT=0):
        np.savez_compressed(folder / "zip64.npz", **{"fc.weight": weight, "fc.bias": bias})
    with zipfile.ZipFile(folder / "bzip2.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(HERE / "npy" / "f4_2x3.npy", "x.npy")
    with zipfile.ZipFile(folder / "other_files.npz", "w") as archive:
        archive.writestr("README", "not an array")
        archive.write(HERE / "npy" / "f4_2x3.npy", "x.npy")
        archive.comment = b"PK\x05\x06 in a comment is no end"


def make_safetensors():
    folder = HERE / "safetensors"
    folder.mkdir(exist_ok=True)
    every_type = {
        "bool": np.array([True, False]),
        "u8": np.array([0, 255], np.uint8),
        "i8": np.array([-128, 127], np.int8),
        "i16": np.array([-(2**15), 2**15 - 1], np.int16),
        "u16": np.array([0, 2**16 - 1], np.uint16),
        "f16": np.array([1.0, -2.0], np.float16),
        "bf16": np.array([1.0, -2.0], ml_dtypes.bfloat16),
        "i32": np.array([-(2**31), 2**31 - 1], np.int32),
        "u32": np.array([0, 2**32 - 1], np.uint32),
        "f32": np.array([[1.5], [-0.0]], np.float32),
        "f64": np.array([0.1], np.float64),
        "i64": np.array([-(2**63), 2**63 - 1], np.int64),
        "u64": np.array([2**64 - 1], np.uint64),
    }
    save_file(every_type, folder / "every_type.safetensors", metadata={"format": "np"})
    layers = {
        "fc.weight": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        "fc.bias": np.array([-1, 1], np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(42, np.int64),
        'quote " and \u00e9\n': np.array([7], np.float32),
    }
    save_file(layers, folder / "layers.safetensors")
    save_file({}, folder / "no_tensors.safetensors")
    for path in folder.iterdir():
        path.chmod(0o644)


def idx(values, type_code=8):
    dimensions = struct.pack(f">{values.ndim}I", *values.shape)
    return struct.pack(">HBB", 0, type_code, values.ndim) + dimensions + values.tobytes()


def zipped(data):
    return gzip.compress(data, compresslevel=9, mtime=0)


def make_idx():
    """Written by hand from the format's description; numpy has no IDX."""
    images = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5) * 4
    labels = np.array([7, 0, 9], np.uint8)
    plain = HERE / "idx_plain"
    packed = HERE / "idx_gz"
    for folder in (plain, packed):
        folder.mkdir(exist_ok=True)
    (plain / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (plain / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    (plain / "train-images.idx3-ubyte").write_bytes(idx(images[:2]))
    (plain / "train-labels.idx1-ubyte").write_bytes(idx(labels[:2]))
    (packed / "t10k-images-idx3-ubyte.gz").write_bytes(zipped(idx(images)))
    (packed / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(labels))  # named .gz, but plain
    data = idx(images)
    (packed / "two_members.gz").write_bytes(zipped(data[:20]) + zipped(data[20:]))
    (packed / "float32.gz").write_bytes(zipped(idx(np.zeros(2, ">f4"), type_code=0x0D)))


def make_cifar10():
    records = np.arange(2 * 3073, dtype=np.uint32).reshape(2, 3073) * 7 % 251
    records[:, 0] = [3, 9]
    (HERE / "cifar10_2.bin").write_bytes(records.astype(np.uint8).tobytes())


if __name__ == "__main__":
    make_npy()
    make_npz()
    make_safetensors()
    make_idx()
    make_cifar10()
