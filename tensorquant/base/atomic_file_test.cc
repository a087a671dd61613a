#include "tensorquant/base/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/test_process.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;

std::string contents_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void expect_error(const std::function<void()>& action, const fs::path& path, const char* reason) {
  try {
    action();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), StartsWith(path.string() + ": "));
    EXPECT_THAT(error.what(), HasSubstr(reason));
  }
}

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "atomic_file_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { fs::remove_all(folder); }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      result.push_back(entry.path().filename().string());
    }
    return result;
  }

  fs::path folder;
};

TEST_F(AtomicFileTest, CommitWritesAllBytesAndLeavesNoOtherFile) {
  const std::string text("line\n\0end", 9);
  AtomicFile file(folder / "out");
  file.write("a ");
  file.write(std::as_bytes(std::span(text)));
  file.write("");
  file.commit();
  EXPECT_EQ(contents_of(folder / "out"), "a " + text);
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
}

TEST_F(AtomicFileTest, NothingIsThereBeforeCommit) {
  AtomicFile file(folder / "out");
  file.write("half");
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST_F(AtomicFileTest, WithoutCommitTheOldFileStands) {
  write_file_atomically(folder / "out", "old");
  {
    AtomicFile file(folder / "out");
    file.write("new");
  }
  EXPECT_EQ(contents_of(folder / "out"), "old");
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
}

TEST_F(AtomicFileTest, AnExceptionWhileWritingLeavesTheOldFile) {
  write_file_atomically(folder / "out", "old");
  const auto interrupted = [this] {
    AtomicFile file(folder / "out");
    file.write("new");
    throw Error("stop");
  };
  EXPECT_THROW(interrupted(), Error);
  EXPECT_EQ(contents_of(folder / "out"), "old");
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
}

TEST_F(AtomicFileTest, AFullDiskIsAnErrorAndLeavesTheOldFile) {
  write_file_atomically(folder / "out", "old");
  rlimit former;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &former), 0);
  const rlimit small = {.rlim_cur = 1000, .rlim_max = former.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_error([this] { write_file_atomically(folder / "out", std::string(5000, 'x')); },
               folder / "out", "cannot write: File too large");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &former), 0);
  EXPECT_EQ(contents_of(folder / "out"), "old");
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
}

TEST_F(AtomicFileTest, TheLastOfTwoWritersWins) {
  AtomicFile first(folder / "out");
  AtomicFile second(folder / "out");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(contents_of(folder / "out"), "first");
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
}

TEST_F(AtomicFileTest, ASymbolicLinkStaysAndItsFileIsReplaced) {
  fs::create_directory(folder / "deep");
  write_file_atomically(folder / "deep" / "file", "old");
  fs::create_symlink("deep/file", folder / "link");
  fs::create_symlink(folder / "link", folder / "link_to_link");
  write_file_atomically(folder / "link_to_link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_TRUE(fs::is_symlink(folder / "link_to_link"));
  EXPECT_FALSE(fs::is_symlink(folder / "deep" / "file"));
  EXPECT_EQ(contents_of(folder / "deep" / "file"), "new");
}

TEST_F(AtomicFileTest, ALinkToNothingCreatesItsFile) {
  fs::create_symlink("file", folder / "link");
  write_file_atomically(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(contents_of(folder / "file"), "new");
}

TEST_F(AtomicFileTest, ALoopOfLinksIsAnError) {
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  expect_error([this] { AtomicFile file(folder / "a"); }, folder / "a", "symbolic link");
}

TEST_F(AtomicFileTest, AFolderIsAnError) {
  expect_error([this] { AtomicFile file(folder); }, folder, "is a folder");
  expect_error([this] { AtomicFile file(folder / ""); }, folder / "", "is a folder");
  expect_error([] { AtomicFile file(""); }, "", "is a folder");
}

TEST_F(AtomicFileTest, ADeviceIsAnErrorAndStays) {
  expect_error([] { AtomicFile file("/dev/null"); }, "/dev/null", "not a regular file");
}

TEST_F(AtomicFileTest, AMissingFolderIsAnErrorWithTheSystemsReason) {
  expect_error([this] { AtomicFile file(folder / "none" / "out"); }, folder / "none" / "out",
               "cannot write: No such file or directory");
}

TEST_F(AtomicFileTest, AWriteProtectedFileIsAnError) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "the superuser may write everywhere";
  }
  write_file_atomically(folder / "out", "old");
  fs::permissions(folder / "out", fs::perms::owner_read);
  expect_error([this] { AtomicFile file(folder / "out"); }, folder / "out", "Permission denied");
}

TEST_F(AtomicFileTest, PermissionsFollowTheOldFileOrTheUmask) {
  const mode_t former = ::umask(027);
  write_file_atomically(folder / "out", "old");
  ::umask(former);
  EXPECT_EQ(fs::status(folder / "out").permissions(), fs::perms(0640));
  fs::permissions(folder / "out", fs::perms(0604));
  write_file_atomically(folder / "out", "new");
  EXPECT_EQ(fs::status(folder / "out").permissions(), fs::perms(0604));
}

TEST_F(AtomicFileTest, WhatAKilledRunLeftIsRemovedByTheNextOne) {
  TestProcess writer([this](TestProcess::Self& self) {
    AtomicFile file(folder / "out");
    file.write("half");
    self.ready();
    self.wait_for_ever();
  });
  ASSERT_EQ(names().size(), 1U);
  writer.end(SIGKILL);
  ASSERT_EQ(names().size(), 1U);
  write_file_atomically(folder / "other", "whole");
  EXPECT_THAT(names(), UnorderedElementsAre("other"));
}

TEST_F(AtomicFileTest, WhatALivingRunWritesIsLeftAlone) {
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  TestProcess writer([&](TestProcess::Self& self) {
    AtomicFile file(folder / "out");
    file.write("first half, ");
    self.ready();
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) throw Error("no byte");
    file.write("second half");
    file.commit();
  });
  write_file_atomically(folder / "out", "another run's");
  EXPECT_EQ(contents_of(folder / "out"), "another run's");
  EXPECT_EQ(names().size(), 2U);
  ASSERT_EQ(::write(go[1], "", 1), 1);
  EXPECT_EQ(writer.wait(), 0);
  EXPECT_EQ(contents_of(folder / "out"), "first half, second half");
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
  ::close(go[0]);
  ::close(go[1]);
}

// Each tidies up before it writes, so each looks at the other's file at every moment of its life.
TEST_F(AtomicFileTest, TwoRunsThatWriteAgainAndAgainNeverDisturbEachOther) {
  const auto write = [this] {
    for (int i = 0; i < 300; ++i) {
      AtomicFile file(folder / "out");
      file.write("whole");
      file.commit();
    }
  };
  TestProcess other([&](TestProcess::Self& self) {
    self.ready();
    write();
  });
  write();
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(contents_of(folder / "out"), "whole");
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
}

TEST_F(AtomicFileTest, AnotherHostsUnlockedFileGoesWhenItHasRestedForAnHour) {
  const fs::path theirs = folder / ".tensorquant-another.host-1-0.tmp";
  std::ofstream(theirs) << "half";
  write_file_atomically(folder / "out", "whole");
  EXPECT_THAT(names(), UnorderedElementsAre("out", theirs.filename().string()));
  fs::last_write_time(theirs, fs::file_time_type::clock::now() - std::chrono::minutes(61));
  write_file_atomically(folder / "out", "whole");
  EXPECT_THAT(names(), UnorderedElementsAre("out"));
}

TEST_F(AtomicFileTest, OnlyTemporaryFilesAreTidiedUp) {
  fs::create_directory(folder / ".tensorquant-x.tmp");
  fs::create_symlink("kept", folder / ".tensorquant-y.tmp");
  for (const char* name : {"kept", ".tensorquant-notes", "x.tmp"}) std::ofstream(folder / name);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!entry.is_symlink()) fs::last_write_time(entry, fs::file_time_type());
  }
  write_file_atomically(folder / "out", "whole");
  EXPECT_THAT(names(), UnorderedElementsAre("out", "kept", ".tensorquant-notes", "x.tmp",
                                            ".tensorquant-x.tmp", ".tensorquant-y.tmp"));
}

TEST_F(AtomicFileTest, TheLongestFileNameWorks) {
  const std::string name(255, 'n');
  write_file_atomically(folder / name, "new");
  EXPECT_EQ(contents_of(folder / name), "new");
}

}  // namespace
}  // namespace tensorquant
