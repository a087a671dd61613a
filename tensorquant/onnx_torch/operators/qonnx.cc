#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <tuple>

#include "tensorquant/base/error.h"
#include "tensorquant/onnx_torch/operators/operators.h"

// The quantization nodes of QONNX, as real numbers are rounded.
namespace tensorquant::onnx_torch {
namespace {

using Round = at::Tensor (*)(const at::Tensor&);

at::Tensor with_sign(const at::Tensor& magnitude, const at::Tensor& x) {
  return at::copysign(magnitude, x);
}

// To the nearest integer, a tie to the one or the other. In a float format of any width the part
// behind the point is exact, where |x| + 1/2 need not be.
at::Tensor nearest(const at::Tensor& x, bool ties_away) {
  const at::Tensor size = at::abs(x), below = at::floor(size), rest = size - below;
  return with_sign(below + (ties_away ? rest >= 0.5 : rest > 0.5).to(x.scalar_type()), x);
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

Round rounding_of(const NodeView& node, const char* otherwise) {
  const std::string name = upper(node.text("rounding_mode", otherwise));
  if (name == "ROUND" || name == "HALF_EVEN") return at::round;
  if (name == "HALF_UP") return [](const at::Tensor& x) { return nearest(x, true); };
  if (name == "HALF_DOWN") return [](const at::Tensor& x) { return nearest(x, false); };
  if (name == "CEIL") return at::ceil;
  if (name == "FLOOR") return at::floor;
  if (name == "DOWN") return at::trunc;
  if (name == "UP") return [](const at::Tensor& x) { return with_sign(at::ceil(at::abs(x)), x); };
  throw Error("rounding_mode '" + name + "' is not supported");
}

double constant_number(const NodeView& node, std::size_t i, const char* what) {
  const at::Tensor number = node.constant(i);
  if (!number.defined() || number.numel() != 1) {
    throw Error(std::string(what) + " is not one constant");
  }
  return number.item<double>();
}

// The ends of integers of so many bits, which may be a fraction.
class Ends {
 public:
  Ends(const NodeView& node, std::size_t width_place) {
    const double width = constant_number(node, width_place, "its bit width");
    if (!(width >= 1 && width <= 64)) {
      throw Error("its bit width: expected 1 to 64, found " + onnx_number(width));
    }
    const bool is_signed = node.integer("signed", 1) != 0, narrow = node.integer("narrow", 0) != 0;
    is_sign_ = is_signed && width == 1;  // one bit: -1 or 1
    lowest_ = !is_signed ? 0 : -std::exp2(width - 1) + (narrow ? 1 : 0);
    highest_ = is_signed ? std::exp2(width - 1) - 1 : std::exp2(width) - (narrow ? 2 : 1);
  }

  at::Tensor round(const at::Tensor& x, Round to_integer) const {
    return to_integer(at::clamp(x, lowest_, highest_));
  }
  bool is_sign() const { return is_sign_; }

 private:
  static std::string onnx_number(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", x);
    return text;
  }

  double lowest_, highest_;
  bool is_sign_;
};

// 1 where it is 0 or more, -0 too; else -1, NaN too.
at::Tensor sign_of(const at::Tensor& x) { return (x >= 0).to(x.scalar_type()) * 2 - 1; }

// The zero point is added before rounding, and the limits are kept before it too.
Function quant(const NodeView& node) {
  const Round round = rounding_of(node, "ROUND");
  const Ends ends(node, 3);
  return [=](const Tensors& in) {
    const at::Tensor t = in[0] / in[1] + in[2];
    const at::Tensor code = ends.is_sign() ? sign_of(t) : ends.round(t, round);
    return Tensors{(code - in[2]) * in[1]};
  };
}

Function bipolar_quant(const NodeView&) {
  return [](const Tensors& in) { return Tensors{sign_of(in[0]) * in[1]}; };
}

// Numbers of many bits to fewer: the integers of the one scale, divided by a power of two, rounded.
// Version 1: by the difference of the widths; the scale stays.
Function trunc_by_width(const NodeView& node) {
  const Round round = rounding_of(node, "FLOOR");
  const double divisor = std::exp2(constant_number(node, 3, "its input's bit width") -
                                   constant_number(node, 4, "its output's bit width"));
  return [=](const Tensors& in) {
    const at::Tensor code = at::round(in[0] / in[1] + in[2]);
    return Tensors{(round(code / divisor) - in[2]) * in[1]};
  };
}

// Version 2: to another scale, within the ends of the output's width.
Function trunc_to_scale(const NodeView& node) {
  const Round round = rounding_of(node, "FLOOR");
  const Ends ends(node, 5);
  return [=](const Tensors& in) {
    const at::Tensor code = at::round(in[0] / in[1] + in[2]);
    const at::Tensor divisor = at::exp2(at::round(at::log2(in[4] / in[1])));
    return Tensors{(ends.round(code / divisor, round) - in[2] / divisor) * in[4]};
  };
}

Function trunc(const NodeView& node) {
  const std::size_t expected = node.version() < 2 ? 5 : 6;
  if (node.input_count() != expected) {
    throw Error("expected " + std::to_string(expected) + " inputs in version " +
                std::to_string(node.version()) + ", found " + std::to_string(node.input_count()));
  }
  return expected == 5 ? trunc_by_width(node) : trunc_to_scale(node);
}

// A float with subnormals, of a sign and so many bits. In float64 all steps but the rounding are
// exact.
struct SmallFloat {
  explicit SmallFloat(const NodeView& node)
      : round(rounding_of(node, "ROUND")),
        significand_bits(integer(node, 3, "its significand's bit width", 0, 23)) {
    const int exponent_bits = integer(node, 2, "its exponent's bit width", 1, 8);
    const int bias = integer(node, 4, "its exponent's bias", -126, 255);
    min_exponent = 1 - bias;
    const double top =
        std::ldexp(2 - std::exp2(-significand_bits), (1 << exponent_bits) - 1 - bias);
    largest = std::min(top, constant_number(node, 5, "its largest value"));
  }

  // As if there were no largest value.
  at::Tensor rounded(const at::Tensor& x) const {
    const at::Tensor exponent = at::clamp_min(std::get<1>(at::frexp(x)) - 1, min_exponent);
    const at::Tensor step = at::exp2((exponent - significand_bits).to(at::kDouble));
    return at::where(at::isfinite(x), round(x / step) * step, x);
  }

  static int integer(const NodeView& node, std::size_t i, const char* what, int least, int most) {
    const double x = constant_number(node, i, what);
    if (!(x >= least && x <= most && x == std::floor(x))) {
      throw Error(std::string(what) + ": expected an integer from " + std::to_string(least) +
                  " to " + std::to_string(most));
    }
    return static_cast<int>(x);
  }

  Round round;
  int significand_bits, min_exponent = 0;
  double largest = 0;
};

Function float_quant(const NodeView& node) {
  const SmallFloat format(node);
  const bool saturates = node.integer("saturation", 1) != 0;
  const bool has_inf = node.integer("has_inf", 0) != 0, has_nan = node.integer("has_nan", 0) != 0;
  if (!saturates && !has_inf && !has_nan) {
    throw Error("it neither saturates nor has infinities or NaN");
  }
  const double beyond =
      has_inf ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  return [=](const Tensors& in) {
    const at::Tensor t = in[0] / in[1], y = format.rounded(t.to(at::kDouble));
    const at::Tensor ends = with_sign(at::full_like(y, saturates ? format.largest : beyond), y);
    return Tensors{at::where(at::abs(y) > format.largest, ends, y).to(t.scalar_type()) * in[1]};
  };
}

// How many of a channel's thresholds x reaches.
Function multi_threshold(const NodeView& node) {
  const double scale = node.number("out_scale", 1), bias = node.number("out_bias", 0);
  const std::string layout = node.text("data_layout", "");
  return [=](const Tensors& in) {
    const at::Tensor &x = in[0], &thresholds = in[1];
    const bool has_place = layout.find('C') != std::string::npos;
    // Without a layout, three axes are (batch, width, channels).
    const std::int64_t axis = has_place ? static_cast<std::int64_t>(layout.find('C'))
                              : layout.empty() && x.dim() == 3 ? 2
                                                               : 1;
    const at::Tensor last = at::movedim(x, axis_of(axis, x.dim()), -1);
    const bool fits =
        thresholds.dim() == 2 && (thresholds.size(0) == 1 || thresholds.size(0) == last.size(-1));
    if (!fits) {
      throw Error("expected thresholds for each of " + std::to_string(last.size(-1)) +
                  " channels, found " +
                  onnx::to_string({thresholds.sizes().data(), thresholds.sizes().size()}));
    }
    const at::Tensor count = (last.unsqueeze(-1) >= thresholds).sum(-1).to(x.scalar_type());
    return Tensors{at::movedim(count, -1, axis) * scale + bias};
  };
}

}  // namespace

Operators qonnx_operators() {
  return {{"Quant", {quant, 4, 4}},
          {"IntQuant", {quant, 4, 4}},
          {"BipolarQuant", {bipolar_quant, 2, 2}},
          {"Trunc", {trunc, 5, 6}},
          {"FloatQuant", {float_quant, 6, 6}},
          {"MultiThreshold", {multi_threshold, 2, 2}}};
}

}  // namespace tensorquant::onnx_torch
