#ifndef TENSORQUANT_BASE_TEXT_H_
#define TENSORQUANT_BASE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

// Text in UTF-8 that comes from outside, on its way in and on its way to a terminal.
namespace tensorquant {

// The text without UTF-8's byte order mark. Throws an Error, which begins with `source`, for a byte
// order mark of UTF-16 or UTF-32. Every reader of text begins here.
std::string_view without_byte_order_mark(std::string_view text, std::string_view source);

// one_line() of error.h makes everything visible, byte for byte, that would not stand on the line
// as a character: control characters, line separators, marks that turn the direction of writing,
// and bytes that are not UTF-8.

// one_line() of the text, with "..." for what comes after so many of its characters.
std::string shortened(std::string_view text, std::size_t characters);

// How many columns of a terminal a one_line() takes: 2 for a character of the blocks that hold
// Chinese, Japanese and Korean writing and emoji, 0 for one of the blocks of combining marks, 1 for
// every other. In no need of a locale; a terminal may know exceptions within a block.
std::size_t display_width(std::string_view line);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_TEXT_H_
