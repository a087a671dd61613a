#include "tensorquant/data/dataset.h"

#include <string>
#include <system_error>

#include "tensorquant/base/error.h"
#include "tensorquant/data/cifar10.h"
#include "tensorquant/data/idx.h"

namespace tensorquant {

ImageDataset load_image_dataset(const std::filesystem::path& path, Split split) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw Error(path.string() +
                ": does not exist; expected a file of CIFAR-10 records or a folder with IDX files");
  }
  return std::filesystem::is_directory(status) ? load_idx_dataset(path, split)
                                               : load_cifar10_dataset(path);
}

}  // namespace tensorquant
