#ifndef TENSORQUANT_CLI_IMAGE_SET_H_
#define TENSORQUANT_CLI_IMAGE_SET_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "tensorquant/data/dataset.h"
#include "tensorquant/models/model.h"

namespace tensorquant::cli {

// Which images: so that another process can read them.
struct ImageSet {
  std::string path;
  Split split = Split::test;
  std::size_t first = 0, images = 0;  // 0: all that follow

  // Error if they do not fit the model, or if there are not as many.
  ImageDataset load(const ModelInfo& info) const;
};

nlohmann::ordered_json to_json(const ImageSet& set);
// Throws nlohmann's exceptions.
ImageSet image_set_in(const nlohmann::ordered_json& json);

// `count` images from the `first` on; 0: all that follow.
ImageDataset part_of_images(ImageDataset data, std::size_t first, std::size_t count);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_IMAGE_SET_H_
