#ifndef TENSORQUANT_DATA_CIFAR10_H_
#define TENSORQUANT_DATA_CIFAR10_H_

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "tensorquant/data/dataset.h"

namespace tensorquant {

// The "binary version" of CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html): records of 3073
// bytes and nothing else, a label 0..9, then 32 x 32 pixels of red, of green and of blue, each row
// by row. Errors: the file is empty or ends inside a record; a label above 9, with the number of
// its record (from 0).
ImageDataset load_cifar10_dataset(const std::filesystem::path& path);

// The same for a file in memory; errors name `source`.
ImageDataset parse_cifar10(std::span<const std::byte> file, const std::string& source);

}  // namespace tensorquant

#endif  // TENSORQUANT_DATA_CIFAR10_H_
