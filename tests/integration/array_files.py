"""Arrays in files, read and written from the formats' descriptions with Python's standard library alone."""

import ast
import pathlib
import struct


def read_raw(path, code):
    data = pathlib.Path(path).read_bytes()
    return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))


def write_raw(path, code, values):
    pathlib.Path(path).write_bytes(struct.pack(f"<{len(values)}{code}", *values))


def write_npy(path, descr, shape, data):
    """A version 1.0 file, written from the format's description."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    pathlib.Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def read_npy(path):
    data = pathlib.Path(path).read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + length].decode())
    code = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|u1": "B"}[header["descr"]]
    body = data[10 + length:]
    return header["shape"], header["descr"], list(struct.unpack(f"<{len(body) // struct.calcsize(code)}{code}", body))
