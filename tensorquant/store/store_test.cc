#include "tensorquant/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/base/test_files.h"
#include "tensorquant/base/test_process.h"

namespace tensorquant {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kShared = R"({"model": "lenet", "images": 256})";

class StoreTest : public FileTest {
 protected:
  std::filesystem::path runs() const { return folder / "runs"; }

  std::vector<std::filesystem::path> record_files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(runs())) {
      if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
    }
    return files;
  }

  void write_lines(const std::string& name, const std::string& text) const {
    std::ofstream(runs() / ("records-" + name + ".jsonl"), std::ios::binary) << text;
  }

  std::string error_of_opening(const char* shared = kShared) const {
    try {
      const Store store(runs(), shared);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(StoreTest, FindsWhatAnEarlierProcessPut) {
  const std::string key = "{\"maps\":\"\xc3\xa4\\n\"}";
  {
    Store store(runs(), kShared);
    EXPECT_EQ(store.find(key), std::nullopt);
    store.put(key, R"({"kl": 0.1, "flips": 3})");
    store.put("other", R"({"kl": 1e-300})");
    EXPECT_EQ(store.find(key), R"({"flips":3,"kl":0.1})");
  }
  const Store store(runs(), kShared);
  EXPECT_EQ(store.size(), 2U);
  EXPECT_EQ(store.find(key), R"({"flips":3,"kl":0.1})");
  EXPECT_EQ(store.find("other"), R"({"kl":1e-300})");
}

TEST_F(StoreTest, CutAtAnyByteOfTheLastLineKeepsTheOthers) {
  Store(runs(), kShared);
  const std::string first = "{\"key\":\"a\",\"kl\":1}\n", last = "{\"key\":\"b\",\"kl\":2}\n";
  for (std::size_t length = 0; length <= last.size(); ++length) {
    write_lines("host-1-1", first + last.substr(0, length));
    const Store store(runs(), kShared);
    EXPECT_EQ(store.size(), length == last.size() ? 2U : 1U) << length;
    EXPECT_EQ(store.find("a"), R"({"kl":1})");
  }
}

TEST_F(StoreTest, OfAnotherModelIsRefusedByTheNameOfTheDifference) {
  Store(runs(), kShared);
  EXPECT_EQ(error_of_opening(), "");
  EXPECT_EQ(error_of_opening(R"({"images": 256, "model": "lenet"})"), "");
  EXPECT_THAT(error_of_opening(R"({"model": "lenet5", "images": 256})"),
              AllOf(HasSubstr("store.json"),
                    HasSubstr("\"model\" is \"lenet\" in this store, not \"lenet5\"")));
  EXPECT_THAT(error_of_opening(R"({"model": "lenet"})"),
              HasSubstr("\"images\" is 256 in this store, not null"));
  std::ofstream(runs() / "store.json") << "{";
  EXPECT_THAT(error_of_opening(), HasSubstr("store.json: no JSON object"));
}

TEST_F(StoreTest, TwoResultsOfOneKeyMustAgreeInAllButTheTime) {
  Store store(runs(), kShared);
  store.put("a", R"({"kl": 1, "seconds": 2})");
  store.put("a", R"({"kl": 1, "seconds": 3, "started_by": "search"})");
  EXPECT_EQ(store.find("a"), R"({"kl":1,"seconds":2})");
  try {
    store.put("a", R"({"kl": 1.5, "seconds": 2})");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("\"kl\":1,"), HasSubstr("\"kl\":1.5"), HasSubstr("'a'")));
  }
  write_lines("host-1-1", "{\"key\":\"a\",\"kl\":1,\"purpose\":\"score\",\"seconds\":9}\n");
  EXPECT_EQ(error_of_opening(), "");
  write_lines("host-1-1", "{\"key\":\"a\",\"kl\":1,\"seconds\":9}\n{\"key\":\"a\",\"kl\":2}\n");
  EXPECT_THAT(error_of_opening(), HasSubstr("records-host-1-1.jsonl:2: two results of one key"));
}

TEST_F(StoreTest, NamesTheLineThatIsNoRecord) {
  Store(runs(), kShared);
  write_lines("host-1-1", "{\"key\":\"a\"}\n[1]\n");
  EXPECT_THAT(error_of_opening(), HasSubstr("records-host-1-1.jsonl:2: no JSON object"));
  write_lines("host-1-1", "{\"kl\":1}\n");
  EXPECT_THAT(error_of_opening(), HasSubstr(":1: no \"key\""));
}

TEST_F(StoreTest, OneImageSetMayServeTwoPurposes) {
  Store one(runs(), kShared), two(runs(), kShared);
  one.put("a", R"({"kl": 1, "purpose": "score"})");
  two.put("a", R"({"kl": 1, "purpose": "search"})");
  one.refresh();
  EXPECT_EQ(one.find("a"), R"({"kl":1,"purpose":"score"})");
  EXPECT_EQ(error_of_opening(), "");
}

TEST_F(StoreTest, CountsLinesFromOneRefreshToTheNext) {
  Store store(runs(), kShared);
  write_lines("host-1-1", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
  store.refresh();
  write_lines("host-1-1", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n[]\n");
  try {
    store.refresh();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("records-host-1-1.jsonl:4: no JSON object"));
  }
  EXPECT_EQ(store.size(), 3U);
}

TEST_F(StoreTest, IsReadInATimeThatGrowsAsItsLines) {
  Store(runs(), kShared);
  const auto time_of = [&](int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) {
      text +=
          "{\"key\":\"" + std::to_string(i) + "\",\"maps\":\"" + std::string(100, 'x') + "\"}\n";
    }
    write_lines("host-1-1", text);
    const std::clock_t start = std::clock();
    EXPECT_EQ(Store(runs(), kShared).size(), static_cast<std::size_t>(lines));
    return static_cast<double>(std::clock() - start);
  };
  const double few = time_of(1000);
  EXPECT_LT(time_of(20000), 60 * few);  // 20 times as many; 400 times where lines were recounted
}

TEST_F(StoreTest, CountsWhatHappenedToAKeyOverAllProcesses) {
  {
    Store store(runs(), kShared);
    store.note("started", "a", false);
    store.note("started", "a", false);
    store.note("died", "a", false);
    EXPECT_EQ(store.count("started", "a"), 2U);
    EXPECT_EQ(store.find("a"), std::nullopt);
  }
  write_lines("other", "{\"started\":\"a\"}\n{\"started\":\"b\"}\n{\"died\":");
  Store store(runs(), kShared);
  EXPECT_EQ(store.count("started", "a"), 3U);
  EXPECT_EQ(store.count("died", "a"), 1U);
  EXPECT_EQ(store.count("started", "b"), 1U);
  EXPECT_EQ(store.count("died", "b"), 0U);
  EXPECT_EQ(store.size(), 0U);
}

TEST_F(StoreTest, AStartIsLostWhereItsProcessIsGoneAndLeftNoOutcome) {
  Store(runs(), kShared);
  const std::string start = "{\"started\":\"a\"}\n";
  write_lines("host-1-1", start + "{\"died\":\"a\"}\n" + start + "{\"stopped\":\"a\"}\n" + start +
                              "{\"started\":\"b\"}\n");
  write_lines("host-2-1", start + start + "{\"key\":\"b\",\"kl\":1}\n");
  Store store(runs(), kShared);
  EXPECT_EQ(store.lost_starts("a"), 3U);
  EXPECT_EQ(store.lost_starts("b"), 1U);  // another process' record is no outcome of it
  EXPECT_EQ(store.lost_starts("c"), 0U);
  write_lines("host-2-1",
              start + start + "{\"key\":\"b\",\"kl\":1}\n{\"error\":\"died\",\"key\":\"a\"}\n");
  store.refresh();
  EXPECT_EQ(store.lost_starts("a"), 2U);
}

TEST_F(StoreTest, NoStartOfAProcessThatLivesIsLostButAllWhenItIsKilled) {
  TestProcess manager([this](TestProcess::Self& self) {
    Store store(runs(), kShared);
    store.note("started", "a", false);
    self.ready();
    self.wait_for_ever();
  });
  Store store(runs(), kShared);
  store.note("started", "b", false);
  for (int look = 0; look < 2; ++look) {
    EXPECT_EQ(store.count("started", "a"), 1U);
    EXPECT_EQ(store.lost_starts("a"), 0U);
    store.refresh();
  }
  manager.end(SIGKILL);
  store.refresh();
  EXPECT_EQ(store.lost_starts("a"), 1U);
  EXPECT_EQ(store.lost_starts("b"), 0U);  // its own
}

TEST_F(StoreTest, AnErrorStandsUntilThereIsAResult) {
  const std::string result = R"({"kl":0.5})", error = R"({"error":"died"})";
  {
    Store store(runs(), kShared);
    store.put("a", error);
    store.put("a", R"({"error":"another"})");
    EXPECT_EQ(store.find("a"), error);
    store.put("a", result);
    EXPECT_EQ(store.find("a"), result);
    store.put("a", error);
    EXPECT_EQ(store.find("a"), result);
  }
  write_lines("other", "{\"error\":\"late\",\"key\":\"a\"}\n");
  EXPECT_EQ(Store(runs(), kShared).find("a"), result);
}

TEST_F(StoreTest, ReadsWhatOthersWriteWhileItIsOpen) {
  Store one(runs(), kShared), two(runs(), kShared);
  one.put("a", R"({"kl": 1})");
  two.put("b", R"({"kl": 2})");
  EXPECT_EQ(two.find("a"), std::nullopt);
  two.refresh();
  one.refresh();
  EXPECT_EQ(two.find("a"), R"({"kl":1})");
  EXPECT_EQ(one.find("b"), R"({"kl":2})");
  EXPECT_EQ(record_files().size(), 2U);
}

TEST_F(StoreTest, ProcessesThatAreKilledLoseNothingThatTheyHavePut) {
  constexpr int kWriters = 4, kRecords = 12;
  std::vector<pid_t> children;
  for (int writer = 0; writer < kWriters; ++writer) {
    const pid_t child = fork();
    if (child == 0) {
      Store store(runs(), kShared);
      for (int i = 0; i < kRecords; ++i) {
        store.put(std::to_string(writer) + "/" + std::to_string(i), R"({"kl": 1})");
        if (writer % 2 == 0 && i == 7) kill(getpid(), SIGKILL);
      }
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  EXPECT_EQ(Store(runs(), kShared).size(), 2U * kRecords + 2U * 8);
}

TEST_F(StoreTest, AFullDiskIsAnErrorThatLeavesTheStoreAsItWas) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    Store store(runs(), kShared);
    store.put("first", R"({"kl": 1})");
    const rlimit limit = {200, 200};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      store.put("large", R"({"text": ")" + std::string(1000, 'x') + "\"}");
    } catch (const Error&) {
      store.put("small", R"({"kl": 2})");
      _exit(store.find("large") ? 2 : 0);
    }
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  const Store store(runs(), kShared);
  EXPECT_EQ(store.size(), 2U);
  EXPECT_EQ(store.find("small"), R"({"kl":2})");
}

TEST_F(StoreTest, OnAFullDiskCanStillBeReadAndANewOneTellsWhyNot) {
  Store(runs(), kShared).put("a", R"({"kl": 1})");
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {0, 0};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      if (Store(runs(), kShared).find("a") != R"({"kl":1})") _exit(1);
    } catch (const Error&) {
      _exit(2);
    }
    try {
      Store(folder / "other", kShared);
    } catch (const Error& error) {
      _exit(std::string(error.what()).find("File too large") == std::string::npos ? 3 : 0);
    }
    _exit(4);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace tensorquant
