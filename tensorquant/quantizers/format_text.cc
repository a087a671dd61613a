#include "tensorquant/quantizers/format_text.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tensorquant/quantizers/format_fields.h"

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
  void flag(std::string_view word, bool& value) { value = reader.flag(word); }
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

struct FieldWriter {
  bool takes_shape;
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
    if (value) add(std::string(word), true);
  }
  void flag_just_when(bool, std::string_view word, bool& value) { flag(word, value); }
  void keyword(std::string_view name, int& value, int when_left_out, int, int) {
    if (value != when_left_out) keywords[std::string(name)] = std::to_string(value);
  }
  template <class E, std::size_t N>
  void keyword(std::string_view name, E& value, const std::array<Choice<E>, N>& choices) {
    for (const auto& choice : choices) {
      if (choice.value == value && value != choices[0].value) {
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
    text += "[," + alternatives(choices) + "]";
  }
  void flag(std::string_view word, bool&) { text += "[," + std::string(word) + "]"; }
  void flag_just_when(bool, std::string_view word, bool& value) { flag(word, value); }
  void keyword(std::string_view name, int&, int, int, int) {
    text += "[," + std::string(name) + "=N]";
  }
  template <class E, std::size_t N>
  void keyword(std::string_view name, E&, const std::array<Choice<E>, N>& choices) {
    text += "[," + std::string(name) + "=" + alternatives(choices) + "]";
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
  static std::string alternatives(const std::array<Choice<E>, N>& choices) {
    std::string joined;
    for (const auto& choice : choices) {
      joined += (joined.empty() ? "" : "|") + std::string(choice.word);
    }
    return joined;
  }
};

template <class V>
void visit_fields_of(Format& format, V& visitor) {
  std::visit([&](auto& f) { visit_fields(f, visitor); }, format);
}

}  // namespace

Format read_format(const FormatEntry& entry, SpecReader& reader) {
  Format format = entry.prototype;
  FieldReader visitor{reader, entry.takes_shape};
  visit_fields_of(format, visitor);
  return format;
}

std::string write_format(const FormatEntry& entry, const Format& format,
                         std::map<std::string, std::string> keywords) {
  FieldWriter visitor{entry.takes_shape, std::move(keywords)};
  Format copy = format;
  visit_fields_of(copy, visitor);
  std::string text(entry.name);
  for (std::size_t i = 0; i < visitor.needed; ++i) text += "," + visitor.arguments[i];
  for (const auto& [name, value] : visitor.keywords) {
    text.append(",").append(name).append("=").append(value);
  }
  return text;
}

std::string format_usage(const FormatEntry& entry) {
  UsageWriter visitor{entry.takes_shape, std::string(entry.name)};
  Format copy = entry.prototype;
  visit_fields_of(copy, visitor);
  return visitor.text;
}

}  // namespace tensorquant
