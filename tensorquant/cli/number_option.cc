#include "tensorquant/cli/number_option.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <locale>
#include <sstream>
#include <system_error>

#include "tensorquant/base/text.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant::cli {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

// Without spaces around and the underscores between digits; nothing where one stands elsewhere.
std::optional<std::string> plain(std::string_view text) {
  text = stripped(text);
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return digits;
}

// charconv does not say at which end a number left the range.
double beyond_range(const std::string& text) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  double value = 0;
  stream >> value;
  return std::abs(value) > 1 ? std::copysign(std::numeric_limits<double>::infinity(), value)
                             : value;
}

using Texts = std::vector<std::string>;

// The text in quotes, on one line, the end of a long one left out.
[[noreturn]] void refuse(const std::string& name, std::string_view text,
                         const std::string& expected) {
  throw CLI::ValidationError(name, "'" + shortened(stripped(text), 40) + "' is not " + expected);
}

template <class T>
std::string decimal(T value) {
  if constexpr (std::integral<T>) {
    return std::to_string(value);
  } else {
    return shortest_decimal(value);
  }
}

// What all options with numbers share: `read` gives the number of a text, or nothing.
template <class T>
CLI::Option* add(CLI::App& app, const std::string& name, std::vector<T>& values,
                 const std::string& description, const std::string& type,
                 const std::string& expected,
                 const std::function<std::optional<T>(std::string_view)>& read) {
  const auto set = [=, &values](const Texts& texts) {
    std::vector<T> numbers;
    for (const std::string& text : texts) {
      const std::optional<T> number = read(text);
      if (!number) refuse(name, text, expected);
      numbers.push_back(*number);
    }
    values = std::move(numbers);
    return true;
  };
  const auto show = [&values] {
    std::string text;
    for (const T value : values) text += (text.empty() ? "" : ",") + decimal(value);
    return text;
  };
  return app.add_option(name, set, description, /*defaulted=*/false, show)
      ->type_name(type)
      ->expected(CLI::detail::expected_max_vector_size);
}

template <class T>
CLI::Option* add(CLI::App& app, const std::string& name, T& value, const std::string& description,
                 const std::string& type, const std::string& expected,
                 const std::function<std::optional<T>(std::string_view)>& read) {
  const auto set = [=, &value](const Texts& texts) {
    const std::optional<T> number = read(texts.back());
    if (!number) refuse(name, texts.back(), expected);
    value = *number;
    return true;
  };
  return app
      .add_option(name, set, description, /*defaulted=*/false, [&value] { return decimal(value); })
      ->type_name(type);
}

template <class T>
std::string type_of(Limits<T> limits) {
  const std::string type = std::unsigned_integral<T> ? "UINT" : "INT";
  const bool is_all = limits.lowest == std::numeric_limits<T>::min() &&
                      limits.highest == std::numeric_limits<T>::max();
  if (is_all) return type;
  if (limits.highest == std::numeric_limits<T>::max()) {
    return type + " (>= " + std::to_string(limits.lowest) + ")";
  }
  return type + " (" + std::to_string(limits.lowest) + " to " + std::to_string(limits.highest) +
         ")";
}

template <class T>
std::string expected_of(Limits<T> limits) {
  return "a whole number from " + std::to_string(limits.lowest) + " to " +
         std::to_string(limits.highest);
}

template <class T>
std::function<std::optional<T>(std::string_view)> reader_of(Limits<T> limits) {
  return [limits](std::string_view text) {
    const std::optional<T> number = read_whole<T>(text);
    const bool fits = number && *number >= limits.lowest && *number <= limits.highest;
    return fits ? number : std::nullopt;
  };
}

}  // namespace

template <std::integral T>
std::optional<T> read_whole(std::string_view text) {
  std::optional<std::string> digits = plain(text);
  if (!digits) return std::nullopt;
  const bool has_sign = digits->starts_with('+') || digits->starts_with('-');
  const std::string_view magnitude = std::string_view(*digits).substr(has_sign ? 1 : 0);
  if (magnitude.empty() || !std::all_of(magnitude.begin(), magnitude.end(), is_digit)) {
    return std::nullopt;
  }
  // charconv reads no '+', and no "-0" as an unsigned number.
  const bool is_zero = magnitude.find_first_not_of('0') == std::string_view::npos;
  const bool is_negative = digits->starts_with('-') && !is_zero;
  const std::string signed_digits = (is_negative ? "-" : "") + std::string(magnitude);
  T number = 0;
  const char* const end = signed_digits.data() + signed_digits.size();
  const auto [stop, error] = std::from_chars(signed_digits.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<double> read_real(std::string_view text) {
  std::optional<std::string> digits = plain(text);
  if (!digits || digits->find('(') != std::string::npos) return std::nullopt;  // "nan(1)"
  if (digits->starts_with('+')) {
    digits->erase(0, 1);
    if (digits->starts_with('-')) return std::nullopt;
  }
  double number = 0;
  const char* const end = digits->data() + digits->size();
  const auto [stop, error] = std::from_chars(digits->data(), end, number);
  if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
  return error == std::errc::result_out_of_range ? beyond_range(*digits) : number;
}

template <std::integral T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value,
                        const std::string& description, Limits<T> limits) {
  return add<T>(app, name, value, description, type_of(limits), expected_of(limits),
                reader_of(limits));
}

template <std::integral T>
CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<T>& values,
                         const std::string& description, Limits<T> limits) {
  return add<T>(app, name, values, description, type_of(limits), expected_of(limits),
                reader_of(limits));
}

CLI::Option* add_positive(CLI::App& app, const std::string& name, double& value,
                          const std::string& description) {
  const auto read = [](std::string_view text) {
    const std::optional<double> number = read_real(text);
    return number && *number > 0 && std::isfinite(*number) ? number : std::nullopt;
  };
  return add<double>(app, name, value, description, "FLOAT (> 0)", "a finite number above 0", read);
}

CLI::Option* add_numbers(CLI::App& app, const std::string& name, std::vector<double>& values,
                         const std::string& description) {
  return add<double>(app, name, values, description, "FLOAT", "a number", read_real);
}

template std::optional<int> read_whole(std::string_view);
template std::optional<std::uint64_t> read_whole(std::string_view);
template CLI::Option* add_number(CLI::App&, const std::string&, int&, const std::string&,
                                 Limits<int>);
template CLI::Option* add_number(CLI::App&, const std::string&, std::uint32_t&, const std::string&,
                                 Limits<std::uint32_t>);
template CLI::Option* add_number(CLI::App&, const std::string&, std::uint64_t&, const std::string&,
                                 Limits<std::uint64_t>);
template CLI::Option* add_numbers(CLI::App&, const std::string&, std::vector<std::uint64_t>&,
                                  const std::string&, Limits<std::uint64_t>);

std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  for (std::string& argument : arguments) {
    const bool looks_like_option =
        argument.size() > 1 && argument[0] == '-' && !is_digit(argument[1]);
    if (looks_like_option && read_real(argument)) argument.insert(0, " ");
  }
  return arguments;
}

}  // namespace tensorquant::cli
