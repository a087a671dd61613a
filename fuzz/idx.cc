// IDX files, plain and gzip-compressed.

#include "tensorquant/data/idx.h"

#include "fuzz/input.h"
#include "tensorquant/data/array.h"

using namespace tensorquant;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  only_errors([&] {
    const IdxArray array = parse_idx(Input(data, size).bytes(), "file");
    require(element_count(array.shape) == array.values.size(), "the shape counts the values");
  });
  return 0;
}
