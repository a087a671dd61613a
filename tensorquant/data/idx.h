#ifndef TENSORQUANT_DATA_IDX_H_
#define TENSORQUANT_DATA_IDX_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/data/array.h"
#include "tensorquant/data/dataset.h"

namespace tensorquant {

// IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist/): two zero bytes, the type of the
// values (8 is uint8), the number of dimensions, each dimension as 32 bits big-endian, then the
// values in C order. The file may be gzip-compressed, whatever its name.
struct IdxArray {
  Shape shape;
  std::vector<std::uint8_t> values;
};

// Errors: not IDX, values of another type than uint8, fewer or more values than the dimensions say,
// damaged gzip data.
IdxArray read_idx(const std::filesystem::path& path);

// The same for a file in memory; errors name `source`.
IdxArray parse_idx(std::span<const std::byte> file, const std::string& source);

// Images and labels from a folder with files named as those of MNIST: train-images-idx3-ubyte and
// train-labels-idx1-ubyte, or t10k-* for the test split, each also with a dot before "idx" and with
// .gz at the end. Images are (count, height, width), labels (count), all dimensions at least 1.
// Errors: a missing file, other dimensions, unequal counts, a label above 9 with the number of its
// record (from 0).
ImageDataset load_idx_dataset(const std::filesystem::path& folder, Split split);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_IDX_H_
