#include "tensorquant/maps/layer_pattern.h"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <regex>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/required_texts.h"

namespace tensorquant {
namespace {

constexpr std::string_view kRegexPrefix = "re:";
constexpr std::string_view kTypePrefix = "op:";
constexpr std::string_view kInput = "input";
constexpr std::string_view kNamedInput = "input:";
constexpr std::size_t kLongestRegex = 1024;
constexpr double kLongestWrittenOut = 16384;
constexpr std::size_t kLongestName = 1024;

// libstdc++ matches by backtracking unless told otherwise, which takes exponential time.
#ifdef __GLIBCXX__
constexpr auto kSyntax =
    std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial;
#else
constexpr auto kSyntax = std::regex::ECMAScript | std::regex::nosubs;
#endif

[[noreturn]] void fail(std::string_view expression, const std::string& reason) {
  throw Error("invalid regular expression '" + std::string(expression) + "': " + reason);
}

// The largest number in the counts that open at `begin`: 5 of "{2,5}".
double largest_count(std::string_view expression, std::size_t begin) {
  const std::string_view counts = expression.substr(begin, expression.find('}', begin) - begin + 1);
  double largest = 1;
  for (std::size_t i = 0; i < counts.size();) {
    double count = 0;
    for (; i < counts.size() && counts[i] >= '0' && counts[i] <= '9'; ++i) {
      count = 10 * count + (counts[i] - '0');
    }
    largest = std::max(largest, count);
    ++i;
  }
  return largest;
}

bool is_lookahead(std::string_view rest) {
  return rest.starts_with("(?=") || rest.starts_with("(?!");
}

// What would take too long, or too much of the stack.
void check_cost(std::string_view expression) {
  if (expression.size() > kLongestRegex) {
    throw Error("a regular expression of " + std::to_string(expression.size()) +
                " characters is too long (" + std::to_string(kLongestRegex) + " at most)");
  }
  // As if all repetitions were nested: more than it is, never less.
  double written_out = static_cast<double>(expression.size());
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const std::string_view rest = expression.substr(i);
    if (rest.starts_with('\\')) {
      ++i;
      if (rest.size() > 1 && rest[1] >= '1' && rest[1] <= '9') {
        fail(expression, "back references are not supported");
      }
    } else if (is_lookahead(rest) && i > 0) {
      fail(expression, "lookahead is supported at the beginning alone");
    } else if (rest.starts_with('{')) {
      written_out *= largest_count(expression, i);
    }
  }
  if (written_out > kLongestWrittenOut) fail(expression, "too many repetitions");
}

void check_length(std::string_view layer) {
  if (layer.size() > kLongestName) {
    throw Error("a layer name of " + std::to_string(layer.size()) +
                " characters is too long for a regular expression (" +
                std::to_string(kLongestName) + " at most)");
  }
}

bool matches(std::string_view name, const std::regex& expression) {
  return std::regex_match(name.begin(), name.end(), expression);
}

}  // namespace

struct LayerPattern::Regex {
  explicit Regex(std::string expression)
      : expression_(std::move(expression)), texts_(expression_), whole_(expression_, kSyntax) {}

  bool matches(std::string_view name) const {
    return texts_.may_match(name) && tensorquant::matches(name, whole_);
  }

  // Anything, the expression, anything. Not for a lookahead, which would run at every character.
  // Made when first asked for, which is where a rule hits no layer.
  bool matches_in(std::string_view name) const {
    if (is_lookahead(expression_) || !texts_.may_match(name)) return false;
    std::call_once(part_made_,
                   [this] { part_.assign("[\\s\\S]*(?:" + expression_ + ")[\\s\\S]*", kSyntax); });
    return tensorquant::matches(name, part_);
  }

 private:
  std::string expression_;
  RequiredTexts texts_;
  std::regex whole_;
  mutable std::once_flag part_made_;
  mutable std::regex part_;
};

LayerPattern::LayerPattern(std::string key) : key_(std::move(key)) {
  if (key_ == kTypePrefix) throw Error("the key 'op:' names no type; expected one as 'op:Conv2d'");
  if (!key_.starts_with(kRegexPrefix)) return;
  std::string expression = key_.substr(kRegexPrefix.size());
  check_cost(expression);
  try {
    regex_ = std::make_shared<const Regex>(std::move(expression));
  } catch (const std::regex_error& error) {
    fail(std::string_view(key_).substr(kRegexPrefix.size()), error.what());
  }
}

std::string_view LayerPattern::text() const {
  const std::string_view key = key_;
  if (is_regex()) return key.substr(kRegexPrefix.size());
  if (is_type()) return key.substr(kTypePrefix.size());
  return is_exact() ? key.substr(1) : key;
}

bool LayerPattern::hits_name(std::string_view name) const {
  if (is_type()) return false;
  if (is_regex()) {
    check_length(name);
    return regex_->matches(name);
  }
  return is_exact() ? name == text() : name.find(key_) != std::string_view::npos;
}

bool LayerPattern::hits(const NamedLayer& layer) const {
  switch (layer.kind) {
    case NamedLayer::Kind::layer:
      return is_type() ? layer.type == text() : hits_name(layer.name);
    case NamedLayer::Kind::mover:
      return is_type() ? layer.type == text() : is_exact() && layer.name == text();
    case NamedLayer::Kind::input:
      return hits_name(kInput) || (text().starts_with(kNamedInput) && hits_name(layer.name));
  }
  return false;
}

bool LayerPattern::matches_only_a_part_of(std::string_view layer) const {
  if (!is_regex() || hits_name(layer)) return false;
  return regex_->matches_in(layer);
}

}  // namespace tensorquant
