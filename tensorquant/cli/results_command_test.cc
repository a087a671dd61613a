// results, as a user runs it after sweeps and sensitivities.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tensorquant/cli/test_commands.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// The store has uniform maps, one of a single weight, the empty one, and one that is an error.
class ResultsCommand : public ModelCommands {
 protected:
  void SetUp() override {
    ModelCommands::SetUp();
    ASSERT_EQ(train("net", {"--epochs", "4", "--learning-rate", "0.003"}).code, 0);
    write_file("maps.jsonl", R"({"weights": {"=fc2": {"weight": "nearest,8,6"}}})"
                             "\n{}\n");
    write_file("wrong.jsonl", R"({"weights": {"=nowhere": "nearest,4,3"}})");
    swept_ = json::parse(sweep({"--uniform", "2,4,8", "--list", file("maps.jsonl"), "--json"}).out);
    ASSERT_EQ(swept_["results"].size(), 5U);
    ASSERT_EQ(sweep({"--list", file("wrong.jsonl")}).code, 1);
  }

  std::vector<std::string> on_network(const std::string& command,
                                      std::vector<std::string> more) const {
    std::vector<std::string> all = {command,        "--model",   "lenet5",
                                    "--checkpoint", file("net"), "--store",
                                    file("runs"),   "--threads", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Result sweep(std::vector<std::string> more) const {
    more.insert(more.end(), {"--data", folder.string()});
    if (std::find(more.begin(), more.end(), "--uniform") != more.end()) {
      more.insert(more.end(), {"--score-data", folder.string(), "--images", "60"});
    }
    return run(on_network("sweep", more));
  }

  Result results(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"results", "--store", file("runs")};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
  json listed(std::vector<std::string> more) const {
    more.emplace_back("--json");
    const Result result = results(more);
    EXPECT_EQ(result.code, 0) << result.err;
    return json::parse(result.out)["results"];
  }

  json swept_;
};

const json& row_with(const json& rows, const json& maps) {
  for (const json& row : rows) {
    if (row["maps"] == maps) return row;
  }
  throw std::out_of_range(maps.dump());
}

TEST_F(ResultsCommand, TellsOfEachMapWhatSweepAndCostDo) {
  const json rows = listed({"--checkpoint", file("net")}), without = listed({});
  ASSERT_EQ(rows.size(), 6U);
  for (const json& one : swept_["results"]) {
    const json& row = row_with(rows, one["maps"]);
    for (const char* const name : {"accuracy", "loss", "loss_error", "kl", "flips"}) {
      EXPECT_EQ(row[name], one[name]) << name;
    }
    EXPECT_EQ(row["images"], 50);
    EXPECT_EQ(row["purpose"], "sweep");
    EXPECT_TRUE(row["error"].is_null());
    EXPECT_GE(row["seconds"], 0);
    const json cost =
        json::parse(run({"cost", "--model", "lenet5", "--checkpoint", file("net"), "--maps",
                         write_file("one.json", one["maps"].dump()), "--json"})
                        .out)["cost"];
    for (const auto& [name, value] : cost.items()) {
      EXPECT_FALSE(value.is_null());
      EXPECT_EQ(row[name], value) << name;
      const bool of_weights = name == "ebops" || name == "bops_without_zeros";
      EXPECT_EQ(row_with(without, one["maps"])[name], of_weights ? json() : value) << name;
    }
  }
  const json& whole = row_with(rows, swept_["results"][2]["maps"]);  // after those of the list
  EXPECT_EQ(whole["places"], 9);
  EXPECT_EQ(whole["least_bits"], 8);
  EXPECT_EQ(whole["most_bits"], 8);
  EXPECT_EQ(row_with(rows, json::object())["accuracy"], whole["float_accuracy"]);
}

TEST_F(ResultsCommand, MarksErrorsAsSuch) {
  const json rows = listed({});
  const json& wrong = row_with(rows, {{"weights", {{"=nowhere", "nearest,4,3"}}}});
  EXPECT_THAT(wrong["error"].get<std::string>(), HasSubstr("nowhere"));
  for (const char* const name : {"accuracy", "loss", "kl", "bops", "images"}) {
    EXPECT_TRUE(wrong[name].is_null()) << name;
  }
  const std::string table = results({}).out;
  EXPECT_THAT(table, HasSubstr("\nerrors\n"));
  EXPECT_THAT(table, HasSubstr(wrong["name"]));
  EXPECT_THAT(results({"--front", "bops"}).out, Not(HasSubstr("error")));
}

TEST_F(ResultsCommand, PrintsATableForEachSetOfImages) {
  const std::string table = results({"--checkpoint", file("net")}).out;
  for (const char* const said :
       {"50 sweep images, ", "9 places, 2 bits", "9 places, 8 bits", "weight:fc2 nearest,8,6",
        "float", "EBOPs", "energy (uJ)", "seconds"}) {
    EXPECT_THAT(table, HasSubstr(said));
  }
}

using Point = std::pair<double, double>;  // cost and accuracy

Point point_of(const json& row, const std::string& cost) {
  return {row[cost].get<double>(), row["accuracy"].get<double>()};
}

// By the definition: each against all others.
std::set<Point> front_by_hand(const json& rows, const std::string& data, const std::string& cost) {
  std::set<Point> all, front;
  for (const json& row : rows) {
    if (row["data"] == data && row["error"].is_null()) all.insert(point_of(row, cost));
  }
  for (const Point& one : all) {
    const bool is_beaten = std::any_of(all.begin(), all.end(), [&](const Point& other) {
      return other != one && other.first <= one.first && other.second >= one.second;
    });
    if (!is_beaten) front.insert(one);
  }
  return front;
}

TEST_F(ResultsCommand, GivesTheFrontOfEachSetOfImagesByEachCost) {
  const Result scores = run(on_network(
      "sensitivity", {"--score-data", folder.string(), "--images", "60", "--widths", "2,4"}));
  ASSERT_EQ(scores.code, 0) << scores.err;
  const json all = listed({"--checkpoint", file("net")});
  ASSERT_EQ(all.size(), 6U + 18U);
  std::set<std::string> sets;
  for (const json& row : all) sets.insert(row["data"]);
  ASSERT_EQ(sets.size(), 2U);
  for (const std::string cost : {"bits", "traffic", "bops", "ebops", "energy"}) {
    const json rows = listed({"--checkpoint", file("net"), "--front", cost});
    std::size_t found = 0;
    for (const std::string& data : sets) {
      std::vector<Point> points;
      for (const json& row : rows) {
        if (row["data"] == data) points.push_back(point_of(row, cost));
      }
      EXPECT_TRUE(std::is_sorted(points.begin(), points.end())) << cost;
      const std::set<Point> by_hand = front_by_hand(all, data, cost);
      EXPECT_EQ(points, std::vector<Point>(by_hand.begin(), by_hand.end())) << cost;
      found += points.size();
    }
    EXPECT_EQ(rows.size(), found);
  }
}

TEST_F(ResultsCommand, LeavesOutOfAFrontWhoseCostAScaleHides) {
  write_file("scaled.jsonl", R"({"weights": {"fc": {"weight": "int,4,per=channel,scale=max"}}})");
  ASSERT_EQ(sweep({"--list", file("scaled.jsonl")}).code, 0);
  const Result by_ebops = results({"--front", "ebops", "--checkpoint", file("net"), "--json"});
  EXPECT_EQ(by_ebops.code, 0);
  EXPECT_THAT(
      by_ebops.err,
      HasSubstr(
          "50 sweep images: maps that are left out, as a scale hides their weights' codes: 1\n"));
  EXPECT_THAT(by_ebops.out, Not(HasSubstr("per=channel")));
  EXPECT_EQ(results({"--front", "bops", "--checkpoint", file("net")}).err, "");
}

TEST_F(ResultsCommand, WrongSettingsAreOneLine) {
  const auto wrong = [&](const std::vector<std::string>& more, int code, const std::string& said) {
    const Result result = results(more);
    expect_one_line(result, code);
    EXPECT_THAT(result.err, HasSubstr(said));
  };
  wrong({"--front", "gold"}, 2, "gold");
  wrong({"--front", "peak"}, 2, "peak");
  wrong({"--front", "ebops"}, 2, "--checkpoint");
  wrong({"--csv", "--json"}, 2, "--csv");
  wrong({"--checkpoint", write_file("other", "x")}, 1, "is not the store's checkpoint");
  wrong({"--technology", file("none.json")}, 1, "none.json");
}

}  // namespace
}  // namespace tensorquant
