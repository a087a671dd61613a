#ifndef TENSORQUANT_STORE_STORE_H_
#define TENSORQUANT_STORE_STORE_H_

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tensorquant {

// Results of evaluations in a folder, found again by their key: the text of all that decides a
// result and is not the same for the whole store. What is the same stands in store.json.
//
// Each process that writes has a file of its own, records-HOST-PID-TIME.jsonl, a line a record, so
// that writing needs no lock, on network file systems neither; readers take the union. A line is on
// the disk when put() returns; one that a killed process left without its end is ignored. As long
// as it lives the process has a lock (flock) on its file, which tells others that what it started
// goes on. Where the file system has no locks nobody seems to live.
//
// Records are JSON objects. Two of one key must be equal in all but "seconds", "started_by" and
// "purpose". One with an "error" stands until there is a result.
class Store {
 public:
  // Opens the folder or makes it. `shared` is a JSON object: an Error names what differs from that
  // of an older store. All records are read, see refresh().
  Store(std::filesystem::path folder, std::string_view shared);
  // Reads the store that is there, and writes nothing. An Error where there is none.
  explicit Store(std::filesystem::path folder);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The record as compact JSON; nothing where there is none.
  std::optional<std::string> find(const std::string& key) const;
  // Adds a record, unless there is an equal one. An Error that shows both where they contradict,
  // and where it cannot be written, after which the store is as it was.
  void put(const std::string& key, std::string_view record);
  std::size_t size() const { return records_.size(); }
  // All records by their keys, and what they share, as JSON.
  const std::map<std::string, std::string>& records() const { return records_; }
  const std::string& shared() const { return shared_; }

  // Writes {"EVENT": KEY}: that the evaluation of a key has "started", and where no record comes of
  // it whether its evaluator "died" or it was "stopped", through no fault of its own. It is on the
  // disk when this returns, or else no later than the next record.
  void note(const std::string& event, const std::string& key, bool to_disk);
  // How often that was noted, by all processes.
  std::size_t count(const std::string& event, const std::string& key) const;
  // Starts whose outcome no process lives to tell: neither noted nor a record, in the files of
  // processes that are gone.
  std::size_t lost_starts(const std::string& key) const;

  // Reads what other processes have written since. An Error names file and line of what is no
  // record, and shows both of two that contradict.
  void refresh();

 private:
  // A file of records, as far as it has been read.
  struct Reading {
    std::size_t bytes = 0, lines = 0;
    bool writer_lives = false;
    std::map<std::string, std::size_t> open_starts;  // of each key, without an outcome
  };

  void read(const std::filesystem::path& path, Reading& reading);
  void add(const std::string& key, std::string record, const std::string& origin);
  void append(const std::string& line, bool to_disk);
  void close() noexcept;

  std::filesystem::path folder_;
  std::string shared_;
  std::map<std::string, std::string> records_;                         // compact JSON
  std::map<std::pair<std::string, std::string>, std::size_t> events_;  // of event and key
  std::map<std::filesystem::path, Reading> read_;
  int descriptor_ = -1;  // of this process' file
  std::filesystem::path own_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_STORE_STORE_H_
