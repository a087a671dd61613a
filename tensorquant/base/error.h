#ifndef TENSORQUANT_BASE_ERROR_H_
#define TENSORQUANT_BASE_ERROR_H_

#include <stdexcept>
#include <string>
#include <string_view>

namespace tensorquant {

// The text with what is no character on a line made visible: text.h. "\x0a" for a line's end.
std::string one_line(std::string_view text);

// Every error that this library throws for bad input: one line that names the place and the reason,
// whatever characters of the input it quotes.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string_view message) : std::runtime_error(one_line(message)) {}
};

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_ERROR_H_
