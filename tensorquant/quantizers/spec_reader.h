#ifndef TENSORQUANT_QUANTIZERS_SPEC_READER_H_
#define TENSORQUANT_QUANTIZERS_SPEC_READER_H_

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tensorquant {

// The parts of a quantizer string "name,argument,...,keyword=value,...", which a factory takes one
// by one: arguments in their order, keywords by name. Everything is lower-cased and spaces around
// parts are dropped. All functions throw a SpecError that points at the fault.
class SpecReader {
 public:
  explicit SpecReader(std::string_view spec);

  const std::string& name() const { return name_.text; }
  // The whole string, as it was given.
  const std::string& spec() const { return spec_; }

  // The next argument, which must be there. `meaning` names it in messages: "W".
  int integer(std::string_view meaning, int lowest, int highest);
  // A finite number; `positive` leaves out zero, which is the lowest one otherwise.
  double number(std::string_view meaning, bool positive);
  // The next argument where it is one of the choices; the first choice where no argument is left.
  std::size_t choice(std::string_view meaning, std::span<const std::string_view> choices);
  // Whether the next argument is the word, which it then takes.
  bool flag(std::string_view word);
  bool has_argument() const { return next_argument_ < arguments_.size(); }

  // A keyword's value; nothing where it is not given.
  std::optional<int> integer_keyword(std::string_view keyword, int lowest, int highest);
  std::optional<double> number_keyword(std::string_view keyword);
  // A number or one of the choices.
  std::optional<std::variant<double, std::size_t>> number_or_choice_keyword(
      std::string_view keyword, std::span<const std::string_view> choices);
  std::optional<std::size_t> choice_keyword(std::string_view keyword,
                                            std::span<const std::string_view> choices);

  // Whether a keyword is given, which stays to be taken.
  bool has_keyword(std::string_view keyword) const;

  // All that has not been taken, for factories that read it by rules of their own.
  std::vector<std::string> take_arguments();
  std::vector<std::pair<std::string, std::string>> take_keywords();

  // Throws where an argument or keyword has not been taken. Every factory's strings end with this;
  // make_quantizer calls it.
  void expect_all_taken() const;

  // Throws a SpecError that points at the name.
  [[noreturn]] void fail(const std::string& reason) const;
  // The same, at the value of a keyword that was given.
  [[noreturn]] void fail_at(std::string_view keyword, const std::string& reason) const;

 private:
  struct Part {
    std::string text;
    std::size_t column;  // of its first character, from 1
  };
  struct Keyword {
    Part name;
    Part value;
    bool taken = false;
  };

  Part part(std::size_t begin, std::size_t end) const;
  const Part& next(std::string_view meaning, const std::string& expected);
  const Part* take(std::string_view keyword);
  int parse_integer(const Part& part, const std::string& expected, int lowest, int highest) const;
  double parse_number(const Part& part, const std::string& expected) const;
  std::size_t parse_choice(const Part& part, std::string_view meaning,
                           std::span<const std::string_view> choices) const;
  [[noreturn]] void fail_expecting(const Part& part, const std::string& expected) const;

  std::string spec_;
  Part name_;
  std::vector<Part> arguments_;
  std::vector<Keyword> keywords_;
  std::size_t next_argument_ = 0;
  std::vector<std::string> known_keywords_;  // those that the factory has asked for, for messages
};

// In lower case. ASCII alone: a quantizer string means the same in every locale.
std::string lower_case(std::string_view text);

// The shortest decimal that reads back as the same double: "0.5", "1e-30".
std::string shortest_decimal(double x);

// Among the names the one that a typing error is most likely to have come from; empty where none is
// near.
std::string nearest_name(std::string_view name, std::span<const std::string> names);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_SPEC_READER_H_
