// tgtadm(8)'s commands, one method each. tgt has one administrator at a time and answers in about 2 ms.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/array/shell.h"
#include "engine/array/tgt_show.h"

namespace flocker {

// Blocks for at most 10 s a call. Unavailable when tgtd did not answer, Internal, quoting it, when it refused.
class Tgtadm {
 public:
  Tgtadm(const Shell& shell, int control_number) : shell_(shell), control_number_(control_number) {}

  absl::Status Answers() const;  // whether it does; tgtd's work for that grows with nothing
  absl::StatusOr<std::vector<TgtTarget>> Targets() const;
  absl::Status NewTarget(uint32_t tid, const std::string& name) const;
  absl::Status DeleteTarget(uint32_t tid) const;  // refused while a session is alive

  // LUN `lun` over `file` with the backing store that honours flushes and discards; `scsi_id` is what VPD page 0x83
  // shows, at most 36 characters.
  absl::Status NewLun(uint32_t tid, uint32_t lun, const std::string& file, const std::string& scsi_id) const;
  absl::Status DeleteLun(uint32_t tid, uint32_t lun) const;  // refused while a command of it is under way

  absl::StatusOr<std::vector<std::string>> Accounts() const;
  absl::Status NewAccount(const std::string& user, const std::string& secret) const;
  absl::Status DeleteAccount(const std::string& user) const;  // unbinds it everywhere
  absl::Status BindAccount(uint32_t tid, const std::string& user) const;

  absl::Status Allow(uint32_t tid, const std::string& initiator) const;
  absl::Status Disallow(uint32_t tid, const std::string& entry) const;  // as TgtTarget::allowed lists it
  absl::Status DeleteConnection(uint32_t tid, uint64_t session, uint32_t connection) const;

 private:
  // `words` follow the mode's; `secret`, if any, is appended as --password and appears in no error.
  absl::StatusOr<std::string> Run(const std::string& op, const std::string& mode, const std::vector<std::string>& words,
                                  const std::string* secret = nullptr) const;
  absl::StatusOr<CommandResult> Here(const std::string& shown, const std::string& verb,
                                     const std::vector<std::string>& words, const std::string* secret) const;
  absl::StatusOr<CommandResult> There(const std::string& shown, const std::string& verb,
                                      const std::vector<std::string>& words, const std::string* secret) const;
  absl::Status Change(const std::string& op, const std::string& mode, const std::vector<std::string>& words,
                      const std::string* secret = nullptr) const;

  const Shell& shell_;
  const int control_number_;
};

}  // namespace flocker
