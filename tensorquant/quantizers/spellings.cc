#include "tensorquant/quantizers/spellings.h"

#include <algorithm>
#include <iterator>
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
constexpr Pair kTypes[] = {
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
    {"float4_e2m1fn_x2", "e2m1"},  // torch packs two into a byte
    {"float16", "fp16"},
    {"half", "fp16"},
    {"bfloat16", "bf16"},
    {"float32", "float,8,23"},
    {"int2", "int,2"},
    {"int4", "int,4"},
    {"int8", "int,8"},
    {"int16", "int,16"},
    {"uint2", "int,2,unsigned"},
    {"uint4", "int,4,unsigned"},
    {"uint8", "int,8,unsigned"},
    {"uint16", "int,16,unsigned"},
    {"qint8", "int,8"},
    {"quint8", "int,8,unsigned"},
};
constexpr std::string_view kModules[] = {"torch.", "ml_dtypes.", "jnp.", "np.", "numpy."};

// Where a mode is left out it is the first.
constexpr Pair kQuantizationModes[] = {
    {"ap_trn", "down"},        {"ap_trn_zero", "zero"},
    {"ap_rnd", "nearest_up"},  {"ap_rnd_zero", "nearest_zero"},
    {"ap_rnd_inf", "nearest"}, {"ap_rnd_min_inf", "nearest_down"},
    {"ap_rnd_conv", "even"},
};
constexpr Pair kOverflowModes[] = {
    {"ap_wrap", "wrap"},         {"ap_sat", "saturate"},           {"ap_sat_zero", "zero"},
    {"ap_sat_sym", "symmetric"}, {"ap_wrap_sm", "sign_magnitude"},
};
// There is nothing below zero, and no sign.
constexpr Pair kUnsignedOverflowModes[] = {
    {"ap_wrap", "wrap"},
    {"ap_sat", "saturate"},
    {"ap_sat_zero", "zero"},
    {"ap_sat_sym", "saturate"},
};

std::string_view mode(SpecReader& reader, std::string_view meaning, std::span<const Pair> modes) {
  std::vector<std::string_view> words;
  for (const Pair& pair : modes) words.push_back(pair.theirs);
  return modes[reader.choice(meaning, words)].ours;
}

// Of "ap_fixed<W,I,Q,O>", with its brackets at `open` and `close`.
std::string fixed_of_hls(const std::string& spec, std::size_t open, std::size_t close,
                         bool is_unsigned) {
  std::string as_ours = spec.substr(0, close);  // its columns stay
  as_ours[open] = ',';
  try {
    SpecReader reader(as_ours);
    const int bits = reader.integer("W", 1, 64);
    const int fraction = bits - reader.integer("I", bits - 64, bits + 64);
    const std::string_view rounding = mode(reader, "the quantization mode", kQuantizationModes);
    const std::span<const Pair> overflows =
        is_unsigned ? std::span<const Pair>(kUnsignedOverflowModes) : kOverflowModes;
    const std::string_view overflow = mode(reader, "the overflow mode", overflows);
    reader.expect_all_taken();
    return std::string(rounding) + "," + std::to_string(bits) + "," + std::to_string(fraction) +
           (is_unsigned ? ",unsigned" : "") + ",overflow=" + std::string(overflow);
  } catch (const SpecError& error) {
    throw SpecError(spec, error.column(), error.reason());
  }
}

}  // namespace

std::optional<Spelling> spelling_of_others(std::string_view spec) {
  const std::string whole(spec);
  const std::size_t end = std::min(whole.find_first_of(",<"), whole.size());
  const std::size_t begin = std::min(whole.find_first_not_of(" \t"), end);
  const std::size_t last = end == begin ? begin : whole.find_last_not_of(" \t", end - 1) + 1;
  const std::string name = lower_case(spec.substr(begin, last - begin));
  if (name == "ap_fixed" || name == "ap_ufixed") {
    const std::size_t open = whole.find('<'), close = whole.find('>');
    if (close == std::string::npos || close < open) {
      throw SpecError(whole, last + 1, "expected '<W,I>' or '<W,I,Q,O>' behind " + name);
    }
    return Spelling{fixed_of_hls(whole, open, close, name == "ap_ufixed"), close + 1};
  }
  std::string_view bare = name;
  for (const std::string_view module : kModules) {
    if (bare.starts_with(module)) bare.remove_prefix(module.size());
  }
  const auto* const found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                         [&](const Pair& pair) { return pair.theirs == bare; });
  if (found == std::end(kTypes)) return std::nullopt;
  return Spelling{std::string(found->ours), last};
}

}  // namespace tensorquant
