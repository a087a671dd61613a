#include "tensorquant/data/cifar10.h"

#include <cstdint>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"

namespace tensorquant {
namespace {

constexpr std::size_t kChannels = 3;
constexpr std::size_t kSide = 32;
constexpr std::size_t kPixels = kChannels * kSide * kSide;
constexpr std::size_t kRecord = 1 + kPixels;

}  // namespace

ImageDataset load_cifar10_dataset(const std::filesystem::path& path) {
  return parse_cifar10(read_file(path), path.string());
}

ImageDataset parse_cifar10(std::span<const std::byte> file, const std::string& source) {
  if (file.empty() || file.size() % kRecord != 0) {
    throw Error(source + ": expected CIFAR-10 records of " + std::to_string(kRecord) +
                " bytes, found " + std::to_string(file.size() / kRecord) + " of them and " +
                std::to_string(file.size() % kRecord) + " bytes more");
  }
  ImageDataset dataset = {.count = file.size() / kRecord,
                          .channels = kChannels,
                          .height = kSide,
                          .width = kSide,
                          .pixels = {},
                          .labels = {}};
  dataset.pixels.reserve(dataset.count * kPixels);
  dataset.labels.reserve(dataset.count);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(file.data());
  for (std::size_t i = 0; i < dataset.count; ++i) {
    const std::uint8_t* record = bytes + i * kRecord;
    if (record[0] >= dataset.classes) {
      throw Error(source + ": record " + std::to_string(i) + " (byte " +
                  std::to_string(i * kRecord) + "): label " + std::to_string(record[0]) +
                  ", expected 0 to 9");
    }
    dataset.labels.push_back(record[0]);
    dataset.pixels.insert(dataset.pixels.end(), record + 1, record + kRecord);
  }
  return dataset;
}

}  // namespace tensorquant
