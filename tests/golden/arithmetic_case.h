#ifndef TENSORQUANT_TESTS_GOLDEN_ARITHMETIC_CASE_H_
#define TENSORQUANT_TESTS_GOLDEN_ARITHMETIC_CASE_H_

// What the cases of arithmetic*.jsonl have in common.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/base/bits.h"

namespace tensorquant {

// Bit patterns as hexadecimal digits, one after the other.
template <class T>
std::vector<T> values_of(const nlohmann::json& text) {
  const auto digits = text.get<std::string>();
  constexpr std::size_t kDigits = 2 * sizeof(T);
  std::vector<T> values;
  for (std::size_t i = 0; i + kDigits <= digits.size(); i += kDigits) {
    values.push_back(
        from_bits<T>(static_cast<BitsOf<T>>(std::stoull(digits.substr(i, kDigits), nullptr, 16))));
  }
  return values;
}

template <class T>
std::vector<T> optional_values(const nlohmann::json& entry, const char* key) {
  return entry.contains(key) && !entry[key].is_null() ? values_of<T>(entry[key]) : std::vector<T>();
}

template <class T>
const T* pointer(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

inline std::optional<OuterSum> outer_of(const nlohmann::json& entry) {
  if (!entry.contains("outer")) return {};
  const nlohmann::json& outer = entry["outer"];
  return OuterSum{make_quantizer(outer.value("accumulator", "none")), outer.value("every", 0)};
}

inline std::optional<int> optional_number(const nlohmann::json& entry, const char* key) {
  if (!entry.contains(key) || entry[key].is_null()) return {};
  return entry[key].get<int>();
}

// How a case rounds.
inline Arithmetic arithmetic_of(const nlohmann::json& entry) {
  Arithmetic arithmetic =
      make_arithmetic(*make_quantizer(entry["product"].get<std::string>()),
                      *make_quantizer(entry["accumulator"].get<std::string>()),
                      make_accumulate(entry["accumulate"].get<std::string>()), outer_of(entry),
                      make_tap_order(entry.value("order", "channel")));
  arithmetic.data_min_exponent = optional_number(entry, "data_min_exponent");
  arithmetic.weight_min_exponent = optional_number(entry, "weight_min_exponent");
  return arithmetic;
}
inline ArithmeticContext context_of(const nlohmann::json& entry) {
  return {entry["seed"], entry["product_stream"], entry["accumulator_stream"], entry["step"]};
}

}  // namespace tensorquant

#endif  // TENSORQUANT_TESTS_GOLDEN_ARITHMETIC_CASE_H_
