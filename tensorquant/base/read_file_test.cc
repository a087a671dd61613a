#include "tensorquant/base/read_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ReadFileTest : public FileTest {};

TEST_F(ReadFileTest, GivesEveryByteOfFilesOfAnySize) {
  for (std::size_t size : {0, 1, 65535, 65536, 65537, 1000000}) {
    std::string text(size, 'x');
    if (size > 0) {
      text.back() = '\0';
    }
    std::ofstream(folder / "file", std::ios::binary) << text;
    EXPECT_EQ(read_file(folder / "file"), bytes_of(text)) << size;
  }
}

TEST_F(ReadFileTest, ReadsAPipe) {
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const std::string text(200000, 'p');
  std::thread writer([&] { std::ofstream(folder / "pipe", std::ios::binary) << text; });
  EXPECT_EQ(read_file(folder / "pipe"), bytes_of(text));
  writer.join();
}

TEST_F(ReadFileTest, AMissingFileIsAnError) {
  const std::string error = error_of([&] { read_file(folder / "none"); });
  EXPECT_THAT(error, StartsWith((folder / "none").string() + ": "));
  EXPECT_THAT(error, HasSubstr("No such file"));
}

TEST_F(ReadFileTest, AFolderIsAnError) {
  EXPECT_THAT(error_of([&] { read_file(folder); }), HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace tensorquant
