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

}  // namespace
}  // namespace tensorquant
