// An evaluator that sleeps, for tests of who hands out work: simulated_evaluator LOG. Answers
// {"task": N, "milliseconds": M} by
// {"value": N * N}, after a line "N PID PARENT" in LOG. With "dies" it aborts first, with
// "takes_all" it kills its parent too. {} it answers by {}.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const int log = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = nlohmann::json::parse(line);
    if (request.empty()) {
      std::puts("{}");
      std::fflush(stdout);
      continue;
    }
    const int task = request.at("task");
    const std::string text = std::to_string(task) + " " + std::to_string(getpid()) + " " +
                             std::to_string(getppid()) + "\n";
    if (write(log, text.data(), text.size()) < 0) return 1;
    std::this_thread::sleep_for(std::chrono::milliseconds(request.at("milliseconds")));
    if (request.value("takes_all", false)) kill(getppid(), SIGKILL);
    if (request.value("dies", false)) raise(SIGKILL);
    std::printf("{\"value\": %d}\n", task * task);
    std::fflush(stdout);
  }
}
