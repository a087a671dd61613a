#include "tensorquant/maps/json_text.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"

namespace tensorquant {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kDeepest = 16;
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kSeparators = " \t\r\n,:";

// Builds a JsonValue from the parser's events. The parser tells no positions of good tokens, but
// its events come in the order of the text: a cursor follows them from token to token.
class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(const JsonText& source, std::string_view text) : source_(source), text_(text) {}

  JsonValue take() { return std::move(root_); }

  bool null() override { return leaf(JsonValue::Type::null); }
  bool boolean(bool) override { return leaf(JsonValue::Type::boolean); }
  bool number_integer(number_integer_t) override { return leaf(JsonValue::Type::number); }
  bool number_unsigned(number_unsigned_t) override { return leaf(JsonValue::Type::number); }
  bool number_float(number_float_t, const string_t&) override {
    return leaf(JsonValue::Type::number);
  }
  bool binary(binary_t&) override { return false; }  // never in text
  bool string(string_t& decoded) override {
    place({JsonValue::Type::string, next_token(), std::move(decoded), {}});
    return true;
  }

  bool start_object(std::size_t) override { return open(JsonValue::Type::object); }
  bool start_array(std::size_t) override { return open(JsonValue::Type::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& decoded) override {
    const std::size_t offset = next_token();
    const auto [first, is_new] = keys_.back().try_emplace(decoded, offset);
    if (!is_new) {
      source_.fail(offset,
                   "duplicate key '" + decoded + "', first at " + source_.place(first->second));
    }
    open_.back()->members.push_back({std::move(decoded), offset, {}});
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception...] ... syntax error while parsing value - unexpected '}'; expected ..."
    std::string_view reason = error.what();
    if (const auto dash = reason.find(" - "); dash != reason.npos) {
      reason.remove_prefix(dash + 3);
    } else if (const auto bracket = reason.find("] "); bracket != reason.npos) {
      reason.remove_prefix(bracket + 2);
    }
    reason = reason.substr(0, reason.find("; last read"));

    std::size_t offset = std::min(text_.find_first_not_of(kSeparators, cursor_), text_.size());
    if (reason.starts_with("unexpected end of input")) {
      offset = text_.find_last_not_of(kSpace) + 1;
    } else if (is_one_character(reason, position)) {
      offset = position - 1;
    }
    source_.fail(offset, "not valid JSON: " + hint(offset, reason));
  }

 private:
  // Whether the fault is the character before `position`: a ',' or ':' too many, or one inside a
  // string. Other faults are shown where their token starts, a missing quote where the string does.
  bool is_one_character(std::string_view reason, std::size_t position) const {
    if (position == 0 || position > text_.size()) return false;
    return reason.starts_with("invalid string") ||
           (reason.starts_with("unexpected") &&
            kSeparators.find(text_[position - 1]) != kSeparators.npos);
  }

  // The offset of the token that the parser has just read; the cursor moves behind it.
  std::size_t next_token() {
    const std::size_t start = text_.find_first_not_of(kSeparators, cursor_);
    if (text_[start] == '"') {
      cursor_ = start + 1;
      while (text_[cursor_] != '"') cursor_ += text_[cursor_] == '\\' ? 2 : 1;
      ++cursor_;
    } else if (std::string_view("{}[]").find(text_[start]) != std::string_view::npos) {
      cursor_ = start + 1;
    } else {
      cursor_ = std::min(text_.find_first_of(" \t\r\n,:{}[]\"", start), text_.size());
    }
    return start;
  }

  JsonValue* place(JsonValue value) {
    JsonValue* slot = &root_;
    if (!open_.empty()) {
      JsonValue& parent = *open_.back();
      if (parent.type == JsonValue::Type::array) parent.members.emplace_back();
      slot = &parent.members.back().value;
    }
    *slot = std::move(value);
    return slot;
  }

  bool leaf(JsonValue::Type type) {
    const std::size_t offset = next_token();
    place({type, offset, std::string(text_.substr(offset, cursor_ - offset)), {}});
    return true;
  }

  bool open(JsonValue::Type type) {
    const std::size_t offset = next_token();
    if (open_.size() == kDeepest) source_.fail(offset, "nested too deeply");
    open_.push_back(place({type, offset, {}, {}}));
    keys_.emplace_back();
    return true;
  }

  bool close() {
    next_token();
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  std::string hint(std::size_t offset, std::string_view reason) const {
    const char found = offset < text_.size() ? text_[offset] : '\0';
    const auto before = offset == 0 ? text_.npos : text_.find_last_not_of(kSpace, offset - 1);
    const bool after_comma = before != text_.npos && text_[before] == ',';
    if (found == '/' || found == '#') return "comments are not allowed";
    if (found == '\'') return "strings take double quotes";
    if (after_comma && (found == '}' || found == ']')) {
      return std::string("no comma may stand before '") + found + "'";
    }
    if (found == '"' && reason.ends_with("expected '}'")) return "a comma is missing before this";
    return std::string(reason);
  }

  const JsonText& source_;
  std::string_view text_;
  std::size_t cursor_ = 0;
  JsonValue root_;
  std::vector<JsonValue*> open_;  // only the last one grows, so the pointers hold
  std::vector<std::unordered_map<std::string, std::size_t>> keys_;  // of the open ones
};

}  // namespace

std::string_view describe(JsonValue::Type type) {
  switch (type) {
    case JsonValue::Type::null:
      return "null";
    case JsonValue::Type::boolean:
      return "true or false";
    case JsonValue::Type::number:
      return "a number";
    case JsonValue::Type::string:
      return "a string";
    case JsonValue::Type::array:
      return "an array";
    case JsonValue::Type::object:
      break;
  }
  return "an object";
}

JsonText::JsonText(std::string_view text, std::string file) : file_(std::move(file)) {
  text_ = without_byte_order_mark(text, file_.empty() ? place(0) : file_);
}

JsonValue JsonText::parse() const {
  // The parser takes a NUL for the end of the text.
  if (const auto nul = text_.find('\0'); nul != text_.npos) {
    fail(nul, "not valid JSON: unexpected byte 0");
  }
  if (text_.find_first_not_of(kSpace) == text_.npos) {
    fail(0, file_.empty() ? "the text is empty" : "the file is empty");
  }
  TreeBuilder builder(*this, text_);
  Json::sax_parse(text_, &builder);
  return builder.take();
}

std::string JsonText::place(std::size_t offset) const {
  const std::string_view before = std::string_view(text_).substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::string_view row = before.substr(before.rfind('\n') + 1);  // npos + 1 == 0
  const auto column = 1 + std::count_if(row.begin(), row.end(), [](char c) {
                        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
                      });
  if (file_.empty()) return "line " + std::to_string(line) + ", column " + std::to_string(column);
  return file_ + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::size_t JsonText::offset_in_string(std::size_t offset, std::size_t index) const {
  const auto code_unit = [this](std::size_t at) {  // of "\uXXXX"
    unsigned value = 0;
    std::from_chars(text_.data() + at + 2, text_.data() + at + 6, value, 16);
    return value;
  };
  std::size_t at = offset + 1;
  for (std::size_t decoded = 0; decoded < index && text_[at] != '"';) {
    if (text_[at] != '\\') {
      at += 1;
      decoded += 1;
    } else if (text_[at + 1] != 'u') {
      at += 2;
      decoded += 1;
    } else if (const unsigned unit = code_unit(at); unit >= 0xD800 && unit < 0xDC00) {
      at += 12;  // a surrogate pair
      decoded += 4;
    } else {
      at += 6;
      decoded += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    }
  }
  return at;
}

void JsonText::fail(std::size_t offset, std::string_view reason) const {
  throw Error(place(offset) + ": " + std::string(reason));
}

std::string json_quoted(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tensorquant
