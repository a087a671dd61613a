// explain, train and evaluate, as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <torch/version.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tensorquant/cli/test_commands.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/data/safetensors.h"
#include "tensorquant/kernels/simd_target.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST_F(ModelCommands, TrainAndEvaluateGiveOneJsonObjectThatNamesTheRun) {
  const std::string maps = write_file("maps.json", R"({"weights": {"conv": "nearest,8,6"}})");
  const Result trained =
      train("net", {"--epochs", "12", "--learning-rate", "0.003", "--seed", "7", "--json"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_THAT(trained.err, IsEmpty());
  const json run = json::parse(trained.out);
  EXPECT_EQ(run["seed"], 7);
  EXPECT_EQ(run["results"].size(), 12U);
  EXPECT_EQ(run["data"], folder.string());

  const Result evaluated = evaluate("net", {"--maps", maps, "--json"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_THAT(evaluated.err, IsEmpty());
  const json result = json::parse(evaluated.out);
  EXPECT_GE(result["accuracy"], 0.9);
  EXPECT_LE(result["accuracy"], 1.0);
  EXPECT_EQ(result["images"], 50);
  EXPECT_GT(result["seconds"], 0);
  EXPECT_EQ(result["model"], "lenet5");
  EXPECT_EQ(result["maps"], json::parse(R"({"weights": {"conv": "nearest,8,6"}})"));
  EXPECT_EQ(result["layers"][1]["layer"], "conv1");
  EXPECT_EQ(result["layers"][1]["weight"], "nearest,8,6");
  EXPECT_EQ(result["seed"], 0);
  EXPECT_EQ(result["data"], folder.string());
  EXPECT_EQ(json::parse(evaluate("net", {"--limit", "30", "--json"}).out)["images"], 30);
  EXPECT_THAT(evaluate("net").out, HasSubstr("accuracy "));
}

// The kernel's list of the files whose code this process runs.
bool is_mapped(const std::string& file) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(" " + file) && line.find("r-xp") != std::string::npos) return true;
  }
  return false;
}

TEST_F(ModelCommands, TrainAndEvaluateSayWhichLibrariesComputed) {
  const json trained = json::parse(train("net", {"--json"}).out)["libraries"];
  const json evaluated = json::parse(evaluate("net", {"--json"}).out)["libraries"];
  EXPECT_EQ(trained, evaluated);
  EXPECT_TRUE(is_mapped(trained["blas_file"])) << trained;
  EXPECT_EQ(trained["libtorch"], TORCH_VERSION);
  EXPECT_FALSE(trained["instruction_set"]["libtorch"].is_null()) << trained;
  EXPECT_EQ(trained["instruction_set"]["tensorquant"], simd_targets().front().name);

  const std::string line = "libtorch    " + trained["libtorch"].get<std::string>() + ", ";
  const std::string file = trained["blas_file"].get<std::string>() + "\n";
  EXPECT_THAT(evaluate("net").out, AllOf(HasSubstr(line), HasSubstr(file)));
  EXPECT_THAT(train("net").out, AllOf(HasSubstr("BLAS           "), HasSubstr(file)));
}

TEST_F(ModelCommands, TrainingTwiceGivesTheSameFile) {
  const std::vector<std::string> options = {"--epochs", "2", "--weights", "stochastic,6,4"};
  train("a", options);
  train("b", options);
  EXPECT_EQ(text_of("a"), text_of("b"));
  train("b", {"--epochs", "2", "--weights", "stochastic,6,4", "--seed", "1"});
  EXPECT_NE(text_of("a"), text_of("b"));
}

TEST_F(ModelCommands, FineTuningStartsFromTheGivenWeights) {
  train("float", {"--epochs", "8", "--learning-rate", "0.003"});
  const json result = json::parse(train("tuned", {"--epochs", "1", "--initial", file("float"),
                                                  "--weights", "nearest,4,3", "--json"})
                                      .out);
  EXPECT_EQ(result["initial"], file("float"));
  const json whole = json::parse(train("other", {"--epochs", "1", "--json"}).out);
  EXPECT_LT(result["results"][0]["loss"], whole["results"][0]["loss"]);
}

TEST_F(ModelCommands, ResumeGoesOnFromAnInterruptedRunToTheSameBits) {
  const std::vector<std::string> options = {"--epochs", "60", "--extrinsic", "stochastic,12,8"};
  ASSERT_EQ(train("whole", options).code, 0);

  std::vector<std::string> arguments = train_arguments("net");
  arguments.insert(arguments.end(), options.begin(), options.end());
  const pid_t child = spawn(arguments, "err");
  while (!std::filesystem::exists(folder / "net") && waitpid(child, nullptr, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(text_of("err"), AllOf(StartsWith("tensorquant: interrupted after "),
                                    HasSubstr(" of 240 batches; " + file("net") + " is complete"),
                                    HasSubstr("--resume")));

  EXPECT_EQ(evaluate("net").code, 0);
  EXPECT_NE(read_safetensors(file("net")).tensors.at("fc2.bias").bytes,
            read_safetensors(file("whole")).tensors.at("fc2.bias").bytes);
  const Result resumed = run({"train", "--checkpoint", file("net"), "--resume", "--json"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(json::parse(resumed.out)["steps"], 240);
  EXPECT_EQ(text_of("net"), text_of("whole"));
}

TEST_F(ModelCommands, ResumeRefusesOtherSettingsAndOtherData) {
  expect_one_line(train("none", {"--resume"}), 1);
  ASSERT_EQ(train("net", {"--epochs", "1", "--seed", "4", "--weights", "nearest,8,6"}).code, 0);
  const std::string before = text_of("net");
  const Result done = train("net", {"--resume", "--epochs", "1"});
  EXPECT_EQ(done.code, 0);
  EXPECT_THAT(done.err, HasSubstr("warning: nothing is left to do"));
  EXPECT_EQ(text_of("net"), before);

  const Result seed = train("net", {"--resume", "--seed", "5"});
  expect_one_line(seed, 2);
  EXPECT_THAT(seed.err, AllOf(HasSubstr("--seed"), HasSubstr("has 4")));
  expect_one_line(train("net", {"--resume", "--weights", "nearest,8,5"}), 2);
  expect_one_line(run({"train", "--checkpoint", file("net"), "--resume", "--model", "lenet"}), 2);
  write_images("train", 100);
  expect_one_line(train("net", {"--resume"}), 1);
  EXPECT_EQ(text_of("net"), before);
}

TEST_F(ModelCommands, ResumeRefusesFewerEpochsThanAreDone) {
  ASSERT_EQ(train("net", {"--epochs", "2"}).code, 0);
  const std::string before = text_of("net");
  const Result fewer = train("net", {"--resume", "--epochs", "1"});
  expect_one_line(fewer, 2);
  EXPECT_THAT(fewer.err, AllOf(HasSubstr("--epochs"), HasSubstr("more than the")));
  EXPECT_EQ(text_of("net"), before);
}

TEST_F(ModelCommands, FaultsOfTheCommandLineExitWith2) {
  const std::vector<std::vector<std::string>> lines = {
      {"evaluate", "--model", "lenet6", "--checkpoint", "x"},
      {"evaluate", "--model", "lenet"},
      {"evaluate", "--model", "lenet", "--checkpoint", "x", "--limit", "0"},
      {"evaluate", "--model", "lenet", "--checkpoint", "x", "--batch-size", "-1"},
      {"evaluate", "--model", "lenet", "--checkpoint", "x", "--weights", "neares,8,4"},
      {"evaluate", "--model", "lenet", "--checkpoint", "x", "--weights", "fp16", "--maps", "m"},
      {"train", "--checkpoint", "x"},
      {"train", "--model", "lenet", "--checkpoint", "x", "--epochs", "0"},
      {"train", "--model", "resnet20", "--checkpoint", file("x")},
      {"explain"},
      {"explain", "--model", "lenet", "--layers", "x"},
      {"explain", "--model", "lenet", "--suggest", "8"},
      {"explain", "--model", "lenet", "--suggest", "33", "--checkpoint", "x"},
      {"explain", "--model", "lenet", "--output", "x"},
      {"calibrate", "--model", "lenet", "--extrinsic", "int,8,scale=max"},
      {"calibrate", "--model", "lenet", "--checkpoint", "x", "--method", "percentle"}};
  for (const auto& line : lines) {
    SCOPED_TRACE(testing::PrintToString(line));
    expect_one_line(run(line), 2);
  }
  EXPECT_THAT(run(lines[0]).err, HasSubstr("lenet,lenet5,resnet20"));
}

TEST_F(ModelCommands, FaultsOfTheWorkExitWith1AndNameTheFile) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  const std::string bad = write_file("bad.json", "{\"conv\": \n 8}");
  const std::vector<std::pair<std::vector<std::string>, std::string>> lines = {
      {{"--checkpoint", file("none")}, file("none")},
      {{"--checkpoint", file("t10k-images-idx3-ubyte")}, "t10k-images"},
      {{"--data", file("none")}, file("none")},
      {{"--weights", file("none.json")}, file("none.json")},
      {{"--weights", bad}, bad + ":2:2"},
      {{"--logits", file("no/such/folder.npy")}, file("no/such")},
      {{"--trace", folder.string()}, folder.string()},
      {{"--trace", file("bad.json")}, bad},
      {{"--weights", R"({"conv9": "fp16"})", "--strict"}, "conv9"}};
  for (const auto& [options, name] : lines) {
    SCOPED_TRACE(testing::PrintToString(options));
    std::vector<std::string> line = {"evaluate", "--model", "lenet5"};
    if (options[0] != "--checkpoint") line.insert(line.end(), {"--checkpoint", file("net")});
    if (options[0] != "--data") line.insert(line.end(), {"--data", folder.string()});
    line.insert(line.end(), options.begin(), options.end());
    const Result result = run(line);
    expect_one_line(result, 1);
    EXPECT_THAT(result.err, HasSubstr(name));
  }
  EXPECT_EQ(text_of("bad.json"), "{\"conv\": \n 8}");
  expect_one_line(run({"train", "--model", "lenet5", "--data", folder.string(), "--checkpoint",
                       file("no/folder")}),
                  1);
}

TEST_F(ModelCommands, RulesThatDoNothingAreWarnings) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  for (const Result& result :
       {evaluate("net", {"--weights", R"({"fc": "fp16", "fc1": "bf16"})"}),
        run({"explain", "--model", "lenet5", "--weights", R"({"fc": "fp16", "fc1": "bf16"})"})}) {
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.err, AllOf(StartsWith("tensorquant: warning: "), HasSubstr("'fc1'")));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1);
  }
}

TEST_F(ModelCommands, LogitsAndTracesAreFilesThatCompareReads) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  ASSERT_EQ(evaluate("net", {"--logits", file("logits.npy"), "--trace", file("float")}).code, 0);
  EXPECT_EQ(read_npy(file("logits.npy")).shape, (Shape{50, 10}));
  EXPECT_EQ(json::parse(text_of("float/trace.json"))["layers"][1], "conv1");
  EXPECT_EQ(read_npy(file("float/conv1.npy")).shape, (Shape{50, 6, 28, 28}));

  for (int i = 0; i < 2; ++i) {  // the second replaces the first
    ASSERT_EQ(evaluate("net", {"--trace", file("q/"), "--weights", R"({"conv2": "fp16"})"}).code,
              0);
  }
  const json compared = json::parse(run({"compare", file("float"), file("q"), "--json"}).out);
  EXPECT_EQ(compared["first_difference"], "conv2");
  std::size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_EQ(entry.path().string().find(".new"), std::string::npos);
    EXPECT_EQ(entry.path().string().find(".old"), std::string::npos);
    ++entries;
  }
  EXPECT_EQ(entries, 4U + 2 + 1 + 2);
}

TEST_F(ModelCommands, RoundedArithmeticIsTrainedThroughAndReported) {
  const std::string map =
      R"({"": {"product": "nearest,16,8", "accumulator": "nearest,16,8"}, "fc2": null})";
  const Result trained = train("net", {"--intrinsic", map, "--epochs", "2", "--json"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  ASSERT_EQ(train("float", {"--epochs", "2"}).code, 0);
  EXPECT_NE(text_of("net"), text_of("float"));

  const json report =
      json::parse(evaluate("net", {"--intrinsic", "nearest,9,5", "--ranges", "--json"}).out);
  ASSERT_EQ(report["ranges"].size(), 5U);  // the layers with arithmetic
  const json& conv1 = report["ranges"][0];
  EXPECT_EQ(conv1["layer"], "conv1");
  // 50 images of 28 x 28 outputs in 6 channels, 25 taps each, and the bias.
  EXPECT_EQ(conv1["products"], 50 * 784 * 6 * 25);
  EXPECT_EQ(conv1["sums"], 50 * 784 * 6 * 26);
  for (const json& layer : report["ranges"]) {
    const bool fits = layer["sufficient_bits"] <= 9;
    if (!fits) continue;
    EXPECT_EQ(layer["clamped_sums"], 0) << layer;
  }
  EXPECT_EQ(report["layers"][1]["intrinsic"], "nearest,9,5") << report["layers"][1];
  ASSERT_EQ(report["kernels"].size(), 5U);
  EXPECT_EQ(report["kernels"][0]["layer"], "conv1");
  EXPECT_EQ(report["kernels"][0]["calls"], 1);  // a batch
  EXPECT_NE(report["kernels"][0]["kernel"], "");
  EXPECT_NE(report["kernels"][0]["reason"], "");
  EXPECT_THAT(evaluate("net", {"--intrinsic", "nearest,9,5", "--ranges"}).out,
              AllOf(HasSubstr("sums clamped"), HasSubstr("accumulator bits needed")));
}

// Of the numbers k / 32 for k in [-32, 31].
struct Counts {
  std::uint64_t values = 0, saturated = 0, nonzero = 0, became_zero = 0;
};

Counts count(std::span<const float> x) {
  Counts counts;
  for (const float value : x) {
    const double k = std::round(value * 32.0);
    ++counts.values;
    if (k < -32 || k > 31) ++counts.saturated;
    if (value == 0) continue;
    ++counts.nonzero;
    if (k == 0) ++counts.became_zero;
  }
  return counts;
}

void expect_counts(const json& place, const Counts& counts) {
  EXPECT_EQ(place["values"], counts.values) << place;
  EXPECT_EQ(place["saturated"], counts.saturated) << place;
  EXPECT_EQ(place["nonzero"], counts.nonzero) << place;
  EXPECT_EQ(place["became_zero"], counts.became_zero) << place;
  const double values = static_cast<double>(counts.values);
  EXPECT_EQ(place["saturated_share"], static_cast<double>(counts.saturated) / values);
}

TEST_F(ModelCommands, RangesOfPlacesAreThoseOfTheTracesAndTheWeights) {
  ASSERT_EQ(train("net", {"--epochs", "4", "--learning-rate", "0.003"}).code, 0);
  ASSERT_EQ(evaluate("net", {"--trace", file("float")}).code, 0);
  // Only the first layer with a quantizer gets the float network's numbers.
  std::uint64_t saturated = 0, became_zero = 0;
  for (const char* layer : {"conv1", "relu1", "fc2"}) {
    const std::string map = "{\"=" + std::string(layer) + "\": \"nearest,6,5\"}";
    const json report =
        json::parse(evaluate("net", {"--extrinsic", map, "--ranges", "--json"}).out);
    ASSERT_EQ(report["places"].size(), 1U) << report;
    const json& place = report["places"][0];
    EXPECT_EQ(place["layer"], layer);
    EXPECT_EQ(place["place"], "output");
    EXPECT_EQ(place["quantizer"], "nearest,6,5");
    EXPECT_EQ(place["bits_per_value"], 6);
    const Array trace = read_npy(file("float/" + std::string(layer) + ".npy"));
    expect_counts(place, count(trace.as<float>()));
    saturated += place["saturated"].get<std::uint64_t>();
    became_zero += place["became_zero"].get<std::uint64_t>();
    EXPECT_TRUE(report["ranges"].empty());
  }
  EXPECT_GT(saturated, 0U);
  EXPECT_GT(became_zero, 0U);

  const json weights =
      json::parse(evaluate("net", {"--weights", "nearest,6,5", "--ranges", "--json"}).out);
  const Safetensors checkpoint = read_safetensors(file("net"));
  ASSERT_EQ(weights["places"].size(), 10U);  // weight and bias of five layers
  for (const json& place : weights["places"]) {
    const std::string name =
        place["layer"].get<std::string>() + "." + place["place"].get<std::string>();
    expect_counts(place, count(checkpoint.tensors.at(name).as<float>()));
  }
}

TEST_F(ModelCommands, RangesTellTheBitsAValueWithScales) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  const std::vector<std::string> options = {
      "--weights", R"({"": {"weight": "mxfp4"}})", "--extrinsic",
      R"({"=input": "nearest,8,7,unsigned", "fc": "int,8,per=channel,scale=max"})", "--ranges"};
  const std::string table = evaluate("net", options).out;
  EXPECT_THAT(table, AllOf(HasSubstr("4.25 with the scales"), HasSubstr("8, and 32 for each scale"),
                           HasSubstr("became zero")));
  std::vector<std::string> with_json = options;
  with_json.push_back("--json");
  const json places = json::parse(evaluate("net", with_json).out)["places"];
  EXPECT_EQ(places[0]["layer"], "input");
  EXPECT_EQ(places[0]["values"], 50 * 784);
  EXPECT_EQ(places[0]["saturated"], 0);
  EXPECT_EQ(places[1]["layer"], "conv1");
  EXPECT_EQ(places[1]["place"], "weight");
  EXPECT_EQ(places[1]["bits_per_value"], 4.25);
  EXPECT_EQ(places[1]["values"], 6 * 25);
  EXPECT_TRUE(places.back()["bits_per_value"].is_null()) << places.back();
  EXPECT_EQ(places.back()["scale_bits"], 32);
  EXPECT_EQ(places.back()["place"], "output");
}

TEST_F(ModelCommands, ExplainListsQuantizersAndTheRulesThatChoseThem) {
  const std::string maps = write_file("maps.json", R"({
    "weights": {"Conv1": "nearest,32,16", "Dense3": {"bias": "fp16"}},
    "extrinsic": {"Conv1": "nearest,12,11", "": "fp16"}})");
  const Result table = run({"explain", "--model", "lenet", "--maps", maps});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("extrinsic \"Conv1\" (" + maps + ":3:19)"));
  const json result =
      json::parse(run({"explain", "--model", "lenet", "--maps", maps, "--json"}).out);
  std::vector<std::string> outputs, weights;
  for (const json& layer : result["layers"]) {
    outputs.push_back(layer["output"]);
    weights.push_back(layer["weight"].is_null() ? "" : layer["weight"]);
  }
  EXPECT_THAT(outputs,
              ElementsAre("fp16", "nearest,12,11", "fp16", "fp16", "fp16", "fp16", "fp16", "fp16"));
  EXPECT_THAT(weights, ElementsAre("", "nearest,32,16", "", "", "", "", "", ""));
  EXPECT_EQ(result["layers"][6]["bias"], "fp16");
}

TEST_F(ModelCommands, MapsOfTrainingAreForPython) {
  const std::string maps = write_file("maps.json", R"({"gradients": {"Conv1": "fp16"}})");
  const Result result = run({"explain", "--model", "lenet", "--maps", maps});
  EXPECT_NE(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr(maps + ":1:16: the gradients map is for tensorquant.torch in "
                                           "Python; here nothing of training is quantized"));
}

TEST_F(ModelCommands, ExplainSaysWhatEvaluateSays) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  const std::vector<std::string> maps = {"--weights", R"({"fc1": "none", "": "nearest,8,6"})",
                                         "--intrinsic", "nearest,16,8", "--json"};
  std::vector<std::string> line = {"explain", "--model", "lenet5"};
  line.insert(line.end(), maps.begin(), maps.end());
  const json explained = json::parse(run(line).out)["layers"];
  EXPECT_EQ(explained, json::parse(evaluate("net", maps).out)["layers"]);
  EXPECT_EQ(explained[1]["intrinsic"], "nearest,16,8") << explained[1];
  EXPECT_EQ(explained[2]["intrinsic"], "nothing to round") << explained[2];
}

TEST_F(ModelCommands, ExplainTakesNamesFromAFile) {
  const std::string names = write_file("names", "features.conv1\r\n\n  head \n");
  const json result =
      json::parse(run({"explain", "--layers", names, "--intrinsic", "nearest,8,4", "--json"}).out);
  EXPECT_EQ(result["layers"].size(), 2U);
  EXPECT_EQ(result["layers"][1]["layer"], "head");
  EXPECT_EQ(result["layers"][1]["intrinsic"], "nearest,8,4");
  expect_one_line(run({"explain", "--layers", write_file("empty", "\n")}), 1);
  const std::string mark = "\xEF\xBB\xBF";
  const json marked = json::parse(run({"explain", "--layers", write_file("marked", mark + "fc\n"),
                                       "--weights", mark + R"({"=fc": "fp16"})", "--json"})
                                      .out);
  EXPECT_EQ(marked["layers"][0]["layer"], "fc");
  EXPECT_EQ(marked["layers"][0]["weight"], "fp16");
  const Result wide = run({"explain", "--layers",
                           write_file("wide", std::string("\xFF\xFE"
                                                          "f\0",
                                                          4))});
  expect_one_line(wide, 1);
  EXPECT_THAT(wide.err, HasSubstr("wide: the text is UTF-16, expected UTF-8"));
  const Result strict =
      run({"explain", "--layers", names, "--weights", R"({"heads": "fp16"})", "--strict"});
  expect_one_line(strict, 1);
  EXPECT_THAT(strict.err, HasSubstr("the nearest is 'head'"));
}

TEST_F(ModelCommands, SuggestWritesAMapThatEvaluateReads) {
  ASSERT_EQ(train("net", {"--epochs", "8", "--learning-rate", "0.003"}).code, 0);
  const std::vector<std::string> line = {"explain",       "--suggest",    "10",
                                         "--model",       "lenet5",       "--data",
                                         folder.string(), "--checkpoint", file("net")};
  const Result shown = run(line);
  ASSERT_EQ(shown.code, 0) << shown.err;
  const json maps = json::parse(shown.out);
  EXPECT_THAT(maps["weights"]["=conv1"]["weight"], StartsWith("nearest,10,"));
  EXPECT_TRUE(maps["extrinsic"].contains("=relu4"));

  std::vector<std::string> to_file = line;
  to_file.insert(to_file.end(), {"--output", file("maps.json")});
  ASSERT_EQ(run(to_file).code, 0);
  EXPECT_EQ(text_of("maps.json"), shown.out);
  const double accuracy = json::parse(evaluate("net", {"--json"}).out)["accuracy"];
  const Result quantized = evaluate("net", {"--maps", file("maps.json"), "--strict", "--json"});
  ASSERT_EQ(quantized.code, 0) << quantized.err;
  EXPECT_GE(json::parse(quantized.out)["accuracy"], accuracy - 0.03);
}

TEST_F(ModelCommands, CalibrateWritesNumbersThatEvaluateReads) {
  ASSERT_EQ(train("net", {"--epochs", "8", "--learning-rate", "0.003"}).code, 0);
  const std::vector<std::string> line = {
      "calibrate",
      "--model",
      "lenet5",
      "--data",
      folder.string(),
      "--checkpoint",
      file("net"),
      "--weights",
      R"({"": {"weight": "int,8,per=channel,scale=max"}})",
      "--method",
      "percentile=99.9",
      "--extrinsic",
      R"({"relu4": "int,8,unsigned,scale=range", "": "int,8,scale=max"})"};
  const Result shown = run(line);
  ASSERT_EQ(shown.code, 0) << shown.err;
  const json maps = json::parse(shown.out);
  EXPECT_EQ(maps["weights"][""]["weight"], "int,8,per=channel,scale=max");
  EXPECT_THAT(maps["extrinsic"]["=conv1"], StartsWith("int,8,scale=0."));
  EXPECT_THAT(maps["extrinsic"]["=relu4"], StartsWith("int,8,unsigned,scale=0."));

  std::vector<std::string> to_file = line;
  to_file.insert(to_file.end(), {"--output", file("int8.json")});
  ASSERT_EQ(run(to_file).code, 0);
  EXPECT_EQ(text_of("int8.json"), shown.out);
  const double accuracy = json::parse(evaluate("net", {"--json"}).out)["accuracy"];
  const Result quantized = evaluate("net", {"--maps", file("int8.json"), "--strict", "--json"});
  ASSERT_EQ(quantized.code, 0) << quantized.err;
  EXPECT_GE(json::parse(quantized.out)["accuracy"], accuracy - 0.03);
}

TEST_F(ModelCommands, CalibrateRefusesWhatItCannotFind) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  const auto calibrate = [&](const std::string& rule, const std::string& method) {
    return run({"calibrate", "--model", "lenet5", "--data", folder.string(), "--checkpoint",
                file("net"), "--extrinsic", rule, "--method", method, "--output",
                file("out.json")});
  };
  for (const auto& [rule, method, says] :
       {std::tuple{"nearest,8,4", "minmax", "no layer has an extrinsic quantizer to calibrate"},
        std::tuple{"int,8,scale=range", "mse", "'mse' finds a magnitude"},
        std::tuple{"int,16,scale=max", "entropy", "the output of "}}) {
    const Result result = calibrate(rule, method);
    expect_one_line(result, 1);
    EXPECT_THAT(result.err, HasSubstr(says));
    EXPECT_FALSE(std::filesystem::exists(file("out.json")));
  }
}

}  // namespace
}  // namespace tensorquant
