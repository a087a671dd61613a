#include "tensorquant/sweep/tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Workers whose outcomes come in the order of their requests, but for those that take longer, and
// are as a function says: an answer, or nothing where the evaluator dies.
class FakeWorkers : public Workers {
 public:
  using Evaluator = std::function<std::optional<std::string>(const std::string& request)>;
  FakeWorkers(std::size_t count, Evaluator evaluator)
      : count_(count), evaluator_(std::move(evaluator)) {}

  std::size_t count() const override { return count_; }
  void give(std::size_t worker, const std::string& request) override {
    EXPECT_LT(worker, count_);
    for (const auto& [busy, text] : running_) EXPECT_NE(busy, worker);
    running_.emplace_back(worker, request);
    given.push_back(request);
    beside.push_back(running_.size());
  }
  std::optional<Outcome> wait(std::chrono::milliseconds) override {
    if (running_.empty()) return std::nullopt;
    const auto next = std::min_element(
        running_.begin(), running_.end(),
        [this](const auto& a, const auto& b) { return takes[a.second] < takes[b.second]; });
    const auto [worker, request] = *next;
    running_.erase(next);
    const std::optional<std::string> answer = evaluator_(request);
    return Outcome{worker, !answer, answer.value_or("by signal 9")};
  }

  std::vector<std::string> given;
  std::vector<std::size_t> beside;  // how many ran, each time that one was given
  std::map<std::string, int> takes;

 private:
  std::size_t count_;
  Evaluator evaluator_;
  std::deque<std::pair<std::size_t, std::string>> running_;
};

constexpr const char* kShared = R"({"model": "none"})";
constexpr const char* kResult = R"({"kl":1})";

class TasksTest : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    store.emplace(folder, kShared);
    settings.record = [](const Task&, const std::string& answer) { return answer; };
    settings.harmless = "harmless";
  }

  // A task's request is its key.
  static std::vector<Task> tasks(const std::vector<std::string>& keys) {
    std::vector<Task> all;
    for (const std::string& key : keys) all.push_back({key, key});
    return all;
  }
  std::size_t run(const std::vector<std::string>& keys, Workers& workers) {
    return run_tasks(*store, tasks(keys), workers, settings);
  }
  void write_lines(const std::string& text) const {
    std::ofstream(folder / "records-other-1-1.jsonl", std::ios::app) << text;
  }
  static std::string starts(const std::string& key, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += json{{"started", key}}.dump() + "\n";
    return text;
  }
  // As the next process on this store finds it.
  void reopen() {
    store.reset();
    store.emplace(folder, kShared);
  }

  std::optional<Store> store;
  TaskSettings settings;
};

TEST_F(TasksTest, AreGivenOutInOrderToAllWorkersAndHaveARecordEach) {
  FakeWorkers workers(2, [](const std::string& key) { return json{{"of", key}}.dump(); });
  std::vector<std::size_t> done;
  settings.after = [&](std::size_t count) { done.push_back(count); };
  EXPECT_EQ(run({"c", "a", "b", "a"}, workers), 3U);
  EXPECT_THAT(workers.given, ElementsAre("c", "a", "b"));
  EXPECT_THAT(workers.beside, ElementsAre(1, 2, 2));
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
  for (const char* const key : {"a", "b", "c"}) {
    EXPECT_EQ(store->find(key), json({{"of", key}}).dump());
  }
}

TEST_F(TasksTest, WithARecordAreNotEvaluatedButErrorsWhereTheyAreTriedAgain) {
  store->put("good", kResult);
  store->put("bad", R"({"error": "once"})");
  FakeWorkers workers(1, [](const std::string&) { return kResult; });
  EXPECT_EQ(run({"good", "bad"}, workers), 0U);
  EXPECT_TRUE(has_failed(*store, "bad"));
  settings.retry = true;
  EXPECT_EQ(run({"good", "bad"}, workers), 1U);
  EXPECT_THAT(workers.given, ElementsAre("bad"));
  EXPECT_FALSE(has_failed(*store, "bad"));
}

TEST_F(TasksTest, AreGivenOutAgainAfterTwoDeathsAndAreAnErrorAfterTheThird) {
  int deaths = 0;
  FakeWorkers workers(1, [&](const std::string& key) -> std::optional<std::string> {
    if (key == "dies twice" && ++deaths <= 2) return std::nullopt;
    if (key == "dies") return std::nullopt;
    return kResult;
  });
  EXPECT_EQ(run({"dies", "good", "dies twice"}, workers), 1U + 3U + 3U);
  EXPECT_EQ(store->find("good"), kResult);
  EXPECT_EQ(store->find("dies twice"), kResult);
  EXPECT_EQ(store->find("dies"), R"({"error":"its evaluator died 3 times, at last by signal 9"})");
  // The first of them came before any answer.
  EXPECT_EQ(store->count("died", "dies"), 3U);
  EXPECT_EQ(std::count(workers.given.begin(), workers.given.end(), "harmless"), 0);
}

TEST_F(TasksTest, ThatKillAreToldByAHarmlessRequestWhereNothingElseIsAnswered) {
  FakeWorkers workers(2, [](const std::string& key) -> std::optional<std::string> {
    if (key != "harmless") return std::nullopt;
    return "{}";
  });
  EXPECT_EQ(run({"a", "b"}, workers), 6U);
  EXPECT_TRUE(has_failed(*store, "a"));
  EXPECT_TRUE(has_failed(*store, "b"));
  EXPECT_EQ(std::count(workers.given.begin(), workers.given.end(), "harmless"), 1);
}

TEST_F(TasksTest, WaitForTheWorkerThatHasTheHarmlessRequest) {
  int deaths = 0;
  FakeWorkers workers(3, [&](const std::string& key) -> std::optional<std::string> {
    if (key == "dies" || (key == "dies once" && ++deaths == 1)) return std::nullopt;
    return kResult;
  });
  // The third task's answer comes while the first worker has the request, and the second task
  // again.
  workers.takes = {{"dies", 0}, {"dies once", 1}, {"answers", 2}, {"harmless", 3}};
  EXPECT_EQ(run({"dies", "dies once", "answers"}, workers), 3U + 2U + 1U);
  EXPECT_THAT(workers.given,
              ElementsAre("dies", "dies once", "answers", "dies", "dies", "harmless", "dies once"));
  EXPECT_TRUE(has_failed(*store, "dies"));
  EXPECT_FALSE(has_failed(*store, "dies once"));
}

TEST_F(TasksTest, AreNotBlamedForEvaluatorsThatDoNothingButDie) {
  FakeWorkers broken(2, [](const std::string&) { return std::nullopt; });
  EXPECT_EQ(error_of([&] {
              run({"a", "b", "c"}, broken);
            }),
            "evaluators do nothing but die, at last by signal 9");
  EXPECT_GE(std::count(broken.given.begin(), broken.given.end(), "harmless"), 3);
  reopen();
  EXPECT_EQ(store->size(), 0U);
  for (const char* const key : {"a", "b", "c"}) {
    EXPECT_EQ(store->count("died", key), 0U);
    EXPECT_EQ(store->lost_starts(key), 0U);
  }
  // Where they work there are still three deaths to be had.
  int deaths = 0;
  FakeWorkers good(2, [&](const std::string& key) -> std::optional<std::string> {
    return key == "a" && ++deaths <= 2 ? std::nullopt : std::optional<std::string>(kResult);
  });
  EXPECT_EQ(run({"a", "b", "c"}, good), 5U);
  EXPECT_EQ(store->find("a"), kResult);
}

TEST_F(TasksTest, ThatRunWhenAllIsToEndHaveTheirResultAndTheOthersGoOnLater) {
  bool ends = false;
  settings.ends = [&] { return ends; };
  FakeWorkers workers(2, [&](const std::string&) {
    ends = true;
    return kResult;
  });
  EXPECT_EQ(error_of([&] { run({"a", "b", "c"}, workers); }), "interrupted");
  EXPECT_THAT(workers.given, ElementsAre("a", "b"));
  EXPECT_EQ(store->size(), 2U);
  ends = false;
  EXPECT_EQ(run({"a", "b", "c"}, workers), 1U);
}

// As where mpirun kills a second after its SIGTERM.
TEST_F(TasksTest, AreGivenBackAsSoonAsAllIsToEnd) {
  bool ends = false;
  settings.ends = [&] { return ends; };
  FakeWorkers workers(3, [&](const std::string& key) {
    if (key == "a") ends = true;
    if (key == "b") {
      EXPECT_EQ(store->count("stopped", "b"), 1U);
      EXPECT_EQ(store->count("stopped", "c"), 1U);
    }
    return kResult;
  });
  EXPECT_EQ(error_of([&] { run({"a", "b", "c", "d"}, workers); }), "interrupted");
  EXPECT_EQ(store->count("stopped", "a"), 0U);
  EXPECT_EQ(store->size(), 3U);
}

TEST_F(TasksTest, WhoseEvaluatorDiesWhenAllIsToEndAreNotBlamed) {
  bool ends = false;
  settings.ends = [&] { return ends; };
  FakeWorkers workers(1, [&](const std::string& key) -> std::optional<std::string> {
    if (key == "a") return kResult;
    ends = true;
    return std::nullopt;
  });
  EXPECT_EQ(error_of([&] { run({"a", "b"}, workers); }), "interrupted");
  reopen();
  EXPECT_EQ(store->count("died", "b"), 0U);
  EXPECT_EQ(store->lost_starts("b"), 0U);
}

TEST_F(TasksTest, AreNotLostWhereAnErrorEndsAll) {
  OwnProcess own([](const std::string&) -> std::string { throw Error("interrupted"); });
  EXPECT_EQ(error_of([&] { run({"a", "b"}, own); }), "interrupted");
  settings.record = [](const Task&, const std::string&) -> std::string {
    throw Error("other data");
  };
  FakeWorkers workers(2, [](const std::string&) { return kResult; });
  EXPECT_EQ(error_of([&] { run({"a", "b"}, workers); }), "other data");
  reopen();
  EXPECT_EQ(store->count("started", "a"), 2U);
  EXPECT_EQ(store->lost_starts("a"), 0U);
  EXPECT_EQ(store->lost_starts("b"), 0U);
}

TEST_F(TasksTest, ThatTookAJobAlongComeLastAndAloneAndAreAnErrorAfterTen) {
  write_lines(starts("ten", 10) + starts("nine", 9) + starts("two", 2));
  store->refresh();
  FakeWorkers workers(3, [](const std::string&) { return kResult; });
  EXPECT_EQ(run({"ten", "nine", "two", "none"}, workers), 3U);
  EXPECT_THAT(workers.given, ElementsAre("none", "two", "nine"));
  EXPECT_THAT(workers.beside, ElementsAre(1, 2, 1));
  EXPECT_THAT(store->find("ten").value(), HasSubstr("started 10 times"));
  EXPECT_EQ(store->find("nine"), kResult);
  settings.retry = true;
  EXPECT_EQ(run({"ten"}, workers), 1U);
  EXPECT_EQ(store->find("ten"), kResult);
}

TEST_F(TasksTest, ThatLivingManagersHaveStartedAreNotLost) {
  Store other(folder, kShared);
  for (int i = 0; i < 10; ++i) other.note("started", "a", true);
  store->refresh();
  FakeWorkers workers(2, [](const std::string&) { return kResult; });
  EXPECT_EQ(run({"a", "b"}, workers), 2U);
  EXPECT_THAT(workers.given, ElementsAre("b", "a"));
  EXPECT_THAT(workers.beside, ElementsAre(1, 2));
  EXPECT_EQ(store->find("a"), kResult);
}

TEST_F(TasksTest, ThatAnotherManagerHasDoneMeanwhileAreNotEvaluated) {
  FakeWorkers workers(1, [this](const std::string&) {
    Store(folder, kShared).put("b", kResult);
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // it is looked once a second
    return kResult;
  });
  EXPECT_EQ(run({"a", "b"}, workers), 1U);
  EXPECT_THAT(workers.given, ElementsAre("a"));
}

TEST_F(TasksTest, WhoseAnswerIsNoObjectAreAnError) {
  FakeWorkers workers(1, [](const std::string&) { return "Segmentation \xff fault"; });
  EXPECT_EQ(run({"a"}, workers), 1U);
  EXPECT_THAT(store->find("a").value(), HasSubstr("answered Segmentation"));
}

}  // namespace
}  // namespace tensorquant
