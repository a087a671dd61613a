#include "tensorquant/quantizers/scale_text.h"

#include <array>
#include <cmath>
#include <string_view>
#include <variant>

#include "tensorquant/formats/scaled.h"

namespace tensorquant {
namespace {

// In the order of Scale::Rule, which begins with a number.
constexpr std::array<std::string_view, 7> kRules = {"max",   "range", "floor", "ceil",
                                                    "round", "e4m3",  "mean"};
// In the order of Scale::Per, which ends with blocks.
constexpr std::array<std::string_view, 3> kPer = {"tensor", "channel", "row"};
constexpr int kMaxBlock = 65536;

std::string_view rule_word(Scale::Rule rule) { return kRules[static_cast<std::size_t>(rule) - 1]; }

void read_rule(SpecReader& reader, Scale& scale) {
  const auto given = reader.number_or_choice_keyword("scale", kRules);
  if (!given) return;
  if (const auto* word = std::get_if<std::size_t>(&*given)) {
    scale.rule = static_cast<Scale::Rule>(*word + 1);
    return;
  }
  const double number = std::get<double>(*given);
  if (!(number > 0) || !std::isnormal(number)) {
    reader.fail_at("scale", "a scale is a normal number > 0, found " + shortest_decimal(number));
  }
  scale = {.rule = Scale::Rule::number, .number = number};
}

void read_granularity(SpecReader& reader, Scale& scale) {
  const auto per = reader.choice_keyword("per", kPer);
  const auto block = reader.integer_keyword("block", 1, kMaxBlock);
  if (per && block) reader.fail_at("block", "'per' and 'block' exclude each other");
  if (scale.rule == Scale::Rule::number && (block || per.value_or(0) != 0)) {
    reader.fail_at(block ? "block" : "per",
                   "a scale that is a number is the whole tensor's; scale=max, floor ... find one "
                   "for each");
  }
  if (per) {
    scale.per = static_cast<Scale::Per>(*per);
    scale.block = 0;
  }
  if (block) {
    scale.per = Scale::Per::block;
    scale.block = *block;
  }
}

void check_integers(const SpecReader& reader, std::string_view keyword,
                    const ElementFormat& element) {
  const auto* fixed = std::get_if<FixedPoint>(&element);
  if (fixed != nullptr && fixed->fraction == 0 && fixed->saturates() &&
      fixed->bits <= kMaxZeroPointBits) {
    return;
  }
  const std::string what = keyword == "zero" ? "a zero point" : "scale=range";
  reader.fail_at(keyword, what + " wants integers (F = 0) of at most " +
                              std::to_string(kMaxZeroPointBits) + " bits that saturate");
}

void read_zero(SpecReader& reader, Scale& scale, const ElementFormat& element) {
  if (!reader.has_keyword("zero")) {
    reader.integer_keyword("zero", 0, 0);  // so that messages know it
    return;
  }
  if (scale.rule != Scale::Rule::number) {
    reader.fail_at("zero", "a zero point wants a scale that is a number");
  }
  check_integers(reader, "zero", element);
  const auto& fixed = std::get<FixedPoint>(element);
  scale.zero = *reader.integer_keyword("zero", static_cast<int>(fixed.lowest_integer()),
                                       static_cast<int>(fixed.highest_integer()));
}

void check_rule(const SpecReader& reader, const Scale& scale, const ElementFormat& element) {
  const auto fail = [&](const std::string& reason) { reader.fail_at("scale", reason); };
  if (largest_value<double>(element) <= 0) fail("the format has no positive value to scale");
  const auto* ternary = std::get_if<Ternary>(&element);
  const bool is_mean = scale.rule == Scale::Rule::mean;
  if (is_mean && element != ElementFormat(Binary{}) && element != ElementFormat(Ternary{})) {
    fail("scale=mean wants 'binary' or 'ternary' without arguments");
  }
  if (!is_mean && ternary != nullptr && !ternary->threshold) {
    fail("'ternary' wants a threshold t, or scale=mean");
  }
  if (scale.rule == Scale::Rule::e4m3 && scale.per != Scale::Per::block) {
    fail("scale=e4m3 wants block=");
  }
  if (scale.rule == Scale::Rule::range) check_integers(reader, "scale", element);
  if (scale.rule == Scale::Rule::round && !std::holds_alternative<FixedPoint>(element) &&
      !std::holds_alternative<FloatingPoint>(element) && !std::holds_alternative<P3109>(element)) {
    fail("scale=round wants fixed point or a float");
  }
}

}  // namespace

std::optional<Scale> read_scale(SpecReader& reader, const std::optional<Scale>& implied,
                                const ElementFormat& element) {
  const bool is_given = reader.has_keyword("scale");
  if (!is_given && !implied) {
    for (const std::string_view keyword : {"per", "block", "zero"}) {
      if (reader.has_keyword(keyword)) {
        reader.fail_at(keyword, "'" + std::string(keyword) + "' needs scale=" +
                                    (keyword == "zero" ? "N" : "max, floor ..."));
      }
    }
  }
  Scale scale = implied.value_or(Scale{});
  read_rule(reader, scale);
  read_granularity(reader, scale);
  read_zero(reader, scale, element);
  if (!is_given && !implied) return std::nullopt;
  check_rule(reader, scale, element);
  return scale;
}

void write_scale(const Scale& scale, const std::optional<Scale>& implied,
                 std::map<std::string, std::string>& keywords) {
  if (!implied || scale.rule != implied->rule || scale.rule == Scale::Rule::number) {
    keywords["scale"] = scale_text(scale);
  }
  if (scale.zero != 0) keywords["zero"] = std::to_string(scale.zero);
  if (scale.rule == Scale::Rule::number) return;
  const Scale usual = implied.value_or(Scale{});
  if (scale.per == usual.per && scale.block == usual.block) return;
  if (scale.per == Scale::Per::block) {
    keywords["block"] = std::to_string(scale.block);
  } else {
    keywords["per"] = std::string(kPer[static_cast<std::size_t>(scale.per)]);
  }
}

std::string scale_text(const Scale& scale) {
  return scale.rule == Scale::Rule::number ? shortest_decimal(scale.number)
                                           : std::string(rule_word(scale.rule));
}

std::string_view granularity_text(const Scale& scale) {
  return scale.per == Scale::Per::block ? "block" : kPer[static_cast<std::size_t>(scale.per)];
}

std::string scale_usage() { return "[,scale=...]"; }

}  // namespace tensorquant
