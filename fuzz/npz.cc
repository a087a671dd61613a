// .npz files, and the zip archives under them.

#include "tensorquant/data/npz.h"

#include "fuzz/input.h"
#include "tensorquant/data/zip.h"

using namespace tensorquant;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> file = Input(data, size).bytes();
  only_errors([&] {
    const Array array = parse_npz(file, "", "file");
    require(byte_count(array.dtype, array.shape) == array.bytes.size(),
            "the shape counts the bytes");
  });
  std::vector<ZipMember> members;
  only_errors([&] { members = zip_members(file, "file"); });
  members.resize(std::min<std::size_t>(members.size(), 4));
  for (const ZipMember& member : members) {
    only_errors([&] {
      require(unzip(file, member, "file").size() == member.size, "a member has its size");
    });
  }
  return 0;
}
