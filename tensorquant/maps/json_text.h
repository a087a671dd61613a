#ifndef TENSORQUANT_MAPS_JSON_TEXT_H_
#define TENSORQUANT_MAPS_JSON_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tensorquant {

// A JSON value that remembers where it stands and in which order its members came.
struct JsonValue {
  enum class Type { null, boolean, number, string, array, object };
  struct Member;

  Type type = Type::null;
  std::size_t offset =
      0;  // of its first character, in bytes from the start of the text, behind a byte order mark
  std::string string;           // of a string, decoded; of a number or a word, as it is written
  std::vector<Member> members;  // of an object, all keys different; of an array, without keys
};

struct JsonValue::Member {
  std::string key;
  std::size_t offset = 0;  // of the key's opening quote
  JsonValue value;
};

// "null", "true or false", "a number", "a string", "an array", "an object"
std::string_view describe(JsonValue::Type type);

// A JSON text and where it came from. Private to maps/.
class JsonText {
 public:
  // A byte order mark is no part of the text. Throws an Error where it is UTF-16's or UTF-32's.
  explicit JsonText(std::string_view text, std::string file = {});

  // Throws an Error with the place for everything that is not strictly JSON: comments, a comma too
  // many, bytes that are not UTF-8, something after the value; for equal keys in one object, naming
  // both places; and for more than 16 levels.
  JsonValue parse() const;

  // "maps/8bit.json:3:15", or "line 3, column 15" without a file. Lines and columns count from 1,
  // columns in characters.
  std::string place(std::size_t offset) const;
  // The offset of byte `index` of the decoded string whose opening quote stands at `offset`.
  std::size_t offset_in_string(std::size_t offset, std::size_t index) const;
  [[noreturn]] void fail(std::size_t offset, std::string_view reason) const;

 private:
  std::string text_;
  std::string file_;
};

// The text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_JSON_TEXT_H_
