#include "tensorquant/data/idx.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/data/gzip.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestHeader = 4 + 4 * 255;

struct Header {
  Shape shape;
  std::size_t size;    // of the header, in bytes
  std::size_t values;  // product of the shape
};

[[noreturn]] void fail(const std::string& source, const std::string& reason) {
  throw Error(source + ": " + reason);
}

std::string describe_type(unsigned type) {
  switch (type) {
    case 0x08:
      return "uint8";
    case 0x09:
      return "int8";
    case 0x0B:
      return "int16";
    case 0x0C:
      return "int32";
    case 0x0D:
      return "float32";
    case 0x0E:
      return "float64";
    default:
      return "unknown type " + std::to_string(type);
  }
}

Header parse_header(std::span<const std::byte> file, const std::string& source) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
  if (file.size() < 4) {
    fail(source, "expected an IDX header, the file ends at byte " + std::to_string(file.size()));
  }
  if (byte(0) != 0 || byte(1) != 0) {
    fail(source, "is not an IDX file: expected two zero bytes at its beginning");
  }
  if (byte(2) != 0x08) {
    fail(source, "byte 2: expected values of uint8, found " +
                     describe_type(static_cast<unsigned>(byte(2))));
  }
  const std::size_t rank = byte(3);
  Header header = {.shape = {}, .size = 4 + 4 * rank, .values = 0};
  if (file.size() < header.size) {
    fail(source, "expected " + std::to_string(rank) + " dimensions, the file ends at byte " +
                     std::to_string(file.size()));
  }
  for (std::size_t i = 4; i < header.size; i += 4) {
    header.shape.push_back(byte(i) << 24 | byte(i + 1) << 16 | byte(i + 2) << 8 | byte(i + 3));
  }
  const std::optional<std::size_t> count = element_count(header.shape);
  if (!count || *count > SIZE_MAX - kLongestHeader - 1) {
    fail(source, "dimensions " + to_string(header.shape) + ": their product overflows");
  }
  header.values = *count;
  return header;
}

IdxArray parse_plain(std::span<const std::byte> file, const std::string& source) {
  Header header = parse_header(file, source);
  const std::span<const std::byte> values = file.subspan(header.size);
  if (values.size() != header.values) {
    fail(source, "dimensions " + to_string(header.shape) + ": expected " +
                     std::to_string(header.values) + " values after byte " +
                     std::to_string(header.size) + ", found " +
                     (values.size() > header.values ? "more" : std::to_string(values.size())));
  }
  const auto* first = reinterpret_cast<const std::uint8_t*>(values.data());
  return {std::move(header.shape), {first, first + values.size()}};
}

// The file of a data set under one of the names that it goes by.
fs::path find(const fs::path& folder, const std::string& stem, const std::string& kind) {
  for (const char* separator : {"-", "."}) {
    for (const char* suffix : {"", ".gz"}) {
      fs::path path = folder / stem;
      path.concat(separator).concat(kind).concat(suffix);
      std::error_code error;
      if (fs::exists(path, error)) {
        return path;
      }
    }
  }
  fail((folder / (stem + "-" + kind)).string(), "is missing, and so is the same with .gz");
}

void expect_dimensions(const fs::path& path, const IdxArray& array, std::size_t rank,
                       const char* meaning) {
  if (array.shape.size() != rank || array.values.empty()) {
    fail(path.string(),
         "dimensions " + to_string(array.shape) + ", expected " + meaning + ", each at least 1");
  }
}

}  // namespace

IdxArray read_idx(const fs::path& path) { return parse_idx(read_file(path), path.string()); }

IdxArray parse_idx(std::span<const std::byte> file, const std::string& source) {
  if (!is_gzip(file)) {
    return parse_plain(file, source);
  }
  // The header first: it says how much to expect. One byte more than that shows that nothing
  // follows.
  const Header header = parse_header(gunzip(file, kLongestHeader, source), source);
  return parse_plain(gunzip(file, header.size + header.values + 1, source), source);
}

ImageDataset load_idx_dataset(const fs::path& folder, Split split) {
  const std::string prefix = split == Split::train ? "train-" : "t10k-";
  const fs::path image_path = find(folder, prefix + "images", "idx3-ubyte");
  const fs::path label_path = find(folder, prefix + "labels", "idx1-ubyte");
  IdxArray images = read_idx(image_path);
  IdxArray labels = read_idx(label_path);
  expect_dimensions(image_path, images, 3, "(images, height, width)");
  expect_dimensions(label_path, labels, 1, "(labels,)");
  if (labels.shape[0] != images.shape[0]) {
    fail(label_path.string(), std::to_string(labels.shape[0]) + " labels, expected " +
                                  std::to_string(images.shape[0]) + " as there are images in " +
                                  image_path.filename().string());
  }
  ImageDataset dataset = {.count = images.shape[0],
                          .channels = 1,
                          .height = images.shape[1],
                          .width = images.shape[2],
                          .pixels = std::move(images.values),
                          .labels = std::move(labels.values)};
  const auto beyond = [&dataset](std::uint8_t label) { return label >= dataset.classes; };
  const auto wrong = std::find_if(dataset.labels.begin(), dataset.labels.end(), beyond);
  if (wrong != dataset.labels.end()) {
    fail(label_path.string(), "record " + std::to_string(wrong - dataset.labels.begin()) +
                                  ": label " + std::to_string(*wrong) + ", expected 0 to 9");
  }
  return dataset;
}

}  // namespace tensorquant
