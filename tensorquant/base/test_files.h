#ifndef TENSORQUANT_BASE_TEST_FILES_H_
#define TENSORQUANT_BASE_TEST_FILES_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"

// Files for the tests of this folder, and ways to damage them.
namespace tensorquant {

using Bytes = std::vector<std::byte>;

inline std::filesystem::path source_folder() { return TENSORQUANT_SOURCE_DIR; }
inline std::filesystem::path golden_folder() {
  return source_folder() / "tests" / "golden" / "data";
}

// Data sets and trained networks that developers may have; too large for the repository.
inline std::filesystem::path large_folder() { return source_folder() / ".." / "shared" / "data"; }

#define SKIP_IF_MISSING(path)                                              \
  if (!std::filesystem::exists(path)) {                                    \
    GTEST_SKIP() << (path).string() << " is not here, nothing to compare"; \
  }

inline Bytes golden(const std::string& name) { return read_file(golden_folder() / name); }

inline Bytes bytes_of(std::string_view text) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// The one line of the Error that an action throws; any other exception fails the test that calls
// it.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

// A folder of its own for each test, removed at the end.
class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "tensorquant_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::filesystem::path folder;
};

// The vector holds no byte behind the cut, so a sanitizer sees each read beyond it.
inline Bytes cut(const Bytes& file, std::size_t size) {
  return Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
}

template <class Parse>
void expect_error_at_every_shorter_size(const Bytes& file, Parse parse) {
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Bytes shorter = cut(file, size);
    EXPECT_THROW(parse(shorter), Error) << "cut to " << size << " of " << file.size() << " bytes";
  }
}

// Sets each of the first `size` bytes to each other value: parse() may throw Error or not, and
// nothing else may happen.
template <class Parse>
void expect_no_harm_from_any_changed_byte(const Bytes& file, std::size_t size, Parse parse) {
  Bytes changed = file;
  for (std::size_t i = 0; i < size; ++i) {
    for (unsigned mask = 1; mask < 256; ++mask) {
      changed[i] = file[i] ^ std::byte(mask);
      try {
        parse(changed);
      } catch (const Error& error) {
        EXPECT_STRNE(error.what(), "");
      } catch (const std::exception& error) {
        ADD_FAILURE() << "byte " << i << " changed by " << mask << ": " << error.what();
      }
    }
    changed[i] = file[i];
  }
}

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_TEST_FILES_H_
