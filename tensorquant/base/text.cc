#include "tensorquant/base/text.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

// A code point and its bytes; no bytes where the text does not begin with a character of UTF-8.
struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;
};

Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead < 0xC2   ? 0
                            : lead < 0xE0 ? 2
                            : lead < 0xF0 ? 3
                            : lead < 0xF5 ? 4
                                          : 0;
  if (bytes == 0 || bytes > text.size()) return {};
  std::uint32_t code = lead & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return {};
    code = code << 6 | (next & 0x3Fu);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLeast[bytes] || is_surrogate || code > 0x10FFFF) return {};
  return {code, bytes};
}

struct Block {
  std::uint32_t first, last;
};

template <std::size_t size>
bool is_in(const Block (&blocks)[size], std::uint32_t code) {
  return std::any_of(std::begin(blocks), std::end(blocks), [code](const Block& block) {
    return code >= block.first && code <= block.last;
  });
}

// Controls, line and paragraph separators, marks of direction, the byte order mark.
constexpr Block kInvisible[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0x200E, 0x200F},
                                {0x2028, 0x202E}, {0x2066, 0x2069}, {0xFEFF, 0xFEFF}};
// Combining diacritical marks and their supplements, zero-width characters, variation selectors.
constexpr Block kCombining[] = {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x1AB0, 0x1AFF},
                                {0x1DC0, 0x1DFF}, {0x200B, 0x200D}, {0x20D0, 0x20FF},
                                {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xE0100, 0xE01EF}};
// Blocks whose characters have the East Asian Width W or F (Unicode Standard Annex 11).
constexpr Block kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0x33FF},
                           {0x3400, 0x4DBF},   {0x4E00, 0xA4CF},   {0xA960, 0xA97F},
                           {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
                           {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
                           {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

void append_escaped(std::string& line, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    line += "\\x";
    line += kDigits[byte >> 4];
    line += kDigits[byte & 15];
  }
}

// Calls `use` with each character and its bytes; what is none comes as a byte without a code.
template <class Use>
void for_each_character(std::string_view text, const Use& use) {
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, std::max<std::size_t>(character.bytes, 1));
    use(character, bytes);
    text.remove_prefix(bytes.size());
  }
}

}  // namespace

std::string_view without_byte_order_mark(std::string_view text, std::string_view source) {
  using namespace std::string_view_literals;
  if (text.starts_with("\xEF\xBB\xBF"sv)) return text.substr(3);
  const auto refuse = [source](const std::string& encoding) {
    throw Error(std::string(source) + ": the text is " + encoding + ", expected UTF-8");
  };
  // UTF-32's mark of little-endian text begins with UTF-16's.
  if (text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0\xFE\xFF"sv)) refuse("UTF-32");
  if (text.starts_with("\xFF\xFE"sv) || text.starts_with("\xFE\xFF"sv)) refuse("UTF-16");
  return text;
}

std::string one_line(std::string_view text) {
  std::string line;
  for_each_character(text, [&](const Character& character, std::string_view bytes) {
    if (character.bytes == 0 || is_in(kInvisible, character.code)) {
      append_escaped(line, bytes);
    } else {
      line += bytes;
    }
  });
  return line;
}

std::string shortened(std::string_view text, std::size_t characters) {
  const std::string line = one_line(text);
  std::size_t count = 0, end = 0;
  for_each_character(line, [&](const Character&, std::string_view bytes) {
    if (count++ < characters) end += bytes.size();
  });
  return count > characters ? line.substr(0, end) + "..." : line;
}

std::size_t display_width(std::string_view line) {
  std::size_t columns = 0;
  for_each_character(line, [&](const Character& character, std::string_view) {
    columns += is_in(kCombining, character.code) ? 0 : is_in(kWide, character.code) ? 2 : 1;
  });
  return columns;
}

}  // namespace tensorquant
