// sensitivity and search, as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tensorquant/cli/test_commands.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class SearchCommands : public ModelCommands {
 protected:
  void SetUp() override {
    ModelCommands::SetUp();
    ASSERT_EQ(train("net", {"--epochs", "8", "--learning-rate", "0.003"}).code, 0);
  }

  std::vector<std::string> arguments(const std::string& command, const std::string& store,
                                     std::vector<std::string> more) const {
    std::vector<std::string> all = {command,     "--model",   "lenet5",    "--checkpoint",
                                    file("net"), "--store",   file(store), "--images",
                                    "60",        "--threads", "1"};
    // Maps that are given have formats of their own.
    if (std::find(more.begin(), more.end(), "but") == more.end()) {
      all.insert(all.end(), {"--widths", "2,3,4,6"});
    }
    all.insert(all.end(), {"--score-data", folder.string()});
    if (command == "search") {
      all.insert(all.end(), {"--data", folder.string(), "--search-images", "80"});
    }
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  json report(const std::string& command, const std::string& store,
              std::vector<std::string> more) const {
    more.emplace_back("--json");
    const Result result = run(arguments(command, store, more));
    EXPECT_EQ(result.code, 0) << result.err;
    return json::parse(result.out);
  }
};

TEST_F(SearchCommands, SensitivityTellsEveryPlaceAndWidthAndEvaluatesNoneTwice) {
  const json first = report("sensitivity", "runs", {});
  ASSERT_EQ(first["places"].size(), 9U);  // 5 weights and 4 ReLUs
  EXPECT_EQ(first["places"][0]["place"], "weight:conv1");
  EXPECT_EQ(first["places"][1]["place"], "output:relu1");
  EXPECT_EQ(first["evaluations"], 36);
  for (const json& place : first["places"]) {
    ASSERT_EQ(place["choices"].size(), 4U);
    EXPECT_EQ(place["choices"][0]["bits"], 6);
    EXPECT_LT(place["choices"][0]["noise"], place["choices"][3]["noise"]);
    EXPECT_LE(place["choices"][0]["kl"], place["choices"][3]["kl"]);
  }
  json second = report("sensitivity", "runs", {});
  EXPECT_EQ(second["evaluations"], 0);
  second["evaluations"] = 36;
  EXPECT_EQ(second, first);
  EXPECT_THAT(run(arguments("sensitivity", "runs", {})).out, HasSubstr("weight:conv1"));
}

TEST_F(SearchCommands, SensitivityIsThatOfEvaluatingEachMapAlone) {
  const json table = report("sensitivity", "runs", {"--places", "output:relu2"});
  const json choice = table["places"][0]["choices"][3];
  const std::string maps =
      write_file("one.json",
                 R"({"extrinsic": {"=relu2": ")" + choice["quantizer"].get<std::string>() + "\"}}");
  // As the test split of a folder of their own, since evaluate reads that one.
  std::filesystem::create_directory(folder / "score");
  for (const char* kind : {"images-idx3", "labels-idx1"}) {
    std::filesystem::copy(folder / (std::string("train-") + kind + "-ubyte"),
                          folder / "score" / (std::string("t10k-") + kind + "-ubyte"));
  }
  const auto correct = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"evaluate",
                                    "--model",
                                    "lenet5",
                                    "--checkpoint",
                                    file("net"),
                                    "--data",
                                    (folder / "score").string(),
                                    "--limit",
                                    "60",
                                    "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return json::parse(run(all).out)["correct"].get<double>();
  };
  EXPECT_NEAR(choice["loss"].get<double>() * 60, correct({}) - correct({"--maps", maps}), 1e-9);
}

TEST_F(SearchCommands, SensitivityTakesFormatsWithScalesForWeightsOutputsAndTheInput) {
  std::vector<std::string> all =
      arguments("sensitivity", "runs", {"--places", "weights,outputs,input"});
  all.erase(std::find(all.begin(), all.end(), "--widths"),
            std::find(all.begin(), all.end(), "--score-data"));
  for (const char* choice : {"fp16", "int,8,per=channel,scale=max", "e4m3fn", "float,4,3"}) {
    all.insert(all.end(), {"--choices", choice});
  }
  all.emplace_back("--json");
  const Result result = run(all);
  ASSERT_EQ(result.code, 0) << result.err;
  const json table = json::parse(result.out);
  ASSERT_EQ(table["places"].size(), 10U);
  EXPECT_EQ(table["places"][0]["place"], "output:input");
  for (const json& place : table["places"]) {
    ASSERT_EQ(place["choices"].size(), 4U);
    EXPECT_EQ(place["choices"][0]["quantizer"], "fp16");  // the widest first
    for (const json& choice : place["choices"]) EXPECT_LT(choice["noise"], 0.01) << place;
    // 11 bits of significand against 4.
    EXPECT_LE(place["choices"][0]["noise"], place["choices"][3]["noise"]);
  }
}

TEST_F(SearchCommands, FisherScoresNeedNoEvaluationAndRankAsTheKl) {
  const json fisher = report("sensitivity", "runs", {"--metric", "fisher"});
  EXPECT_FALSE(fisher.contains("evaluations"));
  const json kl = report("sensitivity", "runs", {});
  ASSERT_EQ(fisher["places"].size(), kl["places"].size());
  for (std::size_t i = 0; i < kl["places"].size(); ++i) {
    const json one = fisher["places"][i]["choices"], other = kl["places"][i]["choices"];
    ASSERT_EQ(one.size(), other.size());
    EXPECT_EQ(one[0]["quantizer"], other[0]["quantizer"]);
    EXPECT_LT(one[0]["fisher"], one[3]["fisher"]);
  }
  const json found =
      report("search", "runs", {"--metric", "fisher", "--budget", "0.5", "--refine", "0"});
  EXPECT_LE(found["found"]["cost"]["bops"], 0.5 * found["widest"].get<double>());
  EXPECT_THAT(run(arguments("sensitivity", "runs", {"--metric", "fisher"})).out,
              HasSubstr("Fisher"));
}

TEST_F(SearchCommands, SensitivityOfAllButOnePlaceIsThatOfTheMapsWithoutIt) {
  const std::string maps = write_file(
      "maps.json",
      R"({"weights": {"conv": "nearest,3,2", "fc": {"weight": "nearest,4,3"}}, "extrinsic": {"relu2": "nearest,3,1"}})");
  const json found = report("sensitivity", "runs", {"--mode", "but", "--maps", maps});
  std::vector<std::string> places;
  for (const json& place : found["places"]) {
    places.push_back(place["place"]);
    ASSERT_EQ(place["choices"].size(), 1U);
    const json& choice = place["choices"][0];
    EXPECT_EQ(choice["kl_saved"], found["whole"]["kl"].get<double>() - choice["kl"].get<double>());
  }
  EXPECT_THAT(places, testing::ElementsAre("weight:conv1", "weight:conv2", "output:relu2",
                                           "weight:conv3", "weight:fc1", "weight:fc2"));
  EXPECT_EQ(found["evaluations"], 7);
  // Without conv2's weight, written by hand; the biases of the first rule stay.
  const std::string by_hand = write_file(
      "hand.json",
      R"({"weights": {"=conv2": {"bias": "nearest,3,2"}, "conv": "nearest,3,2", "fc": {"weight": "nearest,4,3"}},)"
      R"( "extrinsic": {"relu2": "nearest,3,1"}})");
  const json hand = report("sensitivity", "other", {"--mode", "but", "--maps", by_hand});
  EXPECT_EQ(hand["whole"]["kl"], found["places"][1]["choices"][0]["kl"]);
  EXPECT_THAT(run(arguments("sensitivity", "runs", {"--mode", "but", "--maps", maps})).out,
              HasSubstr("KL saved"));
}

TEST_F(SearchCommands, SearchChoosesAccumulatorsThatKeepTheMargin) {
  const std::string best = file("best.json");
  const json found = report("search", "runs",
                            {"--places", "weights,outputs,input", "--margin", "20", "--refine", "0",
                             "--accumulators", "--output", best});
  ASSERT_EQ(found["accumulators"].size(), 5U);
  const json intrinsic = json::parse(text_of("best.json"))["intrinsic"];
  for (const json& one : found["accumulators"]) {
    const std::string layer = one["layer"];
    EXPECT_EQ(intrinsic["=" + layer]["accumulator"],
              "nearest," + one["given"].dump() + "," + one["fraction"].dump());
    EXPECT_LE(one["given"], one["seen"]) << layer;
    EXPECT_LE(one["seen"], one["worst_case"]) << layer;
  }
  EXPECT_LE(found["found"]["search"]["loss"].get<double>() +
                found["found"]["search"]["loss_error"].get<double>(),
            0.2);
  // evaluate and cost say the same of that file.
  const json evaluated = json::parse(evaluate("net", {"--maps", best, "--json"}).out);
  EXPECT_EQ(evaluated["accuracy"], found["found"]["test"]["accuracy"]);
  const json cost = json::parse(
      run({"cost", "--model", "lenet5", "--checkpoint", file("net"), "--maps", best, "--json"})
          .out);
  EXPECT_EQ(cost["cost"], found["found"]["cost"]);
  // One bit less in the first layer tried does not hold it, or is none at all.
  std::vector<std::string> again = {
      "--places", "weights,outputs,input", "--margin", "20", "--refine", "0", "--accumulators"};
  EXPECT_EQ(report("search", "runs", again)["accumulators"], found["accumulators"]);
  again.insert(again.end(), {"--accumulator-fraction", "3"});
  const json told = report("search", "runs", again);
  for (const json& one : told["accumulators"]) EXPECT_EQ(one["fraction"], 3);
}

TEST_F(SearchCommands, AccumulatorsOfABudgetSaturateNothingThatWasSeen) {
  const json found =
      report("search", "runs", {"--budget", "0.6", "--refine", "0", "--accumulators"});
  for (const json& one : found["accumulators"]) {
    EXPECT_EQ(one["given"], one["seen"]);
    // conv1 reads the float input.
    EXPECT_EQ(one["fraction"].is_null(), one["layer"] == "conv1") << one;
  }
}

TEST_F(SearchCommands, SearchKeepsTheMarginAndWritesTheMap) {
  const std::string best = file("best.json");
  const json found = report("search", "runs", {"--margin", "5", "--output", best});
  EXPECT_LE(found["found"]["search"]["loss"].get<double>() +
                found["found"]["search"]["loss_error"].get<double>(),
            0.05);
  EXPECT_EQ(found["found"]["search"]["images"], 80);
  EXPECT_EQ(found["found"]["test"]["images"], 50);
  EXPECT_EQ(json::parse(text_of("best.json")), found["found"]["maps"]);
  EXPECT_LT(found["found"]["cost"]["bops"], found["widest"]);
  EXPECT_GE(found["uniform"]["cost"]["bops"], found["found"]["cost"]["bops"]);
  const json evaluated = json::parse(evaluate("net", {"--maps", best, "--json"}).out);
  EXPECT_EQ(evaluated["accuracy"], found["found"]["test"]["accuracy"]);
  const json cost = json::parse(
      run({"cost", "--model", "lenet5", "--checkpoint", file("net"), "--maps", best, "--json"})
          .out);
  EXPECT_EQ(cost["cost"], found["found"]["cost"]);
}

TEST_F(SearchCommands, SearchTakesAllImagesFromTheFolderThatIsNamedAndTellsSo) {
  std::vector<std::string> all = arguments("search", "runs", {"--margin", "5", "--refine", "0"});
  all.erase(std::find(all.begin(), all.end(), "--data"),
            std::find(all.begin(), all.end(), "--search-images"));
  all.emplace_back("--json");
  const Result result = run(all);
  ASSERT_EQ(result.code, 0) << result.err;
  const json found = json::parse(result.out);
  const auto set = [&](const char* split, int images) {
    return json{{"path", folder.string()}, {"split", split}, {"images", images}};
  };
  EXPECT_EQ(found["data"]["score"], set("train", 60));
  EXPECT_EQ(found["data"]["search"], set("train", 80));
  EXPECT_EQ(found["data"]["test"], set("test", 50));
  all.pop_back();
  EXPECT_THAT(run(all).out, HasSubstr("test        50 images: test of " + folder.string()));
}

TEST_F(SearchCommands, SearchPrintsTheStepsThatItTook) {
  const auto lines_of = [](const std::string& text) {
    std::size_t lines = 0, at = 0;
    while ((at = text.find(" -> ", at)) != std::string::npos) ++lines, ++at;
    return lines;
  };
  const std::vector<std::string> none = {"--budget", "1", "--places", "weights", "--refine", "0"};
  const std::vector<std::string> some = {"--budget", "0.6", "--refine", "0"};
  for (const auto& options : {none, some}) {
    const json found = report("search", "runs", options);
    EXPECT_EQ(lines_of(run(arguments("search", "runs", options)).out), found["steps"]);
  }
}

TEST_F(SearchCommands, SearchWithinABudgetCostsNoMoreAndTiesWidths) {
  for (const std::string cost : {"bops", "ebops", "bits", "traffic", "energy"}) {
    const json found = report(
        "search", "runs", {"--budget", "0.6", "--cost", cost, "--tie", "weights", "--refine", "0"});
    EXPECT_LE(found["found"]["cost"][cost], 0.6 * found["widest"].get<double>()) << cost;
    std::set<int> widths;
    for (const json& rule : found["found"]["maps"]["weights"]) {
      const std::string spec = rule["weight"];
      widths.insert(spec[8]);  // nearest,W
    }
    EXPECT_EQ(widths.size(), 1U) << cost;
  }
}

TEST_F(SearchCommands, ASearchThatIsKilledEndsInTheSameFile) {
  const std::vector<std::string> more = {"--margin", "5", "--output"};
  const auto with_output = [&](const std::string& output) {
    std::vector<std::string> all = more;
    all.push_back(file(output));
    return all;
  };
  ASSERT_EQ(run(arguments("search", "whole", with_output("whole.json"))).code, 0);
  for (int milliseconds = 60; milliseconds <= 600; milliseconds += 60) {
    const std::string store = "killed" + std::to_string(milliseconds);
    const pid_t child = spawn(arguments("search", store, with_output("killed.json")), "killed.err");
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ASSERT_EQ(run(arguments("search", store, with_output("killed.json"))).code, 0);
    EXPECT_EQ(text_of("killed.json"), text_of("whole.json")) << milliseconds;
    std::filesystem::remove(file("killed.json"));
  }
}

TEST_F(SearchCommands, TestImagesAreReadWhenAllIsDecided) {
  std::filesystem::remove(folder / "t10k-images-idx3-ubyte");
  const Result result = run(arguments("search", "runs", {"--margin", "5", "--refine", "0"}));
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("t10k-images"));
  write_images("t10k", 50);
  const json found = report("search", "runs", {"--margin", "5", "--refine", "0"});
  // Of the test images alone: in float, under the map that was found, and under the uniform one.
  EXPECT_EQ(found["evaluations"], 3);
}

TEST_F(SearchCommands, WrongSettingsAreOneLine) {
  const auto wrong = [&](const std::string& command, const std::vector<std::string>& more, int code,
                         const std::string& said) {
    const Result result = run(arguments(command, "runs", more));
    expect_one_line(result, code);
    EXPECT_THAT(result.err, HasSubstr(said));
  };
  wrong("search", {}, 2, "--margin");
  wrong("search", {"--margin", "1", "--budget", "0.5"}, 2, "--margin");
  wrong("search", {"--margin", "1", "--cost", "gold"}, 2, "gold");
  wrong("search", {"--margin", "1", "--cost", "peak"}, 2, "peak");
  wrong("search", {"--budget", "1e-9"}, 1, "budget");
  wrong("search", {"--margin", "1", "--tie", "nothing"}, 1, "nothing");
  wrong("sensitivity", {"--places", "weight:fc9"}, 1, "weight:fc9");
  wrong("sensitivity", {"--choices", "nearest,8"}, 2, "");
  wrong("sensitivity", {"--mode", "but"}, 2, "--maps");
  wrong("sensitivity", {"--mode", "but", "--maps", file("none.json")}, 1, "none.json");
  const std::string biases =
      write_file("biases.json", R"({"weights": {"fc1": {"bias": "nearest,8,4"}}})");
  wrong("sensitivity", {"--mode", "but", "--maps", biases}, 1, "none of the places");
  wrong("sensitivity", {"--maps", biases}, 2, "--maps");
  wrong("search", {"--margin", "1", "--metric", "hessian"}, 2, "hessian");
  wrong("search", {"--margin", "1", "--accumulator-fraction", "4"}, 2, "--accumulators");
  const std::vector<std::string> other = {"sensitivity", "--model", "lenet",     "--checkpoint",
                                          file("net"),   "--store", file("runs")};
  expect_one_line(run(other), 1);
}

}  // namespace
}  // namespace tensorquant
