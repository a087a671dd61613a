#include "tensorquant/cli/number_option.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "tensorquant/cli/commands.h"

namespace tensorquant::cli {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// What Python's int() makes of the texts.
TEST(ReadWhole, ReadsAsPythonDoes) {
  EXPECT_EQ(read_whole<std::uint64_t>("010"), 10u);
  EXPECT_EQ(read_whole<std::uint64_t>("08"), 8u);
  EXPECT_EQ(read_whole<std::uint64_t>("+7"), 7u);
  EXPECT_EQ(read_whole<std::uint64_t>(" \t7\r\n"), 7u);
  EXPECT_EQ(read_whole<std::uint64_t>("1_000_000"), 1000000u);
  EXPECT_EQ(read_whole<std::uint64_t>("-0"), 0u);
  EXPECT_EQ(read_whole<std::uint64_t>("18446744073709551615"), 18446744073709551615u);
  EXPECT_EQ(read_whole<std::uint64_t>("00000000000000000000000000001"), 1u);
  EXPECT_EQ(read_whole<int>("-12"), -12);
  EXPECT_EQ(read_whole<int>("-2147483648"), -2147483648);
}

TEST(ReadWhole, RefusesWhatPythonRefusesAndWhatDoesNotFit) {
  for (const char* text :
       {"",     " ",   "+",   "-",   "+-1", "- 1", "1 0", "_1",  "1_", "1__0",  "1_ 0",
        "0x10", "0o7", "0b1", "1.0", "1e3", "inf", "nan", "ten", "1L", "\u0661"}) {
    EXPECT_EQ(read_whole<std::uint64_t>(text), std::nullopt) << text;
  }
  EXPECT_EQ(read_whole<std::uint64_t>("18446744073709551616"), std::nullopt);
  EXPECT_EQ(read_whole<std::uint64_t>("-1"), std::nullopt);
  EXPECT_EQ(read_whole<int>("2147483648"), std::nullopt);
  EXPECT_EQ(read_whole<int>(std::string(100000, '9')), std::nullopt);
}

// What Python's float() makes of the texts.
TEST(ReadReal, ReadsAsPythonDoes) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(read_real("010"), 10.0);
  EXPECT_EQ(read_real(".5"), 0.5);
  EXPECT_EQ(read_real("-.5"), -0.5);
  EXPECT_EQ(read_real("+5."), 5.0);
  EXPECT_EQ(read_real("-1e3"), -1000.0);
  EXPECT_EQ(read_real("1_0.2_5E-0_1"), 1.025);
  EXPECT_EQ(read_real(" 0.1 "), 0.1);
  EXPECT_EQ(read_real("5e-324"), 0x1p-1074);
  EXPECT_EQ(read_real("1e999"), infinity);
  EXPECT_EQ(read_real("-1e999"), -infinity);
  EXPECT_EQ(read_real("1e-999"), 0.0);
  EXPECT_EQ(read_real("inf"), infinity);
  EXPECT_EQ(read_real("-Infinity"), -infinity);
  EXPECT_TRUE(std::isnan(read_real("NaN").value()));
  EXPECT_TRUE(std::isnan(read_real("-nan").value()));
  EXPECT_TRUE(std::signbit(read_real("-0").value()));
  EXPECT_TRUE(std::signbit(read_real("-1e-999").value()));
}

TEST(ReadReal, RefusesWhatPythonRefuses) {
  for (const char* text :
       {"",     " ",  ".",    "-",     "+-1",    "-+1",      "--1",  "1_",  "_1",  "1__0", "1_.5",
        "1._5", "1e", "1e_5", "0x1p3", "nan(1)", "infinite", "in_f", "1,5", "1 5", "1f"}) {
    EXPECT_EQ(read_real(text), std::nullopt) << text;
  }
}

TEST(ArgumentsOf, LeaveNumbersThatLookLikeOptionsReadable) {
  std::vector<std::string> given = {"tensorquant", "-.5", "-inf", "-NaN",   "-1",   "-h",
                                    "--json",      "-",   "-i",   "-infer", "--inf"};
  std::vector<char*> argv;
  for (std::string& argument : given) argv.push_back(argument.data());
  EXPECT_THAT(
      arguments_of(static_cast<int>(argv.size()), argv.data()),
      ElementsAre(" -.5", " -inf", " -NaN", "-1", "-h", "--json", "-", "-i", "-infer", "--inf"));
}

bool is_number(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT");
}

// Every option and argument of every command that takes a number, whoever declared it how.
class EveryNumber : public testing::Test {
 protected:
  EveryNumber() {
    add_commands(app, nullptr);
    for (CLI::App* command : app.get_subcommands({})) {
      for (CLI::Option* option : command->get_options()) {
        if (is_number(*option)) options.push_back(option);
      }
    }
  }

  static void give(CLI::Option& option, const std::string& text) {
    option.clear();
    option.add_result(text);
    option.run_callback();
  }
  // The number that the option has now, as --help would show it.
  static std::string number(CLI::Option& option) {
    return option.capture_default_str()->get_default_str();
  }

  CLI::App app;
  std::vector<CLI::Option*> options;
};

TEST_F(EveryNumber, IsDecimalWhateverZerosAndSpacesStandBeforeIt) {
  EXPECT_GE(options.size(), 17u);
  for (CLI::Option* option : options) {
    for (const char* text : {"010", "+10", " 10\n", "1_0", "0000000000000000000000000000010"}) {
      give(*option, "3");
      give(*option, text);
      EXPECT_EQ(number(*option), "10") << option->get_name();
    }
  }
}

TEST_F(EveryNumber, IsRefusedInOneShortLineThatNamesTheLimits) {
  const std::vector<std::string> hostile = {"",
                                            " ",
                                            "x",
                                            "0x10",
                                            "1e",
                                            "1__0",
                                            "--",
                                            "1\n2",
                                            "\xff",
                                            "99999999999999999999x",
                                            std::string(100000, '9') + "x"};
  for (CLI::Option* option : options) {
    for (const std::string& text : hostile) {
      give(*option, "3");
      try {
        give(*option, text);
        ADD_FAILURE() << option->get_name() << " takes " << text;
      } catch (const CLI::ParseError& error) {
        const std::string message = error.what();
        EXPECT_THAT(message, AllOf(StartsWith(option->get_name() + ": '"), HasSubstr("' is not ")));
        EXPECT_THAT(message, AnyOf(HasSubstr("a whole number from "), HasSubstr(" number")));
        EXPECT_LT(message.size(), 200u) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      }
      EXPECT_EQ(number(*option), "3") << option->get_name();
    }
  }
}

TEST_F(EveryNumber, BeyondItsTypeIsRefusedWhereTheTypeIsWhole) {
  for (CLI::Option* option : options) {
    if (option->get_type_name().starts_with("FLOAT")) continue;
    for (const std::string text :
         {"18446744073709551616", "-18446744073709551616", "-1", "1.5", "inf"}) {
      // An axis may be counted from the last one, a step may be larger than 1.
      const std::string name = option->get_name();
      if (text == "-1" && (name.ends_with("axis") || name.ends_with("fraction"))) {
        EXPECT_NO_THROW(give(*option, text)) << option->get_name();
        continue;
      }
      EXPECT_THROW(give(*option, text), CLI::ValidationError) << option->get_name() << text;
    }
  }
}

}  // namespace
}  // namespace tensorquant::cli
