#ifndef TENSORQUANT_CLI_NUMBER_OPTION_H_
#define TENSORQUANT_CLI_NUMBER_OPTION_H_

#include <CLI/CLI.hpp>
#include <concepts>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The numbers of the command line, options and arguments alike: decimal, as Python's int() and
// float() read ASCII text. Spaces around, a sign and an underscore between two digits are taken,
// leading zeros mean nothing. CLI11's own conversion would read 010 as 8 and clamp what is too
// large.
namespace tensorquant::cli {

// Nothing where the text is no whole number or does not fit T.
template <std::integral T>
std::optional<T> read_whole(std::string_view text);

// Infinities and NaN are "inf", "infinity" and "nan" in any case. What is too large is infinite.
std::optional<double> read_real(std::string_view text);

template <std::integral T>
struct Limits {
  T lowest = std::numeric_limits<T>::min();
  T highest = std::numeric_limits<T>::max();
};

// A number that is set from the last text given. Every fault is one line, a CLI::ValidationError
// that quotes the text and names the limits.
template <std::integral T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value,
                        const std::string& description, Limits<T> limits = {});
// Finite and above 0.
CLI::Option* add_positive(CLI::App& app, const std::string& name, double& value,
                          const std::string& description);

// A list of one number or more.
template <std::integral T>
CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<T>& values,
                         const std::string& description, Limits<T> limits = {});
CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<double>& values,
                         const std::string& description);

// The arguments of main() without the program's name. A number such as -.5 or -inf, which would
// pass for an option, gets a space before it, which no number minds.
std::vector<std::string> arguments_of(int argc, char** argv);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_NUMBER_OPTION_H_
