#include "tensorquant/store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"

namespace tensorquant {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string system_reason() { return std::strerror(errno); }

// Of this process, whatever machine it runs on.
std::string own_name() {
  std::array<char, 256> host = {};
  if (gethostname(host.data(), host.size() - 1) != 0) host = {"host"};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return std::string(host.data()) + "-" + std::to_string(getpid()) + "-" + std::to_string(time);
}

constexpr std::array<const char*, 3> kEvents = {"started", "died", "stopped"};

bool is_failure(const std::string& record) { return json::parse(record).contains("error"); }

std::string text_of(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

json object_of(std::string_view text, const std::string& origin) {
  json value = json::parse(text, nullptr, false);
  if (!value.is_object()) throw Error(origin + ": no JSON object");
  return value;
}

// What two records of one key have in common.
json result_of(const std::string& record) {
  json result = json::parse(record);
  for (const char* const circumstance : {"seconds", "started_by", "purpose"}) {
    result.erase(circumstance);
  }
  return result;
}

// True unless the file exists.
bool create_whole(const fs::path& path, const std::string& text) {
  const fs::path beside = path.parent_path() / (path.filename().string() + "." + own_name());
  {
    errno = 0;
    std::ofstream file(beside, std::ios::binary);
    file << text;
    if (!file.flush()) {
      const std::string reason = errno == 0 ? "cannot write" : system_reason();
      std::error_code ignored;
      fs::remove(beside, ignored);
      throw Error(beside.string() + ": " + reason);
    }
  }
  const bool made = link(beside.c_str(), path.c_str()) == 0;
  const int reason = errno;
  std::error_code ignored;
  fs::remove(beside, ignored);
  if (!made && reason != EEXIST) throw Error(path.string() + ": " + std::strerror(reason));
  return made;
}

void require_same(const json& ours, const json& theirs, const std::string& origin) {
  json names = ours;
  names.update(theirs);
  for (const auto& [name, value] : names.items()) {
    const json our_value = ours.value(name, json()), their_value = theirs.value(name, json());
    if (our_value == their_value) continue;
    throw Error(origin + ": \"" + name + "\" is " + their_value.dump() + " in this store, not " +
                our_value.dump());
  }
}

// {"started": KEY} and its like.
std::optional<std::pair<std::string, std::string>> event_in(const json& line) {
  for (const char* const event : kEvents) {
    if (line.size() != 1 || !line.contains(event) || !line[event].is_string()) continue;
    return std::pair(std::string(event), line[event].get<std::string>());
  }
  return std::nullopt;
}

// The lock of a file's writer, which the system drops however the process ends. Waits for those who
// only look whether it is there.
void lock(int descriptor) {
  while (flock(descriptor, LOCK_EX) != 0 && errno == EINTR) {
  }
}

bool is_locked(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool locked = flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(descriptor);
  return locked;
}

bool is_record_file(const fs::path& path) {
  return path.filename().string().starts_with("records-") && path.extension() == ".jsonl";
}

}  // namespace

Store::Store(fs::path folder, std::string_view shared) : folder_(std::move(folder)) {
  const json ours = object_of(shared, "what the records of a store share");
  std::error_code failure;
  fs::create_directories(folder_, failure);
  if (failure) throw Error(folder_.string() + ": " + failure.message());
  const fs::path path = folder_ / "store.json";
  // What is there needs no writing: a store can be read in a folder that is full or read-only.
  if (fs::exists(path, failure) || !create_whole(path, ours.dump(2) + "\n")) {
    require_same(ours, object_of(text_of(path), path.string()), path.string());
  }
  shared_ = ours.dump();
  refresh();
}

Store::Store(fs::path folder) : folder_(std::move(folder)) {
  const fs::path path = folder_ / "store.json";
  std::error_code failure;
  if (!fs::exists(path, failure)) {
    throw Error(folder_.string() + ": no store, which a file store.json would tell");
  }
  shared_ = object_of(text_of(path), path.string()).dump();
  refresh();
}

Store::~Store() { close(); }

void Store::close() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

std::optional<std::string> Store::find(const std::string& key) const {
  const auto found = records_.find(key);
  return found == records_.end() ? std::nullopt : std::optional(found->second);
}

void Store::add(const std::string& key, std::string record, const std::string& origin) {
  const auto [place, is_new] = records_.emplace(key, record);
  if (is_new || place->second == record || is_failure(record)) return;
  if (is_failure(place->second)) {
    place->second = std::move(record);
    return;
  }
  if (result_of(place->second) == result_of(record)) return;
  throw Error(origin + ": two results of one key, '" + key + "': " + place->second + " and " +
              record);
}

void Store::refresh() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (is_record_file(entry.path()) && entry.path() != own_) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) read(path, read_[path]);
}

void Store::read(const fs::path& path, Reading& reading) {
  // Before its lines, so that those of a process that is gone are all there.
  reading.writer_lives = is_locked(path);
  const std::string text = text_of(path);
  const auto end_one = [&reading](const std::string& key) {
    const auto found = reading.open_starts.find(key);
    if (found != reading.open_starts.end() && --found->second == 0) {
      reading.open_starts.erase(found);
    }
  };
  for (std::size_t end; (end = text.find('\n', reading.bytes)) != std::string::npos;) {
    const std::string origin = path.string() + ":" + std::to_string(reading.lines + 1);
    json line =
        object_of(std::string_view(text).substr(reading.bytes, end - reading.bytes), origin);
    if (const auto event = event_in(line)) {
      const auto& [name, key] = *event;
      ++events_[*event];
      if (name == "started") {
        ++reading.open_starts[key];
      } else {
        end_one(key);
      }
    } else if (!line.contains("key") || !line["key"].is_string()) {
      throw Error(origin + ": no \"key\", which must be a text");
    } else {
      const std::string key = line["key"];
      line.erase("key");
      add(key, line.dump(), origin);
      end_one(key);
    }
    reading.bytes = end + 1;
    ++reading.lines;
  }
}

void Store::put(const std::string& key, std::string_view record) {
  json line = object_of(record, "a record");
  const std::string compact = line.dump();
  const auto known = records_.find(key);
  const bool replaces =
      known != records_.end() && is_failure(known->second) && !line.contains("error");
  if (known != records_.end() && !replaces) return add(key, compact, folder_.string());
  line["key"] = key;
  append(line.dump() + "\n", true);
  records_[key] = compact;
}

void Store::note(const std::string& event, const std::string& key, bool to_disk) {
  append(json{{event, key}}.dump() + "\n", to_disk);
  ++events_[{event, key}];
}

std::size_t Store::count(const std::string& event, const std::string& key) const {
  const auto found = events_.find({event, key});
  return found == events_.end() ? 0 : found->second;
}

std::size_t Store::lost_starts(const std::string& key) const {
  std::size_t lost = 0;
  for (const auto& [path, reading] : read_) {
    if (reading.writer_lives) continue;
    const auto found = reading.open_starts.find(key);
    if (found != reading.open_starts.end()) lost += found->second;
  }
  return lost;
}

// One write(), and for a record one fdatasync(): a line is there whole or, after a crash, without
// its end.
void Store::append(const std::string& line, bool to_disk) {
  if (descriptor_ < 0) {
    own_ = folder_ / ("records-" + own_name() + ".jsonl");
    descriptor_ = open(own_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw Error(own_.string() + ": " + system_reason());
    lock(descriptor_);
  }
  const off_t before = lseek(descriptor_, 0, SEEK_END);
  errno = 0;
  const ssize_t written = write(descriptor_, line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size()) && (!to_disk || fdatasync(descriptor_) == 0)) {
    return;
  }
  const std::string reason = errno == 0 ? "no space left" : system_reason();
  // What stays without its end is ignored, but nothing may be written behind it.
  if (ftruncate(descriptor_, before) != 0) close();
  throw Error(own_.string() + ": " + reason);
}

}  // namespace tensorquant
