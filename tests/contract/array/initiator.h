// Who logs in to what an array grants, for tests: an iSCSI initiator on libiscsi's blocking calls, which never
// reconnects by itself, or the user of a file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/dataset.h"
#include "tests/contract/array/file_user.h"

struct iscsi_context;
struct scsi_task;

namespace flocker::testing {

class Initiator {
 public:
  // Logs in to the address as the grant says. Each call gives up after 10 s, or what GiveUpAfter says.
  static absl::StatusOr<Initiator> Login(const LunAddress& address, const Grant& grant);

  // The flocker-lun that uses the file; null for iSCSI.
  FileUser* file() const { return file_.get(); }

  absl::Status Write(uint64_t offset, const std::string& data);
  absl::StatusOr<std::string> Read(uint64_t offset, uint32_t size);
  absl::Status Flush();
  absl::Status Unmap(uint64_t offset, uint32_t size);
  absl::StatusOr<uint64_t> Size();  // READ CAPACITY (16), bytes

  // For iSCSI alone.
  void GiveUpAfter(int seconds);
  absl::StatusOr<std::string> Identity();  // the T10 vendor ID designator of VPD page 0x83 (SPC-4 §7.8.6)
  absl::Status TestUnitReady();            // once; Aborted("sense <key>/<asc><ascq>") on CHECK CONDITION
  // Hands a WRITE to the network and closes the connection without waiting for an answer, as a node that dies.
  void SendWriteAndHangUp(uint64_t offset, const std::string& data);

 private:
  struct Close {
    void operator()(iscsi_context* context) const;
  };
  struct Free {
    void operator()(scsi_task* task) const;
  };
  using Task = std::unique_ptr<scsi_task, Free>;

  explicit Initiator(iscsi_context* context, uint32_t lun) : context_(context), lun_(static_cast<int>(lun)) {}
  explicit Initiator(std::unique_ptr<FileUser> file) : file_(std::move(file)) {}
  absl::Status Check(const Task& task, const char* what) const;

  std::unique_ptr<iscsi_context, Close> context_;
  int lun_ = 0;
  std::unique_ptr<FileUser> file_;
};

}  // namespace flocker::testing
