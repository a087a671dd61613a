// cost, as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tensorquant/cli/test_commands.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(ModelCommands, CostCountsWithoutACheckpointWhatDoesNotDependOnWeights) {
  const Result result = run({"cost", "--model", "resnet20", "--weights", "nearest,4,3",
                             "--extrinsic", "nearest,8,4", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const json report = json::parse(result.out);
  EXPECT_EQ(report["cost"]["bops"], 40551040.0 * 32);
  EXPECT_TRUE(report["cost"]["ebops"].is_null());
  EXPECT_EQ(report["layers"][1]["macs"], 442368);
  // From formats: log2(27) + 4 + 8 - 2 = 14.8, and a bit for the sign.
  EXPECT_EQ(report["layers"][1]["accumulator"]["worst_case"], 16);
  EXPECT_TRUE(report["layers"][1]["accumulator"]["given"].is_null());
}

TEST_F(ModelCommands, CostSaysWhyACountIsUnknown) {
  std::vector<std::string> arguments = {"cost", "--model", "lenet5", "--weights",
                                        "int,8,scale=max"};
  EXPECT_THAT(run(arguments).out,
              AllOf(HasSubstr("unknown: needs --checkpoint"), Not(HasSubstr("a scale hides"))));
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  arguments.insert(arguments.end(), {"--checkpoint", file("net")});
  EXPECT_THAT(run(arguments).out, AllOf(HasSubstr("unknown: a scale hides the weights' codes"),
                                        Not(HasSubstr("--checkpoint"))));
}

TEST_F(ModelCommands, CostTellsOfCodesAccumulatorsSeenAndATechnologyOfYourOwn) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  const std::string maps = write_file(
      "maps.json",
      R"({"weights": "nearest,6,5", "extrinsic": "nearest,8,4", "intrinsic": {"conv": "nearest,24,9"}})");
  const std::string seen =
      write_file("seen.json", evaluate("net", {"--maps", maps, "--ranges", "--json"}).out);
  const std::string mine = write_file(
      "mine.json",
      R"({"name": "mine", "source": "me", "integer_add": {"8": 1, "32": 1}, "integer_multiply": {"8": 1, "32": 1},)"
      R"( "float_add": {"16": 1, "32": 1}, "float_multiply": {"16": 1, "32": 1}, "sram": {"8": 64, "1024": 64}, "dram": 64})");
  const std::vector<std::string> arguments = {"cost",      "--model",      "lenet5", "--checkpoint",
                                              file("net"), "--maps",       maps,     "--ranges",
                                              seen,        "--technology", mine};
  std::vector<std::string> as_json = arguments;
  as_json.push_back("--json");
  const json report = json::parse(run(as_json).out);
  // Two operations a product and 1 pJ a bit of traffic.
  double macs = 0;
  for (const json& layer : report["layers"]) macs += layer["macs"].get<double>();
  EXPECT_EQ(report["cost"]["energy"], 2 * macs + report["cost"]["traffic"].get<double>());
  EXPECT_LT(report["cost"]["ebops"], report["cost"]["bops"]);
  const json conv = report["layers"][1]["accumulator"];
  EXPECT_EQ(conv["given"], 24);
  EXPECT_LE(conv["seen"], 24);
  EXPECT_GE(conv["worst_case"], conv["seen"]);
  EXPECT_THAT(run(arguments).out, HasSubstr("worst case"));
}

TEST_F(ModelCommands, CostRefusesFilesThatAreNoTablesInOneLine) {
  const std::string wrong = write_file("wrong.json", "{}");
  expect_one_line(run({"cost", "--model", "lenet", "--technology", wrong}), 1);
  expect_one_line(run({"cost", "--model", "lenet", "--technology", "3nm"}), 1);
  expect_one_line(run({"cost", "--model", "lenet", "--ranges", wrong}), 1);
}

}  // namespace
}  // namespace tensorquant
