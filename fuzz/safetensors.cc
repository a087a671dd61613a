// Safetensors files.

#include "tensorquant/data/safetensors.h"

#include "fuzz/input.h"

using namespace tensorquant;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  only_errors([&] {
    std::size_t total = 0;
    for (const auto& [name, array] : parse_safetensors(Input(data, size).bytes(), "file").tensors) {
      require(byte_count(array.dtype, array.shape) == array.bytes.size(),
              "the shape counts the bytes");
      total += array.bytes.size();
    }
    require(total <= size, "the tensors are parts of the file");
  });
  return 0;
}
