#ifndef TENSORQUANT_QUANTIZERS_QUANTIZER_REPORT_H_
#define TENSORQUANT_QUANTIZERS_QUANTIZER_REPORT_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/storage.h"

namespace tensorquant {

// How a quantizer's format has fitted the numbers that it was given. Those that are not finite do
// not count.
struct QuantizerReport {
  std::optional<Storage> storage = {};  // what the format takes in memory; see storage()
  std::uint64_t values = 0;
  std::uint64_t nonzero = 0;  // of the values
  // Of the values, those that lie beyond the format's ends also once they are rounded, whatever
  // then becomes of them; see overflows(). Nothing for a user's own quantizer, whose ends nobody
  // knows.
  std::optional<std::uint64_t> saturated = 0;
  std::uint64_t became_zero = 0;  // of the nonzero values
  // The extreme values; infinite, the wrong way round, where there are none.
  double lowest = std::numeric_limits<double>::infinity();
  double highest = -std::numeric_limits<double>::infinity();

  // Of the values, and of the nonzero ones; nothing where there are none, or nobody knows.
  std::optional<double> saturated_share() const;
  std::optional<double> became_zero_share() const;

  void merge(const QuantizerReport& other);
};

// Of the call quantizer.quantize(x, out, context), which is made on the way. T is float, double,
// Float16 or BFloat16.
template <class T>
QuantizerReport report_of(const Quantizer& quantizer, std::span<const T> x,
                          const Context& context = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_QUANTIZER_REPORT_H_
