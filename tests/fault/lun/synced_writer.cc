#include "synced_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {

SyncedWriter::SyncedWriter(const std::string& directory, std::string name, std::string log)
    : path_(absl::StrCat(directory, "/", name)), name_(std::move(name)), log_(std::move(log)) {
  thread_ = std::thread([this] { Run(); });
}

SyncedWriter::~SyncedWriter() { Stop().IgnoreError(); }

absl::Status SyncedWriter::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  const MutexLock lock(mutex_);
  return status_;
}

uint64_t SyncedWriter::acknowledged() const {
  const MutexLock lock(mutex_);
  return lengths_.size();
}

void SyncedWriter::Run() {
  const absl::Status status = WriteAll();
  const MutexLock lock(mutex_);
  status_ = status;
}

absl::Status SyncedWriter::WriteAll() {
  const unique_fd fd(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot make ", path_));
  for (size_t number = 0; !stopping_; ++number) {
    const std::string record = Record(number);
    if (write(fd.get(), record.data(), record.size()) != static_cast<ssize_t>(record.size()) || fsync(fd.get()) != 0) {
      return ErrnoStatus(errno, absl::StrCat("record ", number, " of ", path_));
    }
    struct stat log {};
    if (stat(log_.c_str(), &log) != 0) return ErrnoStatus(errno, absl::StrCat("cannot look at ", log_));
    const MutexLock lock(mutex_);
    lengths_.push_back(static_cast<uint64_t>(log.st_size));
  }
  return absl::OkStatus();
}

std::string SyncedWriter::Record(size_t number) const {
  std::string record = absl::StrCat("record ", number, " of ", name_, "\n");
  std::minstd_rand random(static_cast<uint32_t>(std::hash<std::string>()(record)));
  while (record.size() < kRecordSize) record.push_back(static_cast<char>(random()));
  return record;
}

size_t SyncedWriter::AcknowledgedBy(uint64_t length) const {
  const MutexLock lock(mutex_);
  return static_cast<size_t>(std::upper_bound(lengths_.begin(), lengths_.end(), length) - lengths_.begin());
}

absl::Status SyncedWriter::CheckRecords(const std::string& file, size_t count) const {
  const auto content = ReadFile(file);
  if (!content.ok() && !absl::IsNotFound(content.status())) return content.status();
  const std::string bytes = content.value_or("");
  for (size_t number = 0; number < count; ++number) {
    if (bytes.compare(number * kRecordSize, kRecordSize, Record(number)) != 0) {
      return absl::DataLossError(absl::StrCat(name_, ", ", bytes.size(), " bytes: record ", number,
                                              " is not in it, but ", count, " were acknowledged"));
    }
  }
  return absl::OkStatus();
}

}  // namespace flocker::testing
