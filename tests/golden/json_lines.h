#ifndef TENSORQUANT_TESTS_GOLDEN_JSON_LINES_H_
#define TENSORQUANT_TESTS_GOLDEN_JSON_LINES_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tensorquant {

// The lines of a file of tests/golden, each a JSON value. A file that is missing fails the test.
inline std::vector<nlohmann::json> json_lines(const char* name) {
  const auto path = std::filesystem::path(TENSORQUANT_SOURCE_DIR) / "tests" / "golden" / name;
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace tensorquant

#endif  // TENSORQUANT_TESTS_GOLDEN_JSON_LINES_H_
