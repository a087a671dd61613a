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

void check_length(std::string_view layer) {
  if (layer.size() > kLongestName) {
    throw Error("a layer name of " + std::to_string(layer.size()) +
                " characters is too long for a regular expression (" +
                std::to_string(kLongestName) + " at most)");
  }
}

}  // namespace

struct LayerPattern::Regex {
  std::regex expression;
};

LayerPattern::LayerPattern(std::string key) : key_(std::move(key)) {
  if (!key_.starts_with(kRegexPrefix)) return;
  const std::string expression = key_.substr(kRegexPrefix.size());
  if (expression.size() > kLongestRegex) {
    throw Error("a regular expression of " + std::to_string(expression.size()) +
                " characters is too long (" + std::to_string(kLongestRegex) + " at most)");
  }
  try {
    regex_ = std::make_shared<const Regex>(Regex{std::regex(expression)});
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
    return std::regex_match(layer.begin(), layer.end(), regex_->expression);
  }
  if (key_.starts_with('=')) return layer == text();
  return layer.find(key_) != std::string_view::npos;
}

bool LayerPattern::matches_only_a_part_of(std::string_view layer) const {
  if (!is_regex() || hits(layer)) return false;
  return std::regex_search(layer.begin(), layer.end(), regex_->expression);
}

}  // namespace tensorquant
