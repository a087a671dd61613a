#ifndef TENSORQUANT_MODELS_TEST_IMAGES_H_
#define TENSORQUANT_MODELS_TEST_IMAGES_H_

#include <cstddef>
#include <cstdint>

#include "tensorquant/base/random.h"
#include "tensorquant/data/dataset.h"
#include "tensorquant/models/model.h"

namespace tensorquant {

// Noise in which each class has a bright patch of its own: a network learns it in a few steps.
inline ImageDataset test_images(const ModelInfo& info, std::size_t count) {
  ImageDataset data;
  data.count = count;
  data.channels = static_cast<std::size_t>(info.channels);
  data.height = static_cast<std::size_t>(info.height);
  data.width = static_cast<std::size_t>(info.width);
  const std::size_t size = data.channels * data.height * data.width;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t label = i % 10;
    data.labels.push_back(static_cast<std::uint8_t>(label));
    for (std::size_t p = 0; p < size; ++p) {
      const std::uint32_t noise = random_word({.seed = i}, p) >> 26;
      const bool patch = (p / 28) % 10 == label;
      data.pixels.push_back(static_cast<std::uint8_t>(noise + (patch ? 128 : 0)));
    }
  }
  return data;
}

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_TEST_IMAGES_H_
