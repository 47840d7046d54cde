// Writers that know what they were promised: each appends numbered records to a file of its own, fsyncs after every
// one, and notes how long a log was when fsync had returned.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/mutex.h"

namespace flocker::testing {

class SyncedWriter {
 public:
  static constexpr size_t kRecordSize = 512;

  // Appends to `directory`/`name` until Stop. `log` is the file whose length is noted.
  SyncedWriter(const std::string& directory, std::string name, std::string log);
  ~SyncedWriter();
  SyncedWriter(const SyncedWriter&) = delete;
  SyncedWriter& operator=(const SyncedWriter&) = delete;

  const std::string& name() const { return name_; }
  uint64_t acknowledged() const;
  // Ends it after the record it is at; OK when every write and fsync succeeded.
  absl::Status Stop();

  // How many records (the first ones) fsync had acknowledged when the log was `length` bytes long, or before.
  size_t AcknowledgedBy(uint64_t length) const;
  // DataLoss unless `file` begins with the first `count` records.
  absl::Status CheckRecords(const std::string& file, size_t count) const;
  // A record's bytes: its writer, its number, and what follows from these.
  std::string Record(size_t number) const;

 private:
  void Run();
  absl::Status WriteAll();

  const std::string path_;
  const std::string name_;
  const std::string log_;
  mutable Mutex mutex_;
  std::vector<uint64_t> lengths_ GUARDED_BY(mutex_);  // of the log, by number of the record
  absl::Status status_ GUARDED_BY(mutex_);
  std::atomic<bool> stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace flocker::testing
