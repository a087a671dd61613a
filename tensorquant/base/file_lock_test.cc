#include "tensorquant/base/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/base/test_process.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

class FileLockTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "file_lock_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { fs::remove_all(folder); }

  // The error of asking for the lock; "" where it was given.
  static std::string error_of_locking(const fs::path& path) {
    try {
      const FileLock lock(path);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  fs::path folder;
};

TEST_F(FileLockTest, IsGivenToOneAtATimeAndLeavesNoFile) {
  {
    const FileLock lock(folder / "out");
    EXPECT_THAT(error_of_locking(folder / "out"),
                StartsWith((folder / "out").string() + ": another run writes this file (process " +
                           std::to_string(::getpid()) + " on "));
    EXPECT_EQ(error_of_locking(folder / "other"), "");
  }
  EXPECT_EQ(error_of_locking(folder / "out"), "");
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(FileLockTest, NamesTheProcessThatHasItAndGoesWithItHoweverItDies) {
  for (const int signal : {SIGKILL, SIGTERM}) {
    TestProcess holder([this](TestProcess::Self& self) {
      const FileLock lock(folder / "out");
      self.ready();
      self.wait_for_ever();
    });
    EXPECT_THAT(error_of_locking(folder / "out"),
                HasSubstr("(process " + std::to_string(holder.id()) + " on "));
    holder.end(signal);
    EXPECT_TRUE(fs::exists(folder / "out.tensorquant-lock"));
    EXPECT_EQ(error_of_locking(folder / "out"), "");
    EXPECT_FALSE(fs::exists(folder / "out.tensorquant-lock"));
  }
}

TEST_F(FileLockTest, OfALinkIsThatOfItsFile) {
  fs::create_symlink("out", folder / "link");
  const FileLock lock(folder / "link");
  EXPECT_THAT(error_of_locking(folder / "out"), HasSubstr("another run"));
  EXPECT_THAT(error_of_locking(folder / "." / "out"), HasSubstr("another run"));
}

TEST_F(FileLockTest, APlaceThatCannotBeWrittenIsAnError) {
  EXPECT_EQ(error_of_locking(folder / "none" / "out"),
            (folder / "none" / "out").string() + ": cannot write " +
                (folder / "none" / "out.tensorquant-lock").string() +
                ": No such file or directory");
  fs::create_directory(folder / "out.tensorquant-lock");
  EXPECT_THAT(error_of_locking(folder / "out"), HasSubstr("Is a directory"));
}

// Each of two processes adds 1 to a number in a file, many times; a lock that let both in at once
// would lose some.
TEST_F(FileLockTest, NeverLetsTwoIn) {
  const int rounds = 300;
  const auto count = [&] {
    for (int done = 0; done < rounds;) {
      std::optional<FileLock> lock;
      try {
        lock.emplace(folder / "out");
      } catch (const Error&) {
        continue;
      }
      int value = 0;
      std::ifstream(folder / "out") >> value;
      std::ofstream(folder / "out") << value + 1;
      ++done;
    }
  };
  TestProcess other([&](TestProcess::Self& self) {
    self.ready();
    count();
  });
  count();
  EXPECT_EQ(other.wait(), 0);
  int value = 0;
  std::ifstream(folder / "out") >> value;
  EXPECT_EQ(value, 2 * rounds);
}

}  // namespace
}  // namespace tensorquant
