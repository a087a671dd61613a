#include "tensorquant/data/zip.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <cstring>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

Bytes unzipped(const Bytes& file, std::size_t index = 0) {
  return unzip(file, zip_members(file, "file").at(index), "file");
}

// Where the last record with this signature begins.
std::size_t place_of(const Bytes& file, const std::string& signature) {
  const std::string text(reinterpret_cast<const char*>(file.data()), file.size());
  return text.rfind(signature);
}

// The file with a number written over what stands `at` bytes after the last such signature.
template <class T>
Bytes with(Bytes file, const std::string& signature, std::size_t at, T value) {
  std::memcpy(file.data() + place_of(file, signature) + at, &value, sizeof value);
  return file;
}

const std::string kEntry = "PK\x01\x02", kEnd = "PK\x05\x06", kHeader = "PK\x03\x04";

TEST(ZipTest, UnpacksStoredAndDeflatedMembers) {
  for (const char* name :
       {"npz/stored.npz", "npz/deflated.npz", "npz/piped.npz", "npz/zip64.npz"}) {
    const Bytes file = golden(name);
    EXPECT_TRUE(is_zip(file));
    const std::vector<ZipMember> members = zip_members(file, "file");
    ASSERT_EQ(members.size(), 2U) << name;
    EXPECT_EQ(members[0].name, "fc.weight.npy");
    EXPECT_EQ(members[1].name, "fc.bias.npy");
    EXPECT_EQ(members[0].size, 128U + 24U);
    EXPECT_EQ(unzip(file, members[0], "file"), unzipped(golden("npz/stored.npz"))) << name;
  }
}

TEST(ZipTest, ReadsAnArchiveWithAComment) {
  EXPECT_EQ(unzipped(golden("npz/other_files.npz"), 1), golden("npy/f4_2x3.npy"));
}

TEST(ZipTest, ReadsAnEmptyArchive) {
  EXPECT_TRUE(is_zip(golden("npz/none.npz")));
  EXPECT_TRUE(zip_members(golden("npz/none.npz"), "file").empty());
}

TEST(DamagedZipTest, EveryCutIsAnError) {
  for (const char* name :
       {"npz/stored.npz", "npz/deflated.npz", "npz/zip64.npz", "npz/piped.npz"}) {
    expect_error_at_every_shorter_size(golden(name), [](const Bytes& file) { unzipped(file); });
  }
}

TEST(DamagedZipTest, NoChangedByteDoesHarm) {
  for (const char* name : {"npz/deflated.npz", "npz/zip64.npz"}) {
    const Bytes file = golden(name), sound = unzipped(file);
    expect_no_harm_from_any_changed_byte(
        file, file.size(), [&](const Bytes& changed) { EXPECT_EQ(unzipped(changed), sound); });
  }
}

TEST(DamagedZipTest, AWrongCheckSumIsAnError) {
  EXPECT_EQ(error_of([] { unzipped(with<std::uint8_t>(golden("npz/one.npz"), kEntry, 16, 0)); }),
            "file: member 'arr_0.npy': is damaged: its check sum is wrong");
  Bytes file = golden("npz/stored.npz");
  file[200] ^= std::byte{1};
  EXPECT_THAT(error_of([&] { unzipped(file); }), HasSubstr("check sum"));
}

TEST(DamagedZipTest, AnotherSizeThanTheDirectorySaysIsAnError) {
  for (const std::uint32_t size : {0, 151, 153, 1 << 20}) {
    EXPECT_EQ(
        error_of([&] { unzipped(with<std::uint32_t>(golden("npz/one.npz"), kEntry, 24, size)); }),
        "file: member 'arr_0.npy': does not unpack to the " + std::to_string(size) +
            " bytes that it should have");
  }
}

TEST(DamagedZipTest, ABombIsRefusedBeforeItIsUnpacked) {
  const Bytes bomb = with<std::uint32_t>(golden("npz/one.npz"), kEntry, 24, 0xfffffff0);
  EXPECT_THAT(error_of([&] { unzipped(bomb); }),
              HasSubstr(" to 4294967280 bytes, which is too much to be taken on trust"));
}

TEST(DamagedZipTest, EncryptionAndOtherMethodsAreNamed) {
  EXPECT_EQ(error_of([] { unzipped(golden("npz/bzip2.npz")); }),
            "file: member 'x.npy': is compressed by method 12, expected stored (0) or deflated "
            "(8)");
  EXPECT_EQ(error_of([] { unzipped(with<std::uint16_t>(golden("npz/one.npz"), kEntry, 8, 1)); }),
            "file: member 'arr_0.npy': is encrypted");
}

TEST(DamagedZipTest, PlacesOutsideTheFileAreErrors) {
  const Bytes file = golden("npz/one.npz");
  const auto error = [](const Bytes& changed) { return error_of([&] { unzipped(changed); }); };
  EXPECT_THAT(error(with<std::uint32_t>(file, kEntry, 42, 1)), HasSubstr("no header at byte 1"));
  EXPECT_THAT(error(with<std::uint32_t>(file, kEntry, 42, 0xfffffffe)), HasSubstr("no header at"));
  EXPECT_THAT(error(with<std::uint32_t>(file, kEntry, 42, 0xffffffff)), HasSubstr("no header at"));
  EXPECT_THAT(error(with<std::uint32_t>(file, kEntry, 20, 1 << 20)),
              HasSubstr("reaches beyond the end of the file"));
  EXPECT_THAT(error(with<std::uint16_t>(file, kHeader, 26, 0)), HasSubstr("another name"));
  EXPECT_THAT(error(with<std::uint32_t>(file, kEnd, 16, 1)), HasSubstr("does not lie where"));
  EXPECT_THAT(error(with<std::uint16_t>(file, kEnd, 10, 2)),
              HasSubstr("has 1 entries, expected 2"));
  EXPECT_THAT(error(with<std::uint16_t>(file, kEnd, 4, 1)), HasSubstr("over several files"));
  EXPECT_THAT(error(bytes_of("PK")), HasSubstr("no end of a zip directory"));
}

}  // namespace
}  // namespace tensorquant
