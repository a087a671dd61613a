#include "tensorquant/measure/processor.h"

#include <gtest/gtest.h>

#include <sstream>

namespace tensorquant::measure {
namespace {

std::string name_in(const std::string& text) {
  std::istringstream cpuinfo(text);
  return processor_name(cpuinfo);
}

TEST(ProcessorName, IsThatOfTheFirstProcessorWithFamilyAndModel) {
  EXPECT_EQ(name_in("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"
                    "model name\t: AMD EPYC\nflags\t\t: fpu vme\n\n"
                    "processor\t: 1\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: another\n"),
            "AMD EPYC, family 25, model 17");
}

TEST(ProcessorName, LeavesOutWhatTheFileDoesNotSay) {
  EXPECT_EQ(name_in("processor\t: 0\ncpu family\t: 6\nmodel name\t: \nmodel\t\t: 143\n"),
            "family 6, model 143");
  EXPECT_EQ(name_in("processor\t: 0\nBogoMIPS\t: 50.00\n"), "unknown");
  EXPECT_EQ(name_in(""), "unknown");
}

}  // namespace
}  // namespace tensorquant::measure
