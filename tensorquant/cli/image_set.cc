#include "tensorquant/cli/image_set.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "tensorquant/base/error.h"

namespace tensorquant::cli {

std::size_t samples_of_set(const ImageSet& set, std::size_t count) {
  if (count <= set.first) {
    throw Error(set.path + ": has " + std::to_string(count) + " images: none is left behind the " +
                std::to_string(set.first) + " first ones");
  }
  const std::size_t left = count - set.first;
  return set.images == 0 ? left : std::min(set.images, left);
}

nlohmann::ordered_json to_json(const ImageSet& set) {
  return {{"path", std::filesystem::absolute(set.path).string()},
          {"split", set.split == Split::train ? "train" : "test"},
          {"first", set.first},
          {"images", set.images}};
}

ImageSet image_set_in(const nlohmann::ordered_json& json) {
  const std::string split = json.value("split", "test");
  if (split != "train" && split != "test") throw Error("\"split\" is 'train' or 'test'");
  return {json.at("path"), split == "train" ? Split::train : Split::test,
          json.value("first", std::size_t{0}), json.value("images", std::size_t{0})};
}

ImageDataset part_of_images(ImageDataset data, std::size_t first, std::size_t count) {
  const std::size_t last = count == 0 ? data.count : first + count;
  const std::size_t pixels = data.pixels.size() / data.count;
  const auto keep = [first, last](auto& values, std::size_t of_image) {
    const auto begin = values.begin();
    values = {begin + static_cast<std::ptrdiff_t>(first * of_image),
              begin + static_cast<std::ptrdiff_t>(last * of_image)};
  };
  keep(data.pixels, pixels);
  keep(data.labels, 1);
  data.count = last - first;
  return data;
}

}  // namespace tensorquant::cli
