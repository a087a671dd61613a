// What evaluate and train make of the files that they are given or find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tensorquant/cli/test_commands.h"
#include "tensorquant/data/safetensors.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class ModelFiles : public ModelCommands {
 protected:
  // A copy of a checkpoint with these numbers at the front of a tensor.
  void copy_with(const std::string& from, const std::string& to, const std::string& tensor,
                 const std::vector<float>& numbers) const {
    Safetensors checkpoint = read_safetensors(file(from));
    Array& array = checkpoint.tensors.at(tensor);
    const auto bytes = std::as_bytes(std::span(numbers));
    std::copy(bytes.begin(), bytes.end(), array.bytes.begin());
    write_safetensors(file(to), checkpoint);
  }

  std::set<std::string> names() const {
    std::set<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      result.insert(entry.path().filename().string());
    }
    return result;
  }
};

TEST_F(ModelFiles, WithOnlyFiniteNumbersGiveNoWarning) {
  const Result trained = train("net", {"--epochs", "1", "--json"});
  const Result evaluated = evaluate("net", {"--json"});
  EXPECT_THAT(trained.err + evaluated.err, IsEmpty());
  EXPECT_EQ(json::parse(trained.out)["non_finite"],
            json::parse(R"({"weights": {"count": 0, "first": null}})"));
  EXPECT_EQ(json::parse(evaluated.out)["non_finite"],
            json::parse(R"({"weights": {"count": 0, "first": null}, "images": 0, "layer": null})"));
}

TEST_F(ModelFiles, NonFiniteWeightsAreCountedAndNamedWithWhatTheyDo) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  copy_with("net", "bad", "conv2.bias", {kNaN, 0, kInfinity});
  const Result result = evaluate("bad", {"--json"});
  ASSERT_EQ(result.code, 0);
  EXPECT_EQ(result.err,
            "tensorquant: warning: " + file("bad") +
                ": NaN or infinite numbers: 2, the first in 'conv2.bias'\n"
                "tensorquant: warning: NaN or infinite logits: those of 50 of 50 images; "
                "the first layer with such an output is 'conv2'\n");
  EXPECT_EQ(json::parse(result.out)["non_finite"],
            json::parse(R"({"weights": {"count": 2, "first": "conv2.bias"}, "images": 50,
                            "layer": "conv2"})"));
}

TEST_F(ModelFiles, OverflowInOneLayerIsNamedThoughAllWeightsAreFinite) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  copy_with("net", "large", "fc2.bias", {3e38F, 3e38F});
  copy_with("large", "large", "fc1.bias", std::vector<float>(8, 3e38F));
  copy_with("large", "large", "fc2.weight", std::vector<float>(8, 3e38F));
  const json report = json::parse(evaluate("large", {"--json", "--batch-size", "7"}).out);
  EXPECT_EQ(report["non_finite"]["weights"]["count"], 0);
  EXPECT_EQ(report["non_finite"]["images"], 50);
  EXPECT_EQ(report["non_finite"]["layer"], "fc2");
  // A format that saturates is the cure.
  const Result cured = evaluate("large", {"--json", "--weights", "nearest,16,8"});
  EXPECT_THAT(cured.err, IsEmpty());
  EXPECT_EQ(json::parse(cured.out)["non_finite"]["images"], 0);
}

TEST_F(ModelFiles, TrainingFromNaNEndsAtTheFirstBatchAndWritesNothing) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  copy_with("net", "bad", "conv2.weight", {kNaN});
  const std::set<std::string> before = names();
  const Result result = train("tuned", {"--initial", file("bad"), "--epochs", "5"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err,
            "tensorquant: warning: " + file("bad") +
                ": NaN or infinite numbers: 1, the first in 'conv2.weight'\n"
                "tensorquant: the loss is NaN in epoch 1, batch 1; the first output that is not "
                "finite is that of 'conv2'; try a smaller learning rate or wider formats\n");
  EXPECT_EQ(names(), before);
}

TEST_F(ModelFiles, InFloat64AreConvertedWithANote) {
  ASSERT_EQ(train("net", {"--epochs", "1"}).code, 0);
  Safetensors wide = read_safetensors(file("net"));
  for (auto& [name, array] : wide.tensors) {
    const std::span<const float> values = array.as<float>();
    array = make_array<double>(array.shape, std::vector<double>(values.begin(), values.end()));
  }
  write_safetensors(file("wide"), wide);
  const Result exact = evaluate("wide", {"--json"});
  EXPECT_EQ(exact.err, "tensorquant: note: " + file("wide") +
                           ": 61706 numbers in 10 tensors made float32, all of them exactly\n");
  EXPECT_EQ(json::parse(exact.out)["correct"],
            json::parse(evaluate("net", {"--json"}).out)["correct"]);

  const double tenth = 0.1;
  std::memcpy(wide.tensors.at("fc2.bias").bytes.data(), &tenth, sizeof tenth);
  write_safetensors(file("wide"), wide);
  EXPECT_THAT(evaluate("wide").err, HasSubstr(" made float32, 1 of them rounded\n"));
}

TEST_F(ModelFiles, OfARunBelongToItWhileItLives) {
  std::vector<std::string> arguments = train_arguments("net");
  arguments.insert(arguments.end(), {"--epochs", "100000"});
  const pid_t first = spawn(arguments, "err");
  while (!std::filesystem::exists(folder / "net") && waitpid(first, nullptr, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  // A second run with the same files, and one whose OUT is the first one's OUT.train.
  const std::string holder = "another run writes this file (process " + std::to_string(first);
  std::filesystem::create_symlink("net", folder / "link");
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--epochs", "1"}, {"--resume"}}) {
    const Result second = train("net", options);
    expect_one_line(second, 1);
    EXPECT_THAT(second.err, StartsWith("tensorquant: " + file("net") + ": " + holder));
  }
  EXPECT_THAT(train("net.train").err, StartsWith("tensorquant: " + file("net.train: ") + holder));
  EXPECT_THAT(train("link").err, StartsWith("tensorquant: " + file("link: ") + holder));
  EXPECT_EQ(train("other", {"--epochs", "1"}).code, 0);
  EXPECT_EQ(evaluate("net").code, 0);

  kill(first, SIGKILL);
  ASSERT_EQ(waitpid(first, nullptr, 0), first);
  EXPECT_THAT(text_of("err"), IsEmpty());
  std::filesystem::remove(folder / "link");
  const Result next = train("net", {"--epochs", "1", "--seed", "3"});
  EXPECT_EQ(next.code, 0) << next.err;
  EXPECT_EQ(names(), (std::set<std::string>{"err", "net", "net.train", "other", "other.train",
                                            "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
                                            "train-images-idx3-ubyte", "train-labels-idx1-ubyte"}));
}

}  // namespace
}  // namespace tensorquant
