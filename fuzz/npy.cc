// .npy files.

#include "tensorquant/data/npy.h"

#include "fuzz/input.h"

using namespace tensorquant;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  only_errors([&] {
    const Array array = parse_npy(Input(data, size).bytes(), "file");
    require(byte_count(array.dtype, array.shape) == array.bytes.size(),
            "the shape counts the bytes");
  });
  return 0;
}
