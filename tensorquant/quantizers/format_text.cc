#include "tensorquant/quantizers/format_text.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tensorquant/quantizers/format_fields.h"
#include "tensorquant/quantizers/scale_text.h"

namespace tensorquant {
namespace {

template <class E, std::size_t N>
std::array<std::string_view, N> words(const std::array<Choice<E>, N>& choices) {
  std::array<std::string_view, N> result;
  std::transform(choices.begin(), choices.end(), result.begin(), [](auto& c) { return c.word; });
  return result;
}

struct FieldReader {
  SpecReader& reader;
  bool takes_shape;

  void argument(std::string_view meaning, int& value, int lowest, int highest) {
    if (takes_shape) value = reader.integer(meaning, lowest, highest);
  }
  void argument(std::string_view meaning, double& value) { value = reader.number(meaning, false); }
  void optional_argument(std::string_view meaning, double& value) {
    if (reader.has_argument()) value = reader.number(meaning, true);
  }
  void optional_argument(std::string_view meaning, std::optional<double>& value) {
    if (reader.has_argument()) value = reader.number(meaning, false);
  }
  void optional_argument(std::string_view meaning, int& value, int, int lowest, int highest) {
    if (reader.has_argument()) value = reader.integer(meaning, lowest, highest);
  }
  template <class E, std::size_t N>
  void optional_argument(std::string_view meaning, E& value,
                         const std::array<Choice<E>, N>& choices) {
    value = choices[reader.choice(meaning, words(choices))].value;
  }
  void flag(std::string_view word, bool& value) {
    if (takes_shape) value = reader.flag(word);
  }
  void flag_just_when(bool condition, std::string_view word, bool& value) {
    value = condition && reader.flag(word);
    if (condition && !value)
      reader.fail("'" + reader.spec() + "' wants '" + std::string(word) + "'");
  }
  void keyword(std::string_view name, int& value, int, int lowest, int highest) {
    if (const auto given = reader.integer_keyword(name, lowest, highest)) value = *given;
  }
  template <class E, std::size_t N>
  void keyword(std::string_view name, E& value, const std::array<Choice<E>, N>& choices) {
    if (const auto given = reader.choice_keyword(name, words(choices))) {
      value = choices[*given].value;
    }
  }
  template <class... Field>
  void keyword_when(bool condition, Field&&... field) {
    if (condition) keyword(std::forward<Field>(field)...);
  }
  template <class... Field>
  void shape_keyword(Field&&... field) {
    if (takes_shape) keyword(std::forward<Field>(field)...);
  }
};

// The words of keywords as a format has them.
using Words = std::map<std::string, std::string_view, std::less<>>;
struct WordCollector {
  Words words = {};

  template <class... Field>
  void argument(std::string_view, const Field&...) {}
  template <class... Field>
  void optional_argument(std::string_view, const Field&...) {}
  void flag(std::string_view, bool) {}
  void flag_just_when(bool, std::string_view, bool) {}
  void keyword(std::string_view, int, int, int, int) {}
  template <class E, std::size_t N>
  void keyword(std::string_view name, E& value, const std::array<Choice<E>, N>& choices) {
    for (const auto& choice : choices) {
      if (choice.value == value) words[std::string(name)] = choice.word;
    }
  }
  template <class... Field>
  void keyword_when(bool, Field&&... field) {
    keyword(std::forward<Field>(field)...);
  }
  template <class... Field>
  void shape_keyword(Field&&...) {}
};

// The word that is meant where a keyword is left out: the name's own, else the first one.
template <class E, std::size_t N>
std::string_view usual_word(const Words& usual, std::string_view keyword,
                            const std::array<Choice<E>, N>& choices) {
  const auto own = usual.find(keyword);
  for (const auto& choice : choices) {
    if (own != usual.end() && own->second == choice.word) return choice.word;
  }
  return choices[0].word;
}

struct FieldWriter {
  bool takes_shape;
  Words usual;
  std::map<std::string, std::string> keywords;
  std::vector<std::string> arguments = {};
  std::size_t needed = 0;  // arguments behind these are left out where they say nothing new

  void add(std::string text, bool is_needed) {
    arguments.push_back(std::move(text));
    if (is_needed) needed = arguments.size();
  }
  void argument(std::string_view, int& value, int, int) {
    if (takes_shape) add(std::to_string(value), true);
  }
  void argument(std::string_view, double& value) { add(shortest_decimal(value), true); }
  void optional_argument(std::string_view, double& value) {
    add(shortest_decimal(value), value != 1);
  }
  void optional_argument(std::string_view, std::optional<double>& value) {
    if (value) add(shortest_decimal(*value), true);
  }
  void optional_argument(std::string_view, int& value, int when_left_out, int, int) {
    add(std::to_string(value), value != when_left_out);
  }
  template <class E, std::size_t N>
  void optional_argument(std::string_view, E& value, const std::array<Choice<E>, N>& choices) {
    for (const auto& choice : choices) {
      if (choice.value == value) add(std::string(choice.word), value != choices[0].value);
    }
  }
  void flag(std::string_view word, bool& value) {
    if (takes_shape && value) add(std::string(word), true);
  }
  void flag_just_when(bool, std::string_view word, bool& value) { flag(word, value); }
  void keyword(std::string_view name, int& value, int when_left_out, int, int) {
    if (value != when_left_out) keywords[std::string(name)] = std::to_string(value);
  }
  template <class E, std::size_t N>
  void keyword(std::string_view name, E& value, const std::array<Choice<E>, N>& choices) {
    const std::string_view when_left_out = usual_word(usual, name, choices);
    for (const auto& choice : choices) {
      if (choice.value == value && choice.word != when_left_out) {
        keywords[std::string(name)] = std::string(choice.word);
      }
    }
  }
  template <class... Field>
  void keyword_when(bool condition, Field&&... field) {
    if (condition) keyword(std::forward<Field>(field)...);
  }
  template <class... Field>
  void shape_keyword(Field&&... field) {
    if (takes_shape) keyword(std::forward<Field>(field)...);
  }
};

struct UsageWriter {
  bool takes_shape;
  Words usual;
  std::string text;

  template <class... Limits>
  void argument(std::string_view meaning, int&, Limits...) {
    if (takes_shape) text += "," + std::string(meaning);
  }
  void argument(std::string_view meaning, double&) { text += "," + std::string(meaning); }
  template <class Number>
  void optional_argument(std::string_view meaning, Number&) {
    text += "[," + std::string(meaning) + "]";
  }
  void optional_argument(std::string_view meaning, int&, int, int, int) {
    text += "[," + std::string(meaning) + "]";
  }
  template <class E, std::size_t N>
  void optional_argument(std::string_view, E&, const std::array<Choice<E>, N>& choices) {
    text += "[," + alternatives(choices, choices[0].word) + "]";
  }
  void flag(std::string_view word, bool&) {
    if (takes_shape) text += "[," + std::string(word) + "]";
  }
  void flag_just_when(bool, std::string_view word, bool& value) { flag(word, value); }
  void keyword(std::string_view name, int&, int, int, int) {
    text += "[," + std::string(name) + "=N]";
  }
  template <class E, std::size_t N>
  void keyword(std::string_view name, E&, const std::array<Choice<E>, N>& choices) {
    text += "[," + std::string(name) + "=" +
            alternatives(choices, usual_word(usual, name, choices)) + "]";
  }
  template <class... Field>
  void keyword_when(bool, Field&&... field) {
    keyword(std::forward<Field>(field)...);
  }
  template <class... Field>
  void shape_keyword(Field&&... field) {
    if (takes_shape) keyword(std::forward<Field>(field)...);
  }
  template <class E, std::size_t N>
  static std::string alternatives(const std::array<Choice<E>, N>& choices, std::string_view first) {
    std::string joined(first);
    for (const auto& choice : choices) {
      if (choice.word != first) joined += "|" + std::string(choice.word);
    }
    return joined;
  }
};

bool takes_shape(const FormatEntry& entry) { return entry.shape != FormatEntry::Shape::implied; }

template <class F, class V>
void visit_fields_of(const FormatEntry& entry, F& format, V& visitor) {
  if constexpr (std::is_same_v<F, Scaled>) {
    std::visit([&](auto& f) { visit_fields_of(entry, f, visitor); }, format.element);
  } else if constexpr (std::is_same_v<F, FixedPoint>) {
    switch (entry.shape) {
      case FormatEntry::Shape::integer:
        return visit_integer_fields(format, visitor);
      case FormatEntry::Shape::block_float:
        return visit_block_float_fields(format, visitor);
      case FormatEntry::Shape::given:
      case FormatEntry::Shape::implied:
        return visit_fields(format, visitor);
    }
  } else {
    visit_fields(format, visitor);
  }
}
template <class V>
void visit_fields_of(const FormatEntry& entry, Format& format, V& visitor) {
  std::visit([&](auto& f) { visit_fields_of(entry, f, visitor); }, format);
}

std::optional<Scale> implied_scale(const FormatEntry& entry) {
  const auto* scaled = std::get_if<Scaled>(&entry.prototype);
  return scaled == nullptr ? std::nullopt : std::optional(scaled->scale);
}

// What a name stands for; floats with scales saturate where the string does not say otherwise.
Format prototype_of(const FormatEntry& entry, bool is_scaled) {
  std::optional<ElementFormat> element = element_of(entry.prototype);
  if (!element) return entry.prototype;
  if (is_scaled) {
    if (auto* floating = std::get_if<FloatingPoint>(&*element)) {
      floating->overflow = FloatingPoint::Overflow::saturate;
    }
    if (auto* p3109 = std::get_if<P3109>(&*element)) p3109->overflow = P3109::Overflow::saturate;
  }
  return as_format(*element);
}

Words usual_words(const FormatEntry& entry, bool is_scaled) {
  WordCollector collector;
  Format prototype = prototype_of(entry, is_scaled);
  visit_fields_of(entry, prototype, collector);
  return collector.words;
}

}  // namespace

Format read_format(const FormatEntry& entry, SpecReader& reader) {
  const std::optional<Scale> implied = implied_scale(entry);
  Format format = prototype_of(entry, implied || reader.has_keyword("scale"));
  FieldReader visitor{reader, takes_shape(entry)};
  visit_fields_of(entry, format, visitor);
  const std::optional<ElementFormat> element = element_of(format);
  if (!element) return format;
  const std::optional<Scale> scale = read_scale(reader, implied, *element);
  return scale ? Format(Scaled{*element, *scale}) : format;
}

std::string write_format(const FormatEntry& entry, const Format& format,
                         std::map<std::string, std::string> keywords) {
  const auto* scaled = std::get_if<Scaled>(&format);
  if (scaled != nullptr) write_scale(scaled->scale, implied_scale(entry), keywords);
  FieldWriter visitor{takes_shape(entry), usual_words(entry, scaled != nullptr),
                      std::move(keywords)};
  Format copy = format;
  visit_fields_of(entry, copy, visitor);
  std::string text(entry.name);
  for (std::size_t i = 0; i < visitor.needed; ++i) text += "," + visitor.arguments[i];
  for (const auto& [name, value] : visitor.keywords) {
    text.append(",").append(name).append("=").append(value);
  }
  return text;
}

std::string element_spec(const ElementFormat& element) {
  const Format format = as_format(element);
  const auto writes = [&](const FormatEntry& entry) {
    if (entry.shape != FormatEntry::Shape::given) return false;
    // Names of fixed point say how to round.
    const auto* fixed = std::get_if<FixedPoint>(&format);
    const auto* named = std::get_if<FixedPoint>(&entry.prototype);
    return entry.prototype.index() == format.index() &&
           (fixed == nullptr || fixed->rounding == named->rounding);
  };
  const auto& list = format_list();
  const auto named = std::find_if(list.begin(), list.end(), writes);
  if (named != list.end()) return write_format(*named, format, {});
  // A name that always has a scale: with 1 it is the element format.
  const auto scaled = std::find_if(list.begin(), list.end(), [&](const FormatEntry& entry) {
    return element_of(entry.prototype) == element;
  });
  return std::string(scaled->name) + ",scale=1";
}

std::string format_usage(const FormatEntry& entry) {
  UsageWriter visitor{takes_shape(entry), usual_words(entry, implied_scale(entry).has_value()),
                      std::string(entry.name)};
  Format copy = entry.prototype;
  visit_fields_of(entry, copy, visitor);
  return visitor.text + (element_of(entry.prototype) ? scale_usage() : "");
}

}  // namespace tensorquant
