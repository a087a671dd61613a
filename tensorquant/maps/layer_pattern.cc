#include "tensorquant/maps/layer_pattern.h"

#include <cstddef>
#include <regex>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr std::string_view kRegexPrefix = "re:";
constexpr std::size_t kLongestRegex = 1024;
constexpr std::size_t kLongestName = 1024;

// libstdc++ and libc++ search by trial and error: "(a*)*b" takes exponential time, and a long name
// overflows libstdc++'s stack. libstdc++ can also follow all matches at once, in time that grows
// with pattern times name; libc++ counts its trials and gives up with a std::regex_error.
#ifdef __GLIBCXX__
constexpr auto kSyntax =
    std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial;
#else
constexpr auto kSyntax = std::regex::ECMAScript | std::regex::nosubs;
#endif

void check_length(std::string_view layer) {
  if (layer.size() > kLongestName) {
    throw Error("a layer name of " + std::to_string(layer.size()) +
                " characters is too long for a regular expression (" +
                std::to_string(kLongestName) + " at most)");
  }
}

// Each lookahead inside another multiplies the time by the length of the name.
bool has_two_lookaheads(std::string_view expression) {
  int count = 0;
  for (std::size_t i = expression.find("(?"); i != std::string_view::npos;
       i = expression.find("(?", i + 1)) {
    const std::string_view kind = expression.substr(i + 2, 1);
    if (kind == "=" || kind == "!") ++count;
  }
  return count > 1;
}

}  // namespace

struct LayerPattern::Regex {
  std::string text;
  std::regex expression;

  template <class Match>
  bool run(const Match& match) const {
    try {
      return match(expression);
    } catch (const std::regex_error& error) {
      throw Error("regular expression '" + text + "': " + error.what());
    }
  }
};

LayerPattern::LayerPattern(std::string key) : key_(std::move(key)) {
  if (!key_.starts_with(kRegexPrefix)) return;
  const std::string expression = key_.substr(kRegexPrefix.size());
  if (expression.size() > kLongestRegex) {
    throw Error("a regular expression of " + std::to_string(expression.size()) +
                " characters is too long (" + std::to_string(kLongestRegex) + " at most)");
  }
  if (has_two_lookaheads(expression)) {
    throw Error("regular expression '" + expression + "' has more than one lookahead");
  }
  try {
    regex_ = std::make_shared<const Regex>(Regex{expression, std::regex(expression, kSyntax)});
  } catch (const std::regex_error& error) {
    throw Error("invalid regular expression '" + expression + "': " + error.what());
  }
}

std::string_view LayerPattern::text() const {
  const std::string_view key = key_;
  if (is_regex()) return key.substr(kRegexPrefix.size());
  return key.starts_with('=') ? key.substr(1) : key;
}

bool LayerPattern::hits(std::string_view layer) const {
  if (is_regex()) {
    check_length(layer);
    return regex_->run([&](const std::regex& expression) {
      return std::regex_match(layer.begin(), layer.end(), expression);
    });
  }
  if (key_.starts_with('=')) return layer == text();
  return layer.find(key_) != std::string_view::npos;
}

bool LayerPattern::matches_only_a_part_of(std::string_view layer) const {
  if (!is_regex() || hits(layer)) return false;
  return regex_->run([&](const std::regex& expression) {
    return std::regex_search(layer.begin(), layer.end(), expression);
  });
}

}  // namespace tensorquant
