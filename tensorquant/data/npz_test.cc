#include "tensorquant/data/npz.h"

#include <gmock/gmock.h>

#include "tensorquant/base/test_files.h"
#include "tensorquant/data/npy.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string place(const std::string& name) { return (golden_folder() / name).string(); }

TEST(NpzTest, ReadsWhatNumpyWrites) {
  for (const char* name :
       {"npz/stored.npz", "npz/deflated.npz", "npz/piped.npz", "npz/zip64.npz"}) {
    const Array weight = read_array(place(name) + ":fc.weight");
    EXPECT_THAT(weight.shape, ElementsAre(2, 3)) << name;
    EXPECT_THAT(weight.as<float>(), ElementsAre(1, 2, 3, 4, 5, 6)) << name;
    const Array bias = parse_npz(golden(name), "fc.bias", "file");
    EXPECT_EQ(bias.dtype, DType::f16);
    EXPECT_EQ(bias.bytes, (Bytes{std::byte{0}, std::byte{0xbc}, std::byte{0}, std::byte{0x3c}}));
  }
}

TEST(NpzTest, TheOnlyArrayNeedsNoName) {
  EXPECT_THAT(read_array(place("npz/one.npz")).as<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(read_array(place("npz/one.npz") + ":arr_0").shape, (Shape{2, 3}));
  EXPECT_EQ(read_array(place("npz/other_files.npz")).bytes,
            read_npy(place("npy/f4_2x3.npy")).bytes);
}

TEST(NpzTest, AMissingOrAmbiguousNameIsAnErrorThatListsTheNames) {
  const std::string file = place("npz/stored.npz");
  EXPECT_EQ(error_of([&] { read_array(file); }),
            file + ": holds 2 arrays; add :NAME, one of fc.weight, fc.bias");
  EXPECT_EQ(error_of([&] { read_array(file + ":conv"); }),
            file + ": holds no array 'conv', but fc.weight, fc.bias");
  EXPECT_EQ(error_of([] { parse_npz(golden("npz/none.npz"), "", "file"); }),
            "file: holds no array");
}

class NpzFileTest : public FileTest {};

TEST_F(NpzFileTest, AFileIsWhatItsFirstBytesSay) {
  const auto copy = [this](const char* from, const char* to) {
    std::filesystem::copy_file(golden_folder() / from, folder / to);
    return (folder / to).string();
  };
  EXPECT_EQ(read_array(copy("npz/one.npz", "a.npy")).shape, (Shape{2, 3}));
  const std::string plain = copy("npy/f4_2x3.npy", "b.npz");
  EXPECT_EQ(read_array(plain).shape, (Shape{2, 3}));
  EXPECT_EQ(error_of([&] { read_array(plain + ":x"); }),
            plain + ": is not a .npz file: expected PK at its beginning");
  // A file may be named as if it were a member.
  EXPECT_EQ(read_array(copy("npy/i4_3.npy", "b.npz:x")).shape, Shape{3});
}

TEST(NpzTest, AFaultOfAMemberNamesIt) {
  const std::string file = place("npz/none.npz") + "2:x";
  EXPECT_THAT(error_of([&] { read_array(file); }), HasSubstr("No such file"));
  EXPECT_THAT(error_of([] { read_array(place("npz/bzip2.npz")); }),
              HasSubstr("bzip2.npz: member 'x.npy': is compressed by method 12"));
}

}  // namespace
}  // namespace tensorquant
