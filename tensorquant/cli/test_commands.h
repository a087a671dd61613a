#ifndef TENSORQUANT_CLI_TEST_COMMANDS_H_
#define TENSORQUANT_CLI_TEST_COMMANDS_H_

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tensorquant/base/test_files.h"
#include "tensorquant/cli/command_line.h"

extern char** environ;

// The program on small images of its own, for the tests of commands with models.
namespace tensorquant {

struct Result {
  int code;
  std::string out, err;
};

class ModelCommands : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    write_images("train", 200);
    write_images("t10k", 50);
  }

  // MNIST-style files in which class c has rows of its own.
  void write_images(const std::string& split, int count) const {
    std::string images = {0, 0, 8, 3, 0, 0, 0, char(count), 0, 0, 0, 28, 0, 0, 0, 28};
    std::string labels = {0, 0, 8, 1, 0, 0, 0, char(count)};
    for (int i = 0; i < count; ++i) {
      labels += char(i % 10);
      for (int p = 0; p < 784; ++p)
        images += char((p / 56) % 10 == i % 10 ? 200 - i : (i * p) % 50);
    }
    write_file(split + "-images-idx3-ubyte", images);
    write_file(split + "-labels-idx1-ubyte", labels);
  }

  std::string write_file(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name, std::ios::binary) << text;
    return (folder / name).string();
  }
  std::string file(const std::string& name) const { return (folder / name).string(); }
  std::string text_of(const std::string& name) const {
    const Bytes bytes = read_file(folder / name);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  static Result run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "tensorquant");
    std::vector<char*> argv;
    argv.reserve(arguments.size());
    for (std::string& argument : arguments) argv.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Result result;
    result.code = cli::run_command_line(static_cast<int>(argv.size()), argv.data());
    std::fflush(stdout);
    result.out = testing::internal::GetCapturedStdout();
    result.err = testing::internal::GetCapturedStderr();
    return result;
  }

  // LeNet-5 on the folder's images.
  std::vector<std::string> train_arguments(const std::string& checkpoint) const {
    return {"train",
            "--model",
            "lenet5",
            "--data",
            folder.string(),
            "--checkpoint",
            file(checkpoint),
            "--batch-size",
            "50",
            "--threads",
            "1"};
  }
  Result train(const std::string& checkpoint, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = train_arguments(checkpoint);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  Result evaluate(const std::string& checkpoint, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"evaluate",      "--model",       "lenet5",
                                          "--data",        folder.string(), "--checkpoint",
                                          file(checkpoint)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }

  // The program as a process of its own; its stderr goes to a file.
  pid_t spawn(std::vector<std::string> arguments, const std::string& err) const {
    arguments.insert(arguments.begin(), TENSORQUANT_PROGRAM);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, file(err).c_str(), O_WRONLY | O_CREAT, 0600);
    pid_t child = 0;
    EXPECT_EQ(posix_spawn(&child, TENSORQUANT_PROGRAM, &files, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
    return child;
  }

  static void expect_one_line(const Result& result, int code) {
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_THAT(result.out, testing::IsEmpty());
    EXPECT_THAT(result.err, testing::StartsWith("tensorquant: "));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_CLI_TEST_COMMANDS_H_
