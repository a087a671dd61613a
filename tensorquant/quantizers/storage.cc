#include "tensorquant/quantizers/storage.h"

#include <variant>

#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {
namespace {

int bits_of_scale(const Scale& scale, int value_bits, int type_bits) {
  if (scale.is_power_of_two() || scale.rule == Scale::Rule::e4m3) return 8;
  return type_bits + (scale.rule == Scale::Rule::range ? value_bits : 0);
}

}  // namespace

std::optional<double> Storage::bits_per_value() const {
  if (scale_bits == 0) return value_bits;
  if (block == 0) return std::nullopt;
  return value_bits + static_cast<double>(scale_bits) / block;
}

template <class T>
std::optional<Storage> storage(const Format& format) {
  const auto* scaled = std::get_if<Scaled>(&format);
  const FormatFacts f = scaled != nullptr ? facts<T>(scaled->element) : facts<T>(format);
  if (!f.bits && !f.count) return std::nullopt;
  Storage storage{.value_bits = f.bits ? *f.bits : bits_for(*f.count)};
  if (scaled == nullptr || !finds_scales(*scaled)) return storage;
  constexpr int kTypeBits = 8 * sizeof(T);
  storage.scale_bits = bits_of_scale(scaled->scale, storage.value_bits, kTypeBits);
  storage.block = scaled->scale.block;
  return storage;
}

std::string to_string(const Storage& storage) {
  const std::string value = std::to_string(storage.value_bits);
  if (storage.scale_bits == 0) return value;
  const std::optional<double> all = storage.bits_per_value();
  return all ? shortest_decimal(*all) + " with the scales"
             : value + ", and " + std::to_string(storage.scale_bits) + " for each scale";
}

template std::optional<Storage> storage<float>(const Format&);
template std::optional<Storage> storage<double>(const Format&);

}  // namespace tensorquant
