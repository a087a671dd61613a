#include "tensorquant/base/table.h"

#include <gtest/gtest.h>

namespace tensorquant {
namespace {

TEST(FormatTable, ColumnsAreAsWideAsTheirLongestCellAndLinesEndWithoutSpaces) {
  EXPECT_EQ(format_table({"layer", "x"}, {{"features.conv1", "0.5"}, {"fc", ""}}),
            "layer           x\n"
            "features.conv1  0.5\n"
            "fc\n");
  EXPECT_EQ(format_table({"layer", "x"}, {}), "layer  x\n");
}

TEST(FormatTable, ColumnsAreStraightWhateverTheCellsHold) {
  EXPECT_EQ(
      format_table(
          {"layer", "x"},
          {{"a\nb\t", "1"}, {"größe", "2"}, {"畳み込み", "3"}, {"e\u0301", "4"}, {"\xff", "5"}}),
      "layer       x\n"
      "a\\x0ab\\x09  1\n"
      "größe       2\n"
      "畳み込み    3\n"
      "e\u0301           4\n"
      "\\xff        5\n");
}

}  // namespace
}  // namespace tensorquant
