"""Quantization nodes as `tensorquant evaluate` computes them, against exact fractions.

    quantized_nodes_test.py PROGRAM

Needs the package onnx to write models with; is skipped without it.
"""

import math
from fractions import Fraction

from node_models import Model, T, f32, helper, nearest, np, run_tests


def quotient(x, scale):
    return Fraction(float(nearest(Fraction(float(x)) / Fraction(float(scale)))))


def code(x, scale, zero, lowest, highest):
    if math.isnan(x):
        return lowest
    if math.isinf(x):
        return highest if x > 0 else lowest
    return min(max(round(quotient(x, scale)) + zero, lowest), highest)


def float_values(exponent_bits, bits, bias, largest):
    """The magnitudes of a small float, in the order of their codes."""
    values = []
    for field in range(1 << exponent_bits):
        for rest in range(1 << bits):
            hidden = (1 << bits) if field else 0
            values.append(Fraction(hidden + rest) * Fraction(2) ** (max(field, 1) - bias - bits))
    return [v for v in values if v <= largest]


def small_float(x, values, beyond):
    """x rounded to the nearest of the values; `beyond` where a further one would be nearer."""
    size = abs(x)
    following = 2 * values[-1] - values[-2]
    wide = [*values, following]
    best = min(range(len(wide)), key=lambda i: (abs(wide[i] - size), i & 1))
    y = beyond if best == len(values) else float(values[best])
    return math.copysign(y, x)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30]


def near_ties(scale, count):
    """Halves of the scale, and their neighbours."""
    ties = (np.arange(-count, count, dtype=f32) + f32(0.5)) * f32(scale)
    low, high = np.nextafter(ties, f32(-np.inf)), np.nextafter(ties, f32(np.inf))
    return np.concatenate([ties, low, high, np.array(SPECIAL, f32)])


INTEGERS = {
    T.UINT8: (0, 255),
    T.INT8: (-128, 127),
    T.UINT16: (0, 65535),
    T.INT16: (-32768, 32767),
    T.UINT4: (0, 15),
    T.INT4: (-8, 7),
    T.UINT2: (0, 3),
    T.INT2: (-2, 1),
}


def test_integer_codes(program):
    model = Model(25)
    scale = f32(0.0123)
    x = near_ties(scale, 300)
    model.input("x", x)
    s = model.constant(scale, T.FLOAT)
    for kind, (lowest, highest) in INTEGERS.items():
        zero = highest // 3
        z = model.constant(zero, kind)
        q = model.node("QuantizeLinear", ["x", s, z])
        codes = [code(float(v), scale, zero, lowest, highest) for v in x]
        model.expect(q, codes)
        y = model.node("DequantizeLinear", [q, s, z])
        model.expect(y, [nearest(Fraction(c - zero) * Fraction(float(scale))) for c in codes])
        told = model.node("QuantizeLinear", ["x", s], output_dtype=kind)
        model.expect(told, [code(float(v), scale, 0, lowest, highest) for v in x])
    model.check(program)


# exponent bits, significand bits, bias, largest, what lies beyond without saturation
FLOATS = {
    T.FLOAT8E4M3FN: (4, 3, 7, 448, math.nan),
    T.FLOAT8E4M3FNUZ: (4, 3, 8, 240, math.nan),
    T.FLOAT8E5M2: (5, 2, 15, 57344, math.inf),
    T.FLOAT8E5M2FNUZ: (5, 2, 16, 57344, math.nan),
}


def test_small_floats(program):
    for saturate in (1, 0):
        model = Model(23)
        rng = np.random.default_rng(1)
        x = (rng.standard_normal(500) * 2.0 ** rng.integers(-20, 18, 500)).astype(f32)
        x = np.concatenate([x, f32([464, 464.0001, 480, 248, 61440, 5e30, 0, 2**-10, 2**-11])])
        model.input("x", x)
        s = model.constant(f32(0.7), T.FLOAT)
        for kind, (e, m, bias, largest, beyond) in FLOATS.items():
            z = model.constant(0.0, kind)
            q = model.node("QuantizeLinear", ["x", s, z], saturate=saturate)
            values = float_values(e, m, bias, largest)
            end = float(largest) if saturate else beyond
            codes = [small_float(quotient(v, f32(0.7)), values, end) for v in x]
            model.expect(q, codes)
        q = model.node("QuantizeLinear", ["x", s], output_dtype=T.FLOAT4E2M1)
        values = float_values(2, 1, 1, 6)
        model.expect(q, [small_float(quotient(v, f32(0.7)), values, 6.0) for v in x])
        model.check(program)


def test_axes_and_blocks(program):
    model = Model(21)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 5)).astype(f32)
    model.input("x", x)
    for shape, attributes in (
        ((3,), {"axis": 0}),
        ((5,), {"axis": -1}),
        ((3, 3), {"axis": 1, "block_size": 2}),
        ((2, 5), {"axis": 0, "block_size": 2}),
    ):
        scales = (rng.random(shape) + 0.1).astype(f32)
        s = model.constant(scales, T.FLOAT)
        q = model.node("QuantizeLinear", ["x", s], output_dtype=T.INT8, **attributes)
        y = model.node("DequantizeLinear", [q, s], **attributes)

        def scale_at(i, j, shape=shape, scales=scales, attributes=attributes):
            if len(shape) == 1:
                return scales[i if attributes["axis"] == 0 else j]
            return scales[(i // 2, j) if attributes["axis"] == 0 else (i, j // 2)]

        places = [(i, j) for i in range(3) for j in range(5)]
        codes = [code(float(x[p]), scale_at(*p), 0, -128, 127) for p in places]
        model.expect(q, np.reshape(codes, (3, 5)))
        reals = [
            nearest(Fraction(c) * Fraction(float(scale_at(*p))))
            for p, c in zip(places, codes, strict=True)
        ]
        model.expect(y, np.reshape(reals, (3, 5)))
    model.check(program)


def test_a_bias_of_32_bits_is_rounded_once(program):
    model = Model(13)
    rng = np.random.default_rng(3)
    codes = rng.integers(-(2**31), 2**31, 2000).astype(np.int32)
    scale = f32(0.0017)
    model.input("x", codes)
    y = model.node("DequantizeLinear", ["x", model.constant(scale, T.FLOAT)])
    model.expect(y, [nearest(Fraction(int(c)) * Fraction(float(scale))) for c in codes])
    model.check(program)


def requantized(total, factors, y_scale, zero):
    factor = f32(f32(factors) / f32(y_scale))
    return min(max(round(Fraction(float(f32(f32(total) * factor)))) + zero, 0), 255)


def test_integer_products(program):
    model = Model(21)
    rng = np.random.default_rng(4)
    a = rng.integers(0, 256, (6, 70)).astype(np.uint8)
    b = rng.integers(-128, 128, (70, 5)).astype(np.int8)
    model.input("a", a)
    weights = model.constant(b, T.INT8)
    za, zb = model.constant(3, T.UINT8), model.constant([1, -2, 3, 0, 5], T.INT8)
    exact = (a.astype(int) - 3) @ (b.astype(int) - np.array([1, -2, 3, 0, 5]))
    model.expect(model.node("MatMulInteger", ["a", weights, za, zb]), exact)
    sa, sb, sy = f32(0.02), f32([0.01, 0.02, 0.03, 0.04, 0.05]), f32(0.7)
    inputs = [model.constant(v, T.FLOAT) for v in (sa, sb, sy)]
    zy = model.constant(7, T.UINT8)
    y = model.node("QLinearMatMul", ["a", inputs[0], za, weights, inputs[1], zb, inputs[2], zy])
    model.expect(
        y, [[requantized(exact[i, j], f32(sa * sb[j]), sy, 7) for j in range(5)] for i in range(6)]
    )
    x = rng.integers(0, 256, (2, 4, 6, 6)).astype(np.uint8)
    model.input("x", x)
    w = rng.integers(-128, 128, (3, 2, 3, 3)).astype(np.int8)[[0, 1, 2, 0]]
    wc, zw = model.constant(w, T.INT8), model.constant(2, T.INT8)
    bias = np.array([1000, -2000, 0, 77])
    padded = np.pad(x.astype(int) - 3, ((0, 0), (0, 0), (1, 1), (0, 2)))
    total = np.zeros((2, 4, 3, 3), int)
    for n, o, i, j in np.ndindex(total.shape):
        c = 2 * (o // 2)
        part = padded[n, c : c + 2, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        total[n, o, i, j] = (part * (w[o].astype(int) - 2)).sum()
    shape = {"pads": [1, 0, 1, 2], "strides": [2, 2], "group": 2, "kernel_shape": [3, 3]}
    model.expect(model.node("ConvInteger", ["x", wc, za, zw], **shape), total)
    sw = f32([0.01, 0.02, 0.03, 0.04])
    scales = [model.constant(v, T.FLOAT) for v in (sa, sw, sy)]
    c = model.constant(bias, T.INT32)
    y = model.node(
        "QLinearConv", ["x", scales[0], za, wc, scales[1], zw, scales[2], zy, c], **shape
    )
    expected = [
        requantized(total[p] + bias[p[1]], f32(sa * sw[p[1]]), sy, 7)
        for p in np.ndindex(total.shape)
    ]
    model.expect(y, np.reshape(expected, total.shape))
    model.check(program)


ROUNDINGS = {
    "ROUND": round,
    "HALF_UP": lambda t: math.floor(abs(t) + Fraction(1, 2)) * (1 if t > 0 else -1),
    "HALF_DOWN": lambda t: math.ceil(abs(t) - Fraction(1, 2)) * (1 if t > 0 else -1),
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "DOWN": math.trunc,
    "UP": lambda t: math.ceil(abs(t)) * (1 if t > 0 else -1),
}


def test_qonnx(program):
    model = Model(17)
    scale = f32(0.25)
    x = near_ties(scale, 40)[:-7]  # finite
    x = np.concatenate([x, f32([0.49999997 / 4, -0.49999997 / 4, 0, -0.0])])
    model.input("x", x)
    s, z = model.constant(scale, T.FLOAT), model.constant(3.0, T.FLOAT)
    bits, one = model.constant(5.0, T.FLOAT), model.constant(1.0, T.FLOAT)
    none = model.constant(0.0, T.FLOAT)
    for mode, rounds in ROUNDINGS.items():
        for signed, narrow, lowest, highest in ((1, 1, -15, 15), (0, 1, 0, 30), (1, 0, -16, 15)):
            y = model.node(
                "Quant",
                ["x", s, z, bits],
                "onnx.brevitas",
                rounding_mode=mode,
                signed=signed,
                narrow=narrow,
            )
            expected = []
            for v in x:
                t = Fraction(float(nearest(quotient(v, scale) + 3)))
                expected.append(float((rounds(min(max(t, lowest), highest)) - 3) * Fraction(0.25)))
            model.expect(y, expected)
    for name in ("IntQuant", "BipolarQuant"):
        inputs = ["x", s, none, one] if name == "IntQuant" else ["x", s]
        y = model.node(name, inputs, "qonnx.custom_op.general")
        model.expect(y, np.where(x >= 0, scale, -scale))
    eight, six, out = (model.constant(v, T.FLOAT) for v in (8.0, 6.0, 1.0))
    integers = [round(quotient(v, scale)) for v in x]
    y = model.node("Trunc", ["x", s, none, eight, six], "qonnx.custom_op.general")
    model.expect(y, [math.floor(Fraction(i, 4)) * 0.25 for i in integers])
    y = model.node("Trunc", ["x", s, none, eight, out, bits], "onnx.brevitas", rounding_mode="CEIL")
    model.expect(y, [min(max(math.ceil(Fraction(i, 4)), -16), 15) * 1.0 for i in integers])
    t = np.sort(np.random.default_rng(5).choice(x, 7))
    y = model.node(
        "MultiThreshold",
        [model.input("m", x.reshape(1, 1, -1)), model.constant(t.reshape(1, 7), T.FLOAT)],
        "qonnx.custom_op.general",
        out_scale=2.0,
        out_bias=-1.0,
        data_layout="NCW",
    )
    model.expect(y, ((x[:, None] >= t).sum(1) * 2.0 - 1).reshape(1, 1, -1))
    model.check(program)


def test_float_quant(program):
    model = Model(17)
    rng = np.random.default_rng(6)
    x = (rng.standard_normal(400) * 2.0 ** rng.integers(-14, 12, 400)).astype(f32)
    x = np.concatenate([x, f32([464, 465, 480, 448, -500, np.inf, -np.inf, 2**-10, 0])])
    model.input("x", x)
    numbers = [model.constant(v, T.FLOAT) for v in (1.0, 4.0, 3.0, 7.0, 448.0)]
    values = float_values(4, 3, 7, 448)
    for saturation, has_inf, beyond in ((1, 0, 448.0), (0, 1, math.inf), (0, 0, math.nan)):
        y = model.node(
            "FloatQuant",
            ["x", *numbers],
            "onnx.brevitas",
            saturation=saturation,
            has_inf=has_inf,
            has_nan=1 - has_inf,
        )
        model.expect(
            y,
            [
                math.copysign(beyond, v)
                if math.isinf(v)
                else small_float(Fraction(float(v)), values, beyond)
                for v in x
            ],
        )
    model.check(program)


def small_float_by(rounds, x, exponent_bits, bits, bias, largest):
    """x rounded to a multiple of the step of its binade, then saturated."""
    exponent = 1 - bias
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    step = Fraction(2) ** (exponent - bits)
    return min(max(rounds(x / step) * step, -largest), largest)


def test_float_quant_in_every_mode_and_with_scales(program):
    rng = np.random.default_rng(8)
    x = (rng.standard_normal(300) * 2.0 ** rng.integers(-9, 9, 300)).astype(f32)
    x = np.concatenate([x, np.round(x * 8) / 8])  # values and ties
    for mode, rounds in ROUNDINGS.items():
        model = Model(17)
        model.input("x", x)
        for exponent_bits, bits, bias, largest in (
            (4, 3, 7, 448),
            (5, 2, 15, 57344),
            (3, 0, 2, 16),
        ):
            for scale in (f32(1), f32(0.37)):
                numbers = (scale, exponent_bits, bits, bias, largest)
                names = [model.constant(f32(v), T.FLOAT) for v in numbers]
                settings = {"rounding_mode": mode, "saturation": 1, "has_inf": 0, "has_nan": 0}
                y = model.node("FloatQuant", ["x", *names], "qonnx.custom_op.general", **settings)
                codes = [small_float_by(rounds, quotient(v, scale), *numbers[1:]) for v in x]
                model.expect(y, [nearest(c * Fraction(float(scale))) for c in codes])
        model.check(program)


def test_trunc_in_every_mode(program):
    model = Model(17)
    codes = np.arange(-130, 131)
    model.input("x", f32(codes * 0.25))
    s, none, eight, five, out = (model.constant(v, T.FLOAT) for v in (0.25, 0.0, 8.0, 5.0, 2.0))
    for mode, rounds in ROUNDINGS.items():
        cut = [rounds(Fraction(int(code), 8)) for code in codes]
        general, brevitas = "qonnx.custom_op.general", "onnx.brevitas"
        y = model.node("Trunc", ["x", s, none, eight, five], general, rounding_mode=mode)
        model.expect(y, [c * 0.25 for c in cut])
        y = model.node("Trunc", ["x", s, none, eight, out, five], brevitas, rounding_mode=mode)
        # Of the value 3 bits less, within 5 bits.
        model.expect(y, [min(max(c, -16), 15) * 2.0 for c in cut])
    model.check(program)


def test_exact_sums(program):
    """A product of integers: scaled and biased in float64, rounded once."""
    model = Model(17)
    rng = np.random.default_rng(7)
    a = rng.integers(0, 256, (4, 900)).astype(np.uint8)
    model.input("a", a)
    w = rng.integers(-127, 128, (900, 3)).astype(np.int8)
    sx, sw, bias = f32(0.0123), f32([0.01, 0.003, 0.7]), f32([0.1, -0.2, 3])
    s, z = model.constant(sx, T.FLOAT), model.constant(128, T.UINT8)
    t, c = model.constant(sw, T.FLOAT), model.constant(bias, T.FLOAT)
    x = model.node("DequantizeLinear", ["a", s, z])
    y = model.node("DequantizeLinear", [model.constant(w, T.INT8), t], axis=1)
    total = (a.astype(int) - 128) @ w.astype(int)
    expected = (total * (np.float64(sx) * sw.astype(np.float64)) + bias).astype(f32)
    model.expect(model.node("Gemm", [x, y, c]), expected)
    report = model.check(program)
    assert report["sums"] == "exact" and len(report["exact_layers"]) == 1, report


def test_the_range_of_a_tensor_and_zero(program):
    model = Model(17)
    for name, x in (("x", near_ties(0.5, 40)[:-7]), ("y", f32([3, 7])), ("z", f32([0, 0]))):
        low, high = min(f32(0), x.min()), max(f32(0), x.max())
        scale = f32((high - low) / f32(255)) or f32(1)  # as ONNX Runtime where all are zero
        zero = code(float(-low), scale, 0, 0, 255)
        outputs = [f"{name}{i}" for i in range(3)]
        model.nodes.append(
            helper.make_node("DynamicQuantizeLinear", [model.input(name, x)], outputs)
        )
        model.expect(outputs[0], [code(float(v), scale, zero, 0, 255) for v in x])
        model.expect(outputs[1], scale)
        model.expect(outputs[2], zero)
    model.check(program)


def test_a_sum_beyond_int32_is_an_error(program):
    for taps, fits in ((66310, True), (66320, False)):  # 2^31 / (255 * 127) = 66312.1
        model = Model(17)
        model.input("x", np.full((1, taps), 255, np.uint8))
        weights = model.constant(np.full((taps, 1), 127), T.INT8)
        y = model.node("MatMulInteger", ["x", weights])
        model.expect(y, [[f32(255 * 127 * taps)]])
        try:
            model.check(program)
            assert fits
        except AssertionError as error:
            assert not fits and "(MatMulInteger): a sum is beyond int32" in str(error), error


def test_a_rule_quantizes_the_end_of_the_chain(program):
    model = Model(17)
    x = np.array([[1, 2], [-3, 4]], f32)
    model.input("x", x)
    codes, scale = np.array([[3, -5], [7, 1]]), f32(0.375)
    w = model.node(
        "DequantizeLinear", [model.constant(codes, T.INT8), model.constant(scale, T.FLOAT)]
    )
    turned = model.node("Transpose", [w], perm=[1, 0])
    halves = np.trunc(codes.T * 0.375 * 2) / 2  # towards zero, one bit behind the point
    model.expect(model.node("MatMul", ["x", turned]), x @ halves)
    model.check(program, ["--weights", "zero,8,1"])


if __name__ == "__main__":
    run_tests(globals())
