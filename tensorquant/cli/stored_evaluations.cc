#include "tensorquant/cli/stored_evaluations.h"

#include <limits>
#include <optional>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/cli/evaluation_requests.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/numeric_libraries.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

LogitMetrics metrics_in(const std::string& record, const std::string& key) {
  try {
    return logit_metrics_in(record);
  } catch (const Error& error) {
    throw Error("the store's record of '" + key + "': " + error.what());
  }
}

// The evaluator must have seen what this process did.
void require_same(const ordered_json& answer, const char* name, const std::string& ours) {
  if (answer.value(name, ours) == ours) return;
  throw Error(std::string("an evaluator has another ") + name + ": " +
              answer[name].get<std::string>() + ", not " + ours);
}

}  // namespace

StoredEvaluations::StoredEvaluations(Store& store, EvaluatedModel model,
                                     const SearchedSamples& samples, std::string purpose,
                                     std::function<void(std::size_t)> after)
    : store_(store),
      model_(std::move(model)),
      samples_(samples),
      request_(to_json(model_.source)),
      purpose_(std::move(purpose)),
      after_(std::move(after)) {
  request_.update({{"batch_size", model_.batch_size}, {"data", to_json(samples.set)}});
}

std::string StoredEvaluations::request(const Override& maps) const {
  ordered_json request = request_;
  request["maps"] = to_json(maps);
  request["strict"] = maps.strict;
  return request.dump();
}

Task StoredEvaluations::task(const Override& maps) const {
  ordered_json key = {{"data", samples_.fingerprint}, {"maps", to_json(maps)}};
  if (maps.strict) key["strict"] = true;  // then there may be no result
  return {key.dump(), request(maps)};
}

std::string StoredEvaluations::answer(const std::string& request) {
  if (evaluator_ == nullptr) {
    evaluator_ = std::make_unique<Evaluator>(samples_.runs, [this] { model_.interrupt.check(); });
  }
  try {
    const ordered_json asked = ordered_json::parse(request);
    Override maps = Override::from_json(asked.at("maps").dump());
    maps.strict = asked.at("strict");
    return measured(*evaluator_, maps).dump();
  } catch (const std::exception& error) {
    model_.interrupt.check();
    return ordered_json{{"error", error.what()}}.dump();
  }
}

std::string StoredEvaluations::record(const Task& task, const std::string& answer) const {
  ordered_json made = ordered_json::parse(answer);
  if (!made.value("has_subject", true)) {
    throw Error("an evaluator has nothing to evaluate: " + made["error"].get<std::string>());
  }
  require_same(made, "data", samples_.fingerprint);
  require_same(made, "checkpoint", model_.fingerprint);
  require_same(made, "numerics", to_line(numeric_libraries()));
  for (const char* const same : {"data", "checkpoint", "numerics"}) made.erase(same);
  made["maps"] = ordered_json::parse(task.key).at("maps");
  made["purpose"] = purpose_;
  std::string record = made.dump();
  if (!made.contains("error")) static_cast<void>(metrics_in(record, task.key));
  return record;
}

void StoredEvaluations::make(std::span<const Override> maps) {
  std::vector<Task> tasks;
  tasks.reserve(maps.size());
  for (const Override& one : maps) tasks.push_back(task(one));
  OwnProcess own([this](const std::string& request) { return answer(request); });
  TaskSettings settings;
  settings.record = [this](const Task& of, const std::string& text) { return record(of, text); };
  settings.harmless = request({});
  settings.ends = [this] { return model_.interrupt.requested(); };
  if (after_) settings.after = [this](std::size_t done) { after_(answers_ + done); };
  settings.retry = model_.retry;
  Workers& workers = model_.workers == nullptr ? own : *model_.workers;
  evaluations_ += run_tasks(store_, tasks, workers, settings);
  answers_ += maps.size();
}

std::vector<StoredEvaluations::Result> StoredEvaluations::results(std::span<const Override> maps) {
  make(maps);
  std::vector<Result> found;
  for (const Override& one : maps) {
    const std::string key = task(one).key;
    const ordered_json record = ordered_json::parse(store_.find(key).value());
    Result& result = found.emplace_back();
    if (record.contains("error")) {
      result.error =
          record["error"].is_string() ? record["error"].get<std::string>() : record["error"].dump();
    } else {
      result.metrics = metrics_in(record.dump(), key);
    }
  }
  return found;
}

std::vector<LogitMetrics> StoredEvaluations::all(std::span<const Override> maps) {
  std::vector<LogitMetrics> found;
  const std::vector<Result> made = results(maps);
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (!made[i].error.empty()) {
      throw Error("no result of " + maps[i].to_json() + ": " + made[i].error +
                  "; --retry evaluates it once more");
    }
    found.push_back(made[i].metrics);
  }
  return found;
}

}  // namespace tensorquant::cli
