#include "tensorquant/quantizers/spec_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <system_error>

#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

std::string join(std::span<const std::string_view> choices) {
  std::string joined;
  for (std::string_view choice : choices) {
    if (!joined.empty()) joined += choice == choices.back() ? " or " : ", ";
    joined += "'" + std::string(choice) + "'";
  }
  return joined;
}

// The whole text as a number; charconv reads no leading '+'.
template <class Number>
bool parse(std::string_view text, Number& number) {
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with('+')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

SpecReader::SpecReader(std::string_view spec) : spec_(spec) {
  std::size_t begin = 0;
  bool is_first = true;
  while (true) {
    const std::size_t end = std::min(spec_.find(',', begin), spec_.size());
    const std::size_t equals = spec_.substr(begin, end - begin).find('=');
    if (is_first) {
      name_ = part(begin, end);
      if (name_.text.empty()) throw SpecError(spec_, name_.column, "expected a quantizer's name");
    } else if (equals != std::string::npos) {
      Keyword keyword{part(begin, begin + equals), part(begin + equals + 1, end)};
      for (const Keyword& earlier : keywords_) {
        if (earlier.name.text == keyword.name.text) {
          throw SpecError(spec_, keyword.name.column,
                          "keyword '" + keyword.name.text + "' is given twice");
        }
      }
      keywords_.push_back(std::move(keyword));
    } else {
      Part argument = part(begin, end);
      if (argument.text.empty()) {
        throw SpecError(spec_, argument.column, "expected an argument between the commas");
      }
      if (!keywords_.empty()) {
        throw SpecError(spec_, argument.column,
                        "argument '" + argument.text + "' stands behind a keyword");
      }
      arguments_.push_back(std::move(argument));
    }
    is_first = false;
    if (end == spec_.size()) break;
    begin = end + 1;
  }
}

SpecReader::Part SpecReader::part(std::size_t begin, std::size_t end) const {
  std::string_view text = std::string_view(spec_).substr(begin, end - begin);
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {"", begin + 1};
  const std::size_t last = text.find_last_not_of(kSpaces);
  return {lower_case(text.substr(first, last - first + 1)), begin + first + 1};
}

int SpecReader::integer(std::string_view meaning, int lowest, int highest) {
  const std::string expected = "an integer " + std::string(meaning) + " in [" +
                               std::to_string(lowest) + ", " + std::to_string(highest) + "]";
  return parse_integer(next(meaning, expected), expected, lowest, highest);
}

double SpecReader::number(std::string_view meaning, bool positive) {
  const std::string expected =
      "a finite number " + std::string(meaning) + (positive ? " > 0" : " >= 0");
  const Part& part = next(meaning, expected);
  const double value = parse_number(part, expected);
  if (positive ? value <= 0 : value < 0) fail_expecting(part, expected);
  return value == 0 ? 0 : value;  // no -0
}

std::size_t SpecReader::choice(std::string_view meaning,
                               std::span<const std::string_view> choices) {
  if (!has_argument()) return 0;
  return parse_choice(next(meaning, join(choices)), meaning, choices);
}

bool SpecReader::flag(std::string_view word) {
  if (!has_argument()) return false;
  const Part& argument = arguments_[next_argument_];
  if (argument.text != word) {
    if (nearest_name(argument.text, std::array{std::string(word)}).empty()) return false;
    throw SpecError(
        spec_, argument.column,
        "unknown argument '" + argument.text + "', did you mean '" + std::string(word) + "'?");
  }
  ++next_argument_;
  return true;
}

std::optional<int> SpecReader::integer_keyword(std::string_view keyword, int lowest, int highest) {
  const Part* value = take(keyword);
  if (value == nullptr) return std::nullopt;
  return parse_integer(*value,
                       "an integer " + std::string(keyword) + " in [" + std::to_string(lowest) +
                           ", " + std::to_string(highest) + "]",
                       lowest, highest);
}

std::optional<double> SpecReader::number_keyword(std::string_view keyword) {
  const Part* value = take(keyword);
  if (value == nullptr) return std::nullopt;
  return parse_number(*value, "a finite number " + std::string(keyword));
}

std::optional<std::size_t> SpecReader::choice_keyword(std::string_view keyword,
                                                      std::span<const std::string_view> choices) {
  const Part* value = take(keyword);
  if (value == nullptr) return std::nullopt;
  return parse_choice(*value, keyword, choices);
}

std::optional<std::variant<double, std::size_t>> SpecReader::number_or_choice_keyword(
    std::string_view keyword, std::span<const std::string_view> choices) {
  const Part* value = take(keyword);
  if (value == nullptr) return std::nullopt;
  const auto word = std::find(choices.begin(), choices.end(), value->text);
  if (word != choices.end()) return static_cast<std::size_t>(word - choices.begin());
  return parse_number(*value, std::string(keyword) + " to be a number, " + join(choices));
}

bool SpecReader::has_keyword(std::string_view keyword) const {
  return std::any_of(keywords_.begin(), keywords_.end(),
                     [&](const Keyword& given) { return given.name.text == keyword; });
}

std::vector<std::string> SpecReader::take_arguments() {
  std::vector<std::string> taken;
  while (has_argument()) taken.push_back(arguments_[next_argument_++].text);
  return taken;
}

std::vector<std::pair<std::string, std::string>> SpecReader::take_keywords() {
  std::vector<std::pair<std::string, std::string>> taken;
  for (Keyword& keyword : keywords_) {
    if (!keyword.taken) taken.emplace_back(keyword.name.text, keyword.value.text);
    keyword.taken = true;
  }
  return taken;
}

void SpecReader::expect_all_taken() const {
  if (has_argument()) {
    const Part& extra = arguments_[next_argument_];
    throw SpecError(spec_, extra.column,
                    "'" + name() + "' takes " + std::to_string(next_argument_) +
                        (next_argument_ == 1 ? " argument" : " arguments") + ", '" + extra.text +
                        "' is one too many");
  }
  for (const Keyword& keyword : keywords_) {
    if (keyword.taken) continue;
    std::string reason = "'" + name() + "' has no keyword '" + keyword.name.text + "'";
    const std::string nearest = nearest_name(keyword.name.text, known_keywords_);
    if (!nearest.empty()) {
      reason += ", did you mean '" + nearest + "'?";
    } else if (!known_keywords_.empty()) {
      reason += "; it has " +
                join(std::vector<std::string_view>(known_keywords_.begin(), known_keywords_.end()));
    }
    throw SpecError(spec_, keyword.name.column, reason);
  }
}

void SpecReader::fail(const std::string& reason) const {
  throw SpecError(spec_, name_.column, reason);
}

void SpecReader::fail_at(std::string_view keyword, const std::string& reason) const {
  for (const Keyword& candidate : keywords_) {
    if (candidate.name.text == keyword) throw SpecError(spec_, candidate.value.column, reason);
  }
  fail(reason);
}

const SpecReader::Part& SpecReader::next(std::string_view, const std::string& expected) {
  if (!has_argument()) {
    throw SpecError(spec_, spec_.size() + 1, "'" + name() + "' wants " + expected);
  }
  return arguments_[next_argument_++];
}

const SpecReader::Part* SpecReader::take(std::string_view keyword) {
  known_keywords_.emplace_back(keyword);
  for (Keyword& candidate : keywords_) {
    if (candidate.name.text != keyword) continue;
    candidate.taken = true;
    return &candidate.value;
  }
  return nullptr;
}

int SpecReader::parse_integer(const Part& part, const std::string& expected, int lowest,
                              int highest) const {
  int value = 0;
  if (!parse(part.text, value) || value < lowest || value > highest) fail_expecting(part, expected);
  return value;
}

double SpecReader::parse_number(const Part& part, const std::string& expected) const {
  double value = 0;
  if (!parse(part.text, value) || !std::isfinite(value)) fail_expecting(part, expected);
  return value;
}

std::size_t SpecReader::parse_choice(const Part& part, std::string_view meaning,
                                     std::span<const std::string_view> choices) const {
  const auto found = std::find(choices.begin(), choices.end(), part.text);
  if (found == choices.end()) {
    fail_expecting(part, std::string(meaning) + " to be " + join(choices));
  }
  return static_cast<std::size_t>(found - choices.begin());
}

void SpecReader::fail_expecting(const Part& part, const std::string& expected) const {
  throw SpecError(spec_, part.column, "expected " + expected + ", found '" + part.text + "'");
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

std::string shortest_decimal(double x) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, x);
  return error == std::errc() ? std::string(text, end) : std::to_string(x);
}

std::string nearest_name(std::string_view name, std::span<const std::string> names) {
  // Levenshtein distance, row by row.
  const auto distance = [&](std::string_view other) {
    std::vector<std::size_t> row(other.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < name.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < other.size(); ++j) {
        const std::size_t replaced = diagonal + (name[i] == other[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      }
    }
    return row.back();
  };
  std::string nearest;
  std::size_t best = name.size() / 3 + 2;  // farther away it is another word, not a slip
  for (const std::string& candidate : names) {
    if (const std::size_t d = distance(candidate); d < best) {
      best = d;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace tensorquant
