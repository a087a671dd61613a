#include "tensorquant/quantizers/spellings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

#include "tensorquant/quantizers/spec_error.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {
namespace {

struct Pair {
  std::string_view theirs;
  std::string_view ours;
};

// In lower case. What overflows where there is no infinity saturates, as in our short names: in
// ml_dtypes it gives NaN.
constexpr Pair kFloats[] = {
    {"float8_e4m3fn", "e4m3fn"},
    {"float8_e4m3fnuz", "e4m3fnuz"},
    {"float8_e4m3b11fnuz", "e4m3b11fnuz"},
    {"float8_e5m2", "e5m2"},
    {"float8_e5m2fnuz", "e5m2fnuz"},
    {"float8_e4m3", "float,4,3"},
    {"float8_e3m4", "float,3,4"},
    {"float6_e3m2fn", "e3m2"},
    {"float6_e2m3fn", "e2m3"},
    {"float4_e2m1fn", "e2m1"},
    {"float16", "fp16"},
    {"half", "fp16"},
    {"bfloat16", "bf16"},
    {"float32", "float,8,23"},
};
constexpr std::string_view kModules[] = {"torch.", "ml_dtypes.", "jnp.", "np.", "numpy."};

constexpr Pair kQuantizationModes[] = {
    {"ap_trn", "down"},        {"ap_trn_zero", "zero"},
    {"ap_rnd", "nearest_up"},  {"ap_rnd_zero", "nearest_zero"},
    {"ap_rnd_inf", "nearest"}, {"ap_rnd_min_inf", "nearest_down"},
    {"ap_rnd_conv", "even"},
};
constexpr Pair kOverflowModes[] = {
    {"ap_wrap", "wrap"},     {"ap_wrap_sm", "sign_magnitude"}, {"ap_sat", "saturate"},
    {"ap_sat_zero", "zero"}, {"ap_sat_sym", "symmetric"},
};

std::string lowered(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

// Without spaces around it; `begin` becomes the place of what is left.
std::string_view trimmed(std::string_view text, std::size_t& begin) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  begin += first;
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

const Pair* find(std::span<const Pair> pairs, std::string_view name) {
  const auto found = std::find_if(pairs.begin(), pairs.end(),
                                  [&](const Pair& pair) { return pair.theirs == name; });
  return found == pairs.end() ? nullptr : &*found;
}

// ap_fixed<...> and ap_ufixed<...>.
class FixedOfHls {
 public:
  FixedOfHls(const std::string& spec, std::size_t open, std::size_t close, bool is_unsigned)
      : spec_(spec), is_unsigned_(is_unsigned) {
    for (std::size_t begin = open + 1; begin <= close;) {
      const std::size_t end = std::min(spec.find(',', begin), close);
      std::size_t place = begin;
      const std::string_view text =
          trimmed(std::string_view(spec).substr(begin, end - begin), place);
      parts_.push_back({lowered(text), place + 1});
      begin = end + 1;
    }
  }

  std::string ours() const {
    if (parts_.size() > 4) fail(4, "expected at most W, I, a quantization and an overflow mode");
    const int bits = integer(0, "W", 1, 64), integer_bits = integer(1, "I", -64, 128);
    const std::string rounding = mode(2, kQuantizationModes, "down", "quantization");
    std::string overflow = mode(3, kOverflowModes, "wrap", "overflow");
    if (is_unsigned_ && overflow == "symmetric") overflow = "saturate";  // there is nothing below 0
    if (is_unsigned_ && overflow == "sign_magnitude") fail(3, "AP_WRAP_SM wants a sign");
    const int fraction = bits - integer_bits;
    if (fraction < -64 || fraction > 64) fail(1, "W - I is beyond -64 to 64");
    return rounding + "," + std::to_string(bits) + "," + std::to_string(fraction) +
           (is_unsigned_ ? ",unsigned" : "") +
           (overflow == "saturate" ? "" : ",overflow=" + overflow);
  }

 private:
  struct Part {
    std::string text;
    std::size_t column;
  };

  [[noreturn]] void fail(std::size_t i, const std::string& reason) const {
    throw SpecError(spec_, i < parts_.size() ? parts_[i].column : spec_.size(), reason);
  }

  int integer(std::size_t i, const std::string& name, int lowest, int highest) const {
    int value = 0;
    const std::string text = i < parts_.size() ? parts_[i].text : "";
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    if (text.empty() || !is_number || value < lowest || value > highest) {
      fail(i, "expected an integer " + name + " in [" + std::to_string(lowest) + ", " +
                  std::to_string(highest) + "], found '" + text + "'");
    }
    return value;
  }

  std::string mode(std::size_t i, std::span<const Pair> modes, const char* when_left_out,
                   const std::string& kind) const {
    if (i >= parts_.size()) return when_left_out;
    const Pair* found = find(modes, parts_[i].text);
    if (found != nullptr) return std::string(found->ours);
    std::vector<std::string> names;
    for (const Pair& pair : modes) names.emplace_back(pair.theirs);
    const std::string nearest = nearest_name(parts_[i].text, names);
    fail(i, "unknown " + kind + " mode '" + parts_[i].text + "'" +
                (nearest.empty() ? "" : ", did you mean '" + nearest + "'?"));
  }

  const std::string& spec_;
  bool is_unsigned_;
  std::vector<Part> parts_;
};

}  // namespace

std::optional<Spelling> spelling_of_others(std::string_view spec) {
  const std::string whole(spec);
  std::size_t begin = 0;
  const std::string name = lowered(trimmed(spec.substr(0, spec.find_first_of(",<")), begin));
  if (name == "ap_fixed" || name == "ap_ufixed") {
    const std::size_t open = whole.find('<'), close = whole.find('>');
    if (open == std::string::npos || close == std::string::npos || close < open) {
      throw SpecError(whole, begin + name.size() + 1,
                      "expected '<W,I>' or '<W,I,Q,O>' behind " + name);
    }
    return Spelling{FixedOfHls(whole, open, close, name == "ap_ufixed").ours(), close + 1};
  }
  std::string_view bare = name;
  for (const std::string_view module : kModules) {
    if (bare.starts_with(module)) bare.remove_prefix(module.size());
  }
  const Pair* found = find(kFloats, bare);
  if (found == nullptr) return std::nullopt;
  return Spelling{std::string(found->ours), begin + name.size()};
}

}  // namespace tensorquant
