// Who uses a granted file of this machine, for tests: a flocker-lun of its own, as an agent would start it.
//
//     test --pwrite--> FUSE file --> flocker-lun --pwrite--> the granted file
//
// A request without a session fails after a second.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/subprocess.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/client.h"
#include "engine/model/dataset.h"
#include "tests/harness/scratch.h"

namespace flocker::testing {

class FileUser {
 public:
  static absl::StatusOr<std::unique_ptr<FileUser>> Login(const LunAddress& address, const Grant& grant);
  // SIGKILL, and nothing of it is left.
  ~FileUser();
  FileUser(const FileUser&) = delete;
  FileUser& operator=(const FileUser&) = delete;

  absl::Status Write(uint64_t offset, const std::string& data);
  absl::StatusOr<std::string> Read(uint64_t offset, uint32_t size);
  absl::Status Flush();
  absl::Status Unmap(uint64_t offset, uint32_t size);
  absl::StatusOr<uint64_t> Size();

  pid_t pid() const { return lun_.pid; }
  bool Ended() const;
  // The reason of the lost session that it tells of next; nothing when it tells of none within 10 s.
  std::optional<std::string> LostReason();

 private:
  FileUser() = default;
  absl::Status Start(const LunAddress& address, const Grant& grant);

  const ScratchDir scratch_;
  Child lun_;
  std::optional<lun::LunClient> client_;
  unique_fd file_;
};

}  // namespace flocker::testing
