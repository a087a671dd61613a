#ifndef TENSORQUANT_MAPS_LAYER_PATTERN_H_
#define TENSORQUANT_MAPS_LAYER_PATTERN_H_

#include <memory>
#include <string>
#include <string_view>

namespace tensorquant {

// The key of a rule: "conv" hits every layer whose full name contains it, "=fc1" exactly that name,
// "re:layer[0-9]\.conv." every name that the regular expression matches as a whole, "" every name.
// Regular expressions are ECMAScript's without back references and with lookahead at the beginning
// alone ("re:(?!fc).*"): so matching takes no more than (states of the expression) * (characters of
// the name) steps, whatever the expression.
class LayerPattern {
 public:
  // Throws an Error for an invalid regular expression, and for one of more than 1024 characters or
  // with so many counted repetitions that it would be longer than 16384 without them.
  explicit LayerPattern(std::string key);

  // Throws an Error where a regular expression meets a name of more than 1024 characters.
  bool hits(std::string_view layer) const;
  // True for a regular expression that matches a part of the name but not the whole: a common slip.
  // Not told of one that begins with a lookahead.
  bool matches_only_a_part_of(std::string_view layer) const;

  const std::string& key() const { return key_; }
  bool is_regex() const { return regex_ != nullptr; }
  // The key without "re:" or "=".
  std::string_view text() const;

 private:
  struct Regex;

  std::string key_;
  std::shared_ptr<const Regex> regex_;  // null unless the key starts with "re:"
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_LAYER_PATTERN_H_
