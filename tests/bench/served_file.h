// The peers of the block section: one LUN of one tgtd each, served as a file by flocker-lun or by qemu-storage-daemon.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/lun/client.h"
#include "tests/harness/daemon.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tgtd.h"

namespace flocker::bench {

// LUNs at a tgtd, each with a target of its own that is open to all, made as Flocker's array driver makes them (rdwr,
// thin, long bursts).
class BenchArray {
 public:
  struct Lun {
    std::string name;
    std::string tid;
    std::string target;
    std::string backing;  // the array's file
    uint64_t size = 0;
  };

  // `tgtd` outlives it.
  explicit BenchArray(const testing::Tgtd& tgtd) : tgtd_(tgtd) {}

  enum class Content { kRandom, kHoles };
  // LUN 1 of a new target over a new file.
  absl::StatusOr<Lun> Add(const std::string& name, uint64_t size, Content content);
  // Its target and its file, when nobody is logged in.
  absl::Status Remove(const Lun& lun);
  const testing::Tgtd& tgtd() const { return tgtd_; }
  const testing::ScratchDir& directory() const { return scratch_; }

 private:
  absl::Status Admin(std::vector<std::string> args) const;

  const testing::ScratchDir scratch_;
  const testing::Tgtd& tgtd_;
  int targets_ = 0;
};

// A new file of random bytes that are on the disk when it returns; or one that has no blocks yet.
absl::Status WriteFilledFile(const std::string& path, uint64_t size);
absl::Status MakeSparseFile(const std::string& path, uint64_t size);

class ServedFile {
 public:
  // Both return when the file can be used; `binary` is flocker-lun.
  static absl::StatusOr<std::unique_ptr<ServedFile>> ByFlockerLun(const BenchArray& array, const BenchArray::Lun& lun,
                                                                  const std::string& binary);
  static absl::StatusOr<std::unique_ptr<ServedFile>> ByStorageDaemon(const BenchArray& array,
                                                                     const BenchArray::Lun& lun);
  ~ServedFile();
  ServedFile(const ServedFile&) = delete;
  ServedFile& operator=(const ServedFile&) = delete;

  const std::string& path() const { return path_; }
  const std::string& command_line() const { return command_line_; }
  // That its process has used so far, all threads, user and system.
  absl::StatusOr<double> CpuSeconds() const;

 private:
  ServedFile(std::string path, std::vector<std::string> argv);
  absl::Status Start();
  bool Mounted() const;

  const std::string path_;
  const std::string command_line_;
  testing::Daemon daemon_;
  std::optional<lun::LunClient> client_;  // of flocker-lun
};

}  // namespace flocker::bench
