"""ONNX files, written from protobuf's description and onnx.proto with Python's standard library alone."""

import struct

FLOAT, BOOL, FLOAT16 = 1, 9, 10


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, value):
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def integer(name, value):
    """An attribute."""
    return block(1, name) + number(3, value) + number(20, 2)


def node(op_type, inputs, outputs, name="", domain="", attributes=()):
    values = [block(1, x) for x in inputs] + [block(2, y) for y in outputs]
    return b"".join(values) + block(3, name) + block(4, op_type) + b"".join(block(5, a) for a in attributes) + block(7, domain)


def tensor(name, dims, values):
    return b"".join(number(1, d) for d in dims) + number(2, FLOAT) + block(8, name) + block(9, struct.pack(f"<{len(values)}f", *values))


def value(name, dims, element=FLOAT):
    shape = b"".join(block(1, number(1, d) if isinstance(d, int) else block(2, d)) for d in dims)
    return block(1, name) + block(2, block(1, number(1, element) + block(2, shape)))


def model(nodes, tensors, inputs, outputs, opset=17):
    graph = b"".join(block(1, one) for one in nodes) + block(2, "graph") + b"".join(block(5, one) for one in tensors)
    graph += b"".join(block(11, one) for one in inputs) + b"".join(block(12, one) for one in outputs)
    return number(1, 8) + block(7, graph) + block(8, block(1, "") + number(2, opset))
