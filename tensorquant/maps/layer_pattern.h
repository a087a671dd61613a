#ifndef TENSORQUANT_MAPS_LAYER_PATTERN_H_
#define TENSORQUANT_MAPS_LAYER_PATTERN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tensorquant {

// What a key may hit.
struct NamedLayer {
  enum class Kind : std::uint8_t {
    layer,
    mover,  // it only moves numbers: a key hits it by "=" and its name, or by "op:" and its type
    input,  // of the model, for the extrinsic map alone: what hits "input" hits it, whatever its
            // name, "input:image"; so do keys with "input:" that hit the name
  };

  NamedLayer(std::string name, std::string type = "", Kind kind = Kind::layer)
      : name(std::move(name)), type(std::move(type)), kind(kind) {}
  NamedLayer(const char* name) : NamedLayer(std::string(name)) {}

  std::string name;
  std::string type;  // "Conv2d"; empty: not known
  Kind kind;
};

// The key of a rule: "conv" hits every layer whose full name contains it, "=fc1" exactly that name,
// "re:layer[0-9]\.conv." every name that the regular expression matches as a whole, "op:Conv2d"
// every layer of exactly that type, "" every name.
// Regular expressions are ECMAScript's without back references and with lookahead at the beginning
// alone ("re:(?!fc).*"): so matching takes no more than (states of the expression) * (characters of
// the name) steps, whatever the expression.
class LayerPattern {
 public:
  // Throws an Error for "op:" without a type, for an invalid regular expression, and for one of
  // more than 1024 characters or with so many counted repetitions that it would be longer than
  // 16384 without them.
  explicit LayerPattern(std::string key);

  // Throws an Error where a regular expression meets a name of more than 1024 characters.
  bool hits(const NamedLayer& layer) const;
  // True for a regular expression that matches a part of the name but not the whole: a common slip.
  // Not told of one that begins with a lookahead.
  bool matches_only_a_part_of(std::string_view layer) const;

  const std::string& key() const { return key_; }
  bool is_regex() const { return regex_ != nullptr; }
  bool is_type() const { return key_.starts_with("op:"); }
  // Whether it is the name of a layer and nothing else: "=fc1".
  bool is_exact() const { return key_.starts_with('='); }
  // Whether the name alone is hit, which is no layer's type.
  bool hits_name(std::string_view name) const;
  // The key without "re:", "op:" or "=".
  std::string_view text() const;

 private:
  struct Regex;

  std::string key_;
  std::shared_ptr<const Regex> regex_;  // null unless the key starts with "re:"
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_LAYER_PATTERN_H_
