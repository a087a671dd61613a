#ifndef TENSORQUANT_QUANTIZERS_STORAGE_H_
#define TENSORQUANT_QUANTIZERS_STORAGE_H_

#include <optional>
#include <string>

#include "tensorquant/formats/format.h"

namespace tensorquant {

// The bits that a tensor takes in memory.
struct Storage {
  int value_bits = 0;  // of a number without its scale
  // Of each scale that is found in the tensor, with its zero point; 0 where there is none.
  int scale_bits = 0;
  int block = 0;  // numbers that share a scale; 0 where the tensor's shape decides

  // With the scales; nothing where the tensor's shape decides.
  std::optional<double> bits_per_value() const;
  bool operator==(const Storage&) const = default;
};

// In a tensor of type T; nothing where it is T's own.
template <class T>
std::optional<Storage> storage(const Format& format);

// "4.25 with the scales", "8, and 32 for each scale", "8".
std::string to_string(const Storage& storage);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_STORAGE_H_
