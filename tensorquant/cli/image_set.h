#ifndef TENSORQUANT_CLI_IMAGE_SET_H_
#define TENSORQUANT_CLI_IMAGE_SET_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "tensorquant/data/dataset.h"

namespace tensorquant::cli {

// Which images, or other samples: so that another process can read them.
struct ImageSet {
  std::string path;
  Split split = Split::test;
  std::size_t first = 0, images = 0;  // 0: all that follow
};

// How many of them there are in a file that has `count`. Error if there is none.
std::size_t samples_of_set(const ImageSet& set, std::size_t count);

nlohmann::ordered_json to_json(const ImageSet& set);
// Throws nlohmann's exceptions.
ImageSet image_set_in(const nlohmann::ordered_json& json);

// `count` images from the `first` on; 0: all that follow.
ImageDataset part_of_images(ImageDataset data, std::size_t first, std::size_t count);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_IMAGE_SET_H_
