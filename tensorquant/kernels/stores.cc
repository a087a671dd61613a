#include "tensorquant/kernels/stores.h"

#include <unistd.h>

#include <atomic>
#include <optional>

namespace tensorquant {
namespace {

// Input and output share the cache. Where the system does not tell its size, that of a small one.
std::size_t half_of_last_level_cache() {
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return (bytes > 0 ? static_cast<std::size_t>(bytes) : std::size_t{8} << 20) / 2;
}

std::atomic<std::optional<Stores>> forced;

}  // namespace

Stores choose_stores(std::size_t bytes, bool in_place) {
  if (const std::optional<Stores> stores = forced) return *stores;
  static const std::size_t limit = half_of_last_level_cache();
  return !in_place && bytes >= limit ? Stores::streaming : Stores::cached;
}

ScopedStores::ScopedStores(Stores stores) { forced = stores; }
ScopedStores::~ScopedStores() { forced = std::nullopt; }

}  // namespace tensorquant
