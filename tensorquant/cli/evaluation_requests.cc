#include "tensorquant/cli/evaluation_requests.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/numeric_libraries.h"
#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/cli/searched_model.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kLongestRequest = std::size_t{16} << 20;
constexpr int kLookForEnd = 200;  // milliseconds

struct NobodyReads : std::exception {};

// No checkpoint or no images: whatever the map, and perhaps on this machine alone.
struct NothingToEvaluate : Error {
  using Error::Error;
};

ordered_json finite_or_null(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json();
}

std::string error_answer(const std::string& reason, bool has_subject = true) {
  ordered_json answer = {{"error", reason}};
  if (!has_subject) answer["has_subject"] = false;
  return answer.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// stdin's lines, until an end is asked for.
class RequestLines {
 public:
  explicit RequestLines(const Interrupt& interrupt) : interrupt_(interrupt) {}

  struct Line {
    std::string text;
    bool is_whole = true;  // not cut, for its length
  };

  std::optional<Line> next() {
    Line line;
    while (true) {
      const std::size_t end = unread_.find('\n');
      const std::size_t size = std::min(end, unread_.size());
      if (line.text.size() + size > kLongestRequest) {
        line.is_whole = false;
        line.text.clear();
      }
      if (line.is_whole) line.text.append(unread_, 0, size);
      unread_.erase(0, end == std::string::npos ? size : size + 1);
      if (end != std::string::npos) return line;
      if (!read_more()) break;
    }
    if (interrupt_.requested() || line.text.empty()) return std::nullopt;
    return line;
  }

 private:
  bool read_more() {
    // A signal may end another thread's wait than this one's: it is looked for now and then.
    pollfd in = {STDIN_FILENO, POLLIN, 0};
    while (poll(&in, 1, kLookForEnd) <= 0) {
      if (interrupt_.requested()) return false;
    }
    std::array<char, 65536> bytes;
    ssize_t got;
    do {
      got = read(STDIN_FILENO, bytes.data(), bytes.size());
    } while (got < 0 && errno == EINTR);
    if (got > 0) unread_.assign(bytes.data(), static_cast<std::size_t>(got));
    return got > 0;
  }

  const Interrupt& interrupt_;
  std::string unread_;
};

void write_line(std::string text) {
  text += '\n';
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw NobodyReads();
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void require_reader() {
  pollfd out = {STDOUT_FILENO, 0, 0};
  if (poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0) throw NobodyReads();
}

}  // namespace

ordered_json measured(Evaluator& evaluator, const Override& maps) {
  const auto start = std::chrono::steady_clock::now();
  const LogitMetrics metrics = evaluator.metrics(maps);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {{"images", metrics.images},
          {"correct", metrics.correct},
          {"kl", finite_or_null(metrics.kl)},
          {"logit_error", finite_or_null(metrics.logit_error)},
          {"flips", metrics.flips},
          {"lost", metrics.lost},
          {"won", metrics.won},
          {"seconds", seconds.count()}};
}

struct EvaluationRequests::Subject {
  Subject(const SearchedModel& of, SearchedSamples these, std::function<void()> after)
      : model(of), samples(std::move(these)), evaluator(samples.runs, std::move(after)) {}

  const SearchedModel& model;
  SearchedSamples samples;
  Evaluator evaluator;
};

EvaluationRequests::EvaluationRequests(ordered_json defaults, std::function<void()> after_batch)
    : defaults_(std::move(defaults)), after_batch_(std::move(after_batch)) {}

EvaluationRequests::~EvaluationRequests() = default;

EvaluationRequests::Subject& EvaluationRequests::subject(const ordered_json& request) {
  const ModelSource source = model_source_in(request);
  const auto batch_size = request.at("batch_size").get<std::size_t>();
  if (batch_size == 0) throw Error("\"batch_size\" is 0");
  const std::string model_key = to_json(source).dump();
  const std::string key = model_key + request.at("data").dump() + std::to_string(batch_size);
  if (const auto found = subjects_.find(key); found != subjects_.end()) return *found->second;
  std::unique_ptr<SearchedModel>& model = models_[model_key];
  if (model == nullptr) model = make_searched_model(source);
  const ImageSet set = image_set_in(request.at("data"));
  SearchedSamples samples = model->load(set, batch_size);
  if (samples.runs.samples < set.images) {
    throw Error(set.path + ": has " + std::to_string(set.first + samples.runs.samples) +
                " images, not " + std::to_string(set.first + set.images));
  }
  auto made = std::make_unique<Subject>(*model, std::move(samples), after_batch_);
  return *(subjects_[key] = std::move(made));
}

EvaluationRequests::Subject& EvaluationRequests::subject_or_none(const ordered_json& request) {
  try {
    return subject(request);
  } catch (const std::exception& error) {
    throw NothingToEvaluate(error.what());
  }
}

ordered_json EvaluationRequests::result(const ordered_json& given) {
  if (!given.is_object()) throw Error("a request is a JSON object");
  ordered_json request = defaults_;
  request.update(given, true);
  const bool is_file = request.contains("model") && is_onnx_file(request["model"]);
  for (const char* const needed : {"model", "checkpoint", "data"}) {
    if (request.contains(needed) || (is_file && needed == std::string("checkpoint"))) continue;
    throw Error("the request has no \"" + std::string(needed) + "\"");
  }
  Subject& on = subject_or_none(request);
  Override maps = Override::from_json(request.value("maps", ordered_json::object()).dump());
  maps.seed = request.value("seed", std::uint64_t{0});
  maps.refuse_training();
  maps.strict = request.value("strict", true);
  ordered_json answer = measured(on.evaluator, maps);
  answer["data"] = on.samples.fingerprint;
  answer["checkpoint"] = on.model.fingerprint;
  answer["numerics"] = to_line(numeric_libraries());
  return answer;
}

std::string EvaluationRequests::answer(const std::string& request) {
  try {
    return result(ordered_json::parse(request)).dump();
  } catch (const NobodyReads&) {
    throw;
  } catch (const NothingToEvaluate& error) {
    return error_answer(error.what(), false);
  } catch (const nlohmann::json::exception& error) {
    return error_answer(std::string("the request: ") + error.what());
  } catch (const std::exception& error) {
    return error_answer(error.what());
  }
}

void serve_requests(const ordered_json& defaults) {
  const Interrupt interrupt;  // of which the first lets the answer be finished
  signal(SIGPIPE, SIG_IGN);
  EvaluationRequests requests(defaults, require_reader);
  RequestLines lines(interrupt);
  try {
    while (const auto line = interrupt.requested() ? std::nullopt : lines.next()) {
      write_line(line->is_whole ? requests.answer(line->text)
                                : error_answer("the request is longer than 16 MiB"));
    }
  } catch (const NobodyReads&) {
    throw Error("nobody reads the answers");
  }
}

}  // namespace tensorquant::cli
