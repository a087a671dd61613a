#include "tensorquant/arithmetic/exact/function.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "tensorquant/arithmetic/exact/interval.h"
#include "tensorquant/arithmetic/exact/natural.h"
#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

constexpr std::pair<std::string_view, Function> kNames[] = {
    {"exp", Function::exp},
    {"log", Function::log},
    {"sqrt", Function::sqrt},
    {"rsqrt", Function::rsqrt},
    {"reciprocal", Function::reciprocal},
    {"erf", Function::erf},
    {"tanh", Function::tanh},
    {"sigmoid", Function::sigmoid},
    {"silu", Function::silu},
    {"gelu", Function::gelu},
    {"gelu_tanh", Function::gelu_tanh},
    {"softplus", Function::softplus},
    {"hardsigmoid", Function::hardsigmoid},
    {"hardswish", Function::hardswish},
};

// Numbers that are known without a series. A significand has 113 bits there.
constexpr int kLongBits = 113;

// x moved away from zero, or towards it, by less than 2^-113 of it; with a modulus, by less than
// any format with that modulus can tell.
ExactNumber beside(double x, bool above, std::optional<int> modulus) {
  const ExactNumber number = exact_number(x);
  int shift = kLongBits - 53;
  if (modulus) shift = std::max(shift, number.exponent - (*modulus - kLongBits));
  const Natural longer = Natural(static_cast<std::uint64_t>(number.significand)) << shift;
  const Uint128 low_bits = (above ? longer : longer - Natural(1)).bits_from(0);
  return {number.negative, low_bits & ((Uint128{1} << kLongBits) - 1), number.exponent - shift,
          true};
}
ExactNumber tiny(bool negative) {
  return {negative, Uint128{1} << kLongBits, -1500 - kLongBits, true};
}
ExactNumber huge() { return {false, Uint128{1} << kLongBits, 1500 - kLongBits, true}; }

// Below this the first term of a series decides.
constexpr double kSmall = 0x1p-115;

// f(x) where x is so small or large that no bit of a series is needed. In absolute terms it is less
// than 2^-113 beside a number that has bits that count.
std::optional<ExactNumber> extreme_value(Function function, double x, std::optional<int> modulus) {
  using enum Function;
  const auto just_above = [=](double y) { return beside(y, true, modulus); };
  const auto just_below = [=](double y) { return beside(y, false, modulus); };
  const double a = std::abs(x);
  const bool is_negative = x < 0;
  switch (function) {
    case exp:
      if (a < kSmall) return beside(1, !is_negative, modulus);
      if (a > 1000) return is_negative ? tiny(false) : huge();
      break;
    case erf:
      if (a > 10) return just_below(std::copysign(1, x));
      break;
    case tanh:
      if (a < 0x1p-60) return just_below(x);
      if (a > 80) return just_below(std::copysign(1, x));
      break;
    case sigmoid:
      if (a < kSmall) return beside(0.5, !is_negative, modulus);
      if (x > 80) return just_below(1);
      if (x < -1000) return tiny(false);
      break;
    case silu:
    case gelu:
    case gelu_tanh:
      // x / 2 (1 + c x), whose half may be no double.
      if (a < kSmall) {
        ExactNumber half = beside(x, !is_negative, modulus);
        --half.exponent;
        return half;
      }
      if (x > (function == silu ? 90 : 14)) return just_below(x);
      if (x < (function == silu ? -1100 : -40)) return tiny(true);
      break;
    case softplus:
      if (x > 90) return just_above(x);
      if (x < -1000) return tiny(false);
      break;
    case hardsigmoid:
      if (a < kSmall) return beside(0.5, !is_negative, modulus);
      if (x >= 3) return exact_number(1);
      break;
    case hardswish:
      if (a < kSmall) {
        ExactNumber half = beside(x, !is_negative, modulus);
        --half.exponent;
        return half;
      }
      if (x >= 3) return exact_number(x);
      break;
    default:
      break;
  }
  return {};
}

// A positive number: value * 2^exponent.
struct Scaled {
  Interval value;
  int exponent = 0;
};

// f(x) to some bits. All intervals are of that many behind the point.
class Evaluation {
 public:
  Evaluation(int bits, double x)
      : in_(bits),
        magnitude_(std::abs(x)),
        is_negative_(x < 0),
        number_(exact_number(magnitude_)),
        significand_(in_.number(static_cast<std::uint64_t>(number_.significand), -53)),
        exponent_(number_.exponent + 53) {}

  Scaled magnitude_of(Function function) const {
    switch (function) {
      case Function::exp:
        return is_negative_ ? inverse(exp_of(argument())) : exp_of(argument());
      case Function::log:
        return {log()};
      case Function::rsqrt:
        return inverse_root();
      case Function::reciprocal:
        return {in_.divide(in_.integer(1), significand_), -exponent_};
      case Function::erf:
        return erf();
      case Function::tanh: {
        const Interval e = small_exp(in_.multiply(argument(), 2));
        const Interval one = in_.integer(1);
        return {in_.divide(in_.subtract(one, e), in_.add(one, e))};
      }
      case Function::sigmoid:
        return sigmoid_of(argument());
      case Function::silu:
        return times_x(sigmoid_of(argument()));
      case Function::gelu:
        return times_x(normal_distribution());
      case Function::gelu_tanh:
        return times_x(sigmoid_of(tanh_argument()));
      case Function::softplus:
        return {softplus()};
      case Function::hardsigmoid:
        return {hardsigmoid()};
      case Function::hardswish:
        return times_x({hardsigmoid()});
      default:
        throw Error("a function without a series");
    }
  }

  bool is_negative(Function function) const {
    if (function == Function::log) return magnitude_ < 1;
    const bool is_positive = function == Function::exp || function == Function::sigmoid ||
                             function == Function::softplus || function == Function::hardsigmoid;
    return is_negative_ && !is_positive;
  }

 private:
  // |x|, which is small enough for that.
  Interval argument() const {
    return in_.number(static_cast<std::uint64_t>(number_.significand), number_.exponent);
  }

  // Any n will do that leaves a rest between 0 and 1.
  Scaled exp_of(const Interval& x) const {
    const double estimate = std::floor(x.low.times_power(-in_.bits()) / 0.69314718056);
    const auto n = static_cast<int>(std::max(estimate, 0.0));
    const Interval rest = in_.subtract(x, in_.multiply(in_.log2(), static_cast<std::uint64_t>(n)));
    return {in_.exp_of_fraction(rest), n};
  }

  Scaled inverse(const Scaled& x) const {
    return {in_.divide(in_.integer(1), x.value), -x.exponent};
  }

  // exp(-x), which is 1 or less.
  Interval small_exp(const Interval& x) const {
    const Scaled e = inverse(exp_of(x));
    return in_.halve(e.value, -e.exponent);
  }

  // Of the argument with x's sign.
  Scaled sigmoid_of(const Interval& argument) const {
    const Scaled e = inverse(exp_of(argument));
    const Interval sum = in_.add(in_.integer(1), in_.halve(e.value, -e.exponent));
    if (is_negative_) return {in_.divide(e.value, sum), e.exponent};
    return {in_.divide(in_.integer(1), sum)};
  }

  Scaled times_x(const Scaled& factor) const {
    return {in_.multiply(significand_, factor.value), factor.exponent + exponent_};
  }

  Interval log() const {
    // x = m 2^n with m from 1 to 2.
    const Interval m = in_.multiply(significand_, 2), one = in_.integer(1);
    const int n = exponent_ - 1;
    const Interval log_of_m = in_.twice_artanh(in_.divide(in_.subtract(m, one), in_.add(m, one)));
    const Interval logs_of_2 = in_.multiply(in_.log2(), static_cast<std::uint64_t>(std::abs(n)));
    return n < 0 ? in_.subtract(logs_of_2, log_of_m) : in_.add(logs_of_2, log_of_m);
  }

  Scaled inverse_root() const {
    // An even exponent: x = m 2^(2n).
    const int n = (exponent_ + (exponent_ & 1)) / 2;
    const Interval m = in_.halve(significand_, exponent_ & 1);
    return {in_.divide(in_.integer(1), in_.root(m)), -n};
  }

  Interval root_of_two_by_pi() const { return in_.root(in_.divide(in_.integer(2), in_.pi())); }

  // erf(y / sqrt(2)) of y^2, without the factor y.
  Interval erf_without_factor(const Interval& square) const {
    const Interval series = in_.erf_series(square);
    const Scaled e = inverse(exp_of(in_.halve(square, 1)));
    return in_.multiply(root_of_two_by_pi(), in_.halve(in_.multiply(series, e.value), -e.exponent));
  }

  Scaled erf() const {
    const Interval x = argument();
    const Interval square = in_.multiply(in_.multiply(x, x), 2);
    const Interval root_of_two = in_.root(in_.integer(2));
    return times_x({in_.multiply(root_of_two, erf_without_factor(square))});
  }

  // (1 + erf(x / sqrt(2))) / 2
  Scaled normal_distribution() const {
    const Interval x = argument(), one = in_.integer(1);
    const Interval erf = in_.multiply(x, erf_without_factor(in_.multiply(x, x)));
    return {in_.halve(is_negative_ ? in_.subtract(one, erf) : in_.add(one, erf), 1)};
  }

  // x / 2 (1 + tanh(y)) = x sigmoid(2 y)
  Interval tanh_argument() const {
    const Interval x = argument();
    const Interval cube = in_.multiply(in_.multiply(x, x), x);
    const Interval sum =
        in_.add(x, in_.divide(in_.multiply(cube, std::uint64_t{44715}), std::uint64_t{1000000}));
    return in_.multiply(in_.multiply(root_of_two_by_pi(), sum), 2);
  }

  Interval softplus() const {
    const Interval x = argument(), e = small_exp(x);
    const Interval log = in_.twice_artanh(in_.divide(e, in_.add(in_.integer(2), e)));
    return is_negative_ ? log : in_.add(x, log);
  }

  Interval hardsigmoid() const {
    const Interval three = in_.integer(3), x = argument();
    return in_.divide(is_negative_ ? in_.subtract(three, x) : in_.add(three, x), 6);
  }

  const Intervals in_;
  const double magnitude_;
  const bool is_negative_;
  const ExactNumber number_;
  // |x| = significand * 2^exponent, from 1/2 to 1.
  const Interval significand_;
  const int exponent_;
};

// The number, where both ends agree in all bits that count.
std::optional<ExactNumber> decided(const Scaled& x, int bits, bool negative,
                                   std::optional<int> modulus) {
  constexpr int kBits = 100;
  const Interval& value = x.value;
  const int exponent = x.exponent - bits;  // of the last bit
  const int width = value.low.bit_width();
  const int top = std::min(width, modulus ? *modulus - exponent : width);
  const int shift = top - kBits;
  const bool is_exact = value.low == value.high;
  if (width == 0 || (shift < 0 && !is_exact)) return {};
  if (shift <= 0) {  // exact and short
    const Uint128 significand = top <= 0 ? 0 : value.low.bits_from(0) & ((Uint128{1} << top) - 1);
    return ExactNumber{negative, significand, exponent, false};
  }
  const bool is_cut = !value.low.is_multiple_of_power(shift);
  if (!is_exact && (!is_cut || value.low >> shift != value.high >> shift)) return {};
  const Uint128 significand = value.low.bits_from(shift) & ((Uint128{1} << kBits) - 1);
  return ExactNumber{negative, significand, exponent + shift, is_cut};
}

bool is_infinite_in_ring(Function function, double x, std::optional<int> modulus) {
  return modulus && function == Function::exp && x > 1000;
}

}  // namespace

Function make_function(std::string_view name) {
  std::string names;
  for (const auto& [known, function] : kNames) {
    if (name == known) return function;
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  throw Error("unknown function '" + std::string(name) + "': expected one of " + names);
}

std::string to_string(Function function) {
  const auto* const found = std::find_if(std::begin(kNames), std::end(kNames),
                                         [=](const auto& pair) { return pair.second == function; });
  return std::string(found->first);
}

const std::vector<Function>& all_functions() {
  static const std::vector<Function> functions = [] {
    std::vector<Function> all;
    for (const auto& [name, function] : kNames) all.push_back(function);
    return all;
  }();
  return functions;
}

std::optional<double> known_value(Function function, double x) {
  using enum Function;
  if (std::isnan(x)) return kNaN;
  const bool is_number = x != 0 && std::isfinite(x);
  const bool is_high = x == kInfinity, is_low = x == -kInfinity;
  switch (function) {
    case exp:
      if (!is_number) return x == 0 ? 1 : is_high ? kInfinity : 0;
      break;
    case log:
      if (x == 0) return -kInfinity;
      if (x < 0) return kNaN;
      if (is_high) return x;
      if (x == 1) return 0;
      break;
    case sqrt:
      if (x < 0) return kNaN;
      if (!is_number) return x;
      break;
    case rsqrt:
      if (x < 0) return kNaN;
      if (!is_number) return 1 / x;
      break;
    case reciprocal:
      if (!is_number) return 1 / x;
      break;
    case erf:
    case tanh:
      if (!is_number) return x == 0 ? x : std::copysign(1, x);
      break;
    case sigmoid:
      if (!is_number) return x == 0 ? 0.5 : is_high ? 1 : 0;
      break;
    case silu:
    case gelu:
    case gelu_tanh:
      if (!is_number) return is_low ? -0.0 : x;
      break;
    case softplus:
      if (is_high) return x;
      if (is_low) return 0;
      break;
    case hardsigmoid:
      if (x <= -3) return 0;
      if (!is_number) return x == 0 ? 0.5 : 1;
      break;
    case hardswish:
      if (x <= -3) return -0.0;
      if (!is_number) return x;
      break;
  }
  return {};
}

std::optional<ExactNumber> exact_value(Function function, double x, std::optional<int> modulus) {
  if (function == Function::sqrt) return exact_root_of_sum(x, 0, modulus);
  if (is_infinite_in_ring(function, x, modulus)) return {};
  if (const auto extreme = extreme_value(function, x, modulus)) return extreme;
  for (int bits = 192;; bits *= 2) {
    const Evaluation evaluation(bits, x);
    const auto number =
        decided(evaluation.magnitude_of(function), bits, evaluation.is_negative(function), modulus);
    if (number) return number;
  }
}

template <class T>
double round_function(const GridFormat& format, Function function, double x, Draw draw) {
  if (const auto known = known_value(function, x)) return round_double<T>(format, *known, draw);
  const auto number = exact_value(function, x, modulus_of(format));
  return number ? round_exact<T>(format, *number, draw) : round_special<T>(format, kInfinity);
}
template double round_function<float>(const GridFormat&, Function, double, Draw);
template double round_function<double>(const GridFormat&, Function, double, Draw);

double approximation(Function function, double x) {
  using enum Function;
  const auto sigmoid_of = [](double t) {
    return t < 0 ? std::exp(t) / (1 + std::exp(t)) : 1 / (1 + std::exp(-t));
  };
  const auto clamped = [](double t) { return std::min(std::max(t + 3, 0.0), 6.0) / 6; };
  switch (function) {
    case exp:
      return std::exp(x);
    case log:
      return std::log(x);
    case sqrt:
      return std::sqrt(x);
    case rsqrt:
      return 1 / std::sqrt(x);
    case reciprocal:
      return 1 / x;
    case erf:
      return std::erf(x);
    case tanh:
      return std::tanh(x);
    case sigmoid:
      return sigmoid_of(x);
    case silu:
      return x * sigmoid_of(x);
    case gelu:
      return 0.5 * x * std::erfc(-0.70710678118654752 * x);
    case gelu_tanh:
      return x * sigmoid_of(1.5957691216057308 * (x + 0.044715 * x * x * x));
    case softplus:
      return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    case hardsigmoid:
      return clamped(x);
    case hardswish:
      return x * clamped(x);
  }
  return kNaN;
}

}  // namespace tensorquant
