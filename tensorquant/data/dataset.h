#ifndef TENSORQUANT_DATA_DATASET_H_
#define TENSORQUANT_DATA_DATASET_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace tensorquant {

enum class Split { train, test };

// Labelled images, at least one. Image i is pixels[i * channels * height * width] and on, channel
// by channel, row by row.
struct ImageDataset {
  std::size_t count = 0;
  std::size_t channels = 0;
  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<std::uint8_t> pixels;  // (count, channels, height, width)
  std::vector<std::uint8_t> labels;  // (count), each below `classes`
  int classes = 10;
};

// A file is read as CIFAR-10 records (see cifar10.h), whatever the split; a folder as MNIST-style
// IDX files of that split (see idx.h). Error if the path does not exist.
ImageDataset load_image_dataset(const std::filesystem::path& path, Split split);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_DATASET_H_
