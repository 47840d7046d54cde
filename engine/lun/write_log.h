// A log of what the array acknowledged, for tests: replayed onto an empty file it gives the images that a power cut
// could have left. Compiled in by the CMake option FLOCKER_FAULTS alone; on when FLOCKER_WRITE_LOG_DIR names a
// directory, in the file <dataset's UUID>.writes there.
//
// A write or discard is in it once the array has said that it is done, and before the kernel is told; a flush alike.
// The order is that of the answers. What is promised with many commands in flight (SBC-4 §5.24, SYNCHRONIZE CACHE): a
// flush makes durable what had been acknowledged when it was *issued*, which its `covers` counts; what was acknowledged
// between its issue and its answer may be on the medium or not. So a cut right after a flush may leave
//
//     every record before its `covers`, and any choice of those between that and the flush itself
//
// and a filesystem has to stand all of these. (Also what was never acknowledged may be there; the kernel has no two
// commands for one block under way, so that would be one more choice of the same kind, which is not recorded.)
//
// It outlives kill -9, being the kernel's once it is written, and a successor appends to it. What the dead one had not
// recorded it had not answered either: the successor executes it again, and records it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/transfers.h"

namespace flocker::lun {

enum class Deed : uint32_t { kWrite = 1, kZero = 2, kFlush = 3 };

// On disk, in this machine's byte order; a kWrite is followed by its `length` bytes.
struct WriteLogRecord {
  uint32_t magic;
  Deed deed;
  uint64_t offset;  // bytes, on the LUN; 0 for a flush, as its length
  uint64_t length;
  uint64_t covers;  // of a flush: so many records from the log's beginning are durable
};
static_assert(sizeof(WriteLogRecord) == 32);
inline constexpr uint32_t kWriteLogMagic = 0x474f4c57;  // "WLOG"

class WriteLog : public Transfers::Witness {
 public:
  // Makes the file, or goes on behind its last whole record: of the one behind it the writer was killed. DataLoss when
  // it is not such a log.
  static absl::StatusOr<std::unique_ptr<WriteLog>> Open(const std::string& path, uint32_t slot_count);

  void Issued(uint32_t slot, const Command16& command) override;
  // Ends the process when the record cannot be written: a log with a gap tells untruths.
  void Acknowledged(uint32_t slot, const Command16& command) override;

 private:
  WriteLog(std::string path, unique_fd fd, uint64_t records, uint32_t slot_count)
      : path_(std::move(path)), fd_(std::move(fd)), records_(records), covers_(slot_count) {}

  const std::string path_;
  const unique_fd fd_;
  uint64_t records_;              // in the file
  std::vector<uint64_t> covers_;  // by slot: how many there were when its flush was issued
};

}  // namespace flocker::lun
