#include "engine/lun/write_log.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker::lun {

absl::StatusOr<std::unique_ptr<WriteLog>> WriteLog::Open(const std::string& path, uint32_t slot_count) {
  unique_fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) return ErrnoStatus(errno, absl::StrCat("cannot open the write log ", path));
  const auto size = static_cast<uint64_t>(status.st_size);
  uint64_t records = 0;
  uint64_t end = 0;
  while (end + sizeof(WriteLogRecord) <= size) {
    WriteLogRecord record{};
    if (pread(fd.get(), &record, sizeof record, static_cast<off_t>(end)) != sizeof record) {
      return ErrnoStatus(errno, absl::StrCat("cannot read the write log ", path));
    }
    if (record.magic != kWriteLogMagic) {
      return absl::DataLossError(absl::StrCat(path, " is no write log at byte ", end, ": give another directory"));
    }
    const uint64_t next = end + sizeof record + (record.deed == Deed::kWrite ? record.length : 0);
    if (next > size) break;
    end = next;
    ++records;
  }
  if (ftruncate(fd.get(), static_cast<off_t>(end)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot cut the torn end off the write log ", path));
  }
  return std::unique_ptr<WriteLog>(new WriteLog(path, std::move(fd), records, slot_count));
}

void WriteLog::Issued(uint32_t slot, const Command16& command) {
  if (command.verb == Verb::kFlush) covers_[slot] = records_;
}

void WriteLog::Acknowledged(uint32_t slot, const Command16& command) {
  if (command.verb == Verb::kRead) return;
  const bool flush = command.verb == Verb::kFlush;
  const bool write = command.verb == Verb::kWrite;
  WriteLogRecord record{.magic = kWriteLogMagic,
                        .deed = flush   ? Deed::kFlush
                                : write ? Deed::kWrite
                                        : Deed::kZero,
                        .offset = command.offset,
                        .length = command.length,
                        .covers = flush ? covers_[slot] : 0};
  const std::array<iovec, 2> parts = {{{&record, sizeof record}, {command.data, write ? command.length : 0}}};
  const auto whole = static_cast<ssize_t>(sizeof record + parts[1].iov_len);
  // In one call: only a kill can cut it short, and then this process acknowledges nothing any more.
  if (writev(fd_.get(), parts.data(), static_cast<int>(parts.size())) != whole) {
    spdlog::critical("the write log {} cannot be written: {}", path_, strerror(errno));
    std::abort();
  }
  ++records_;
}

}  // namespace flocker::lun
