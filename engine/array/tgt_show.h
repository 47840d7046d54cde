// What `tgtadm --op show --mode target` prints (tgt's usr/target.c, tgt_target_show_all), as values.
//
// A fence believes this text when it says that a session is gone, and tgtadm exits with 0 even when tgtd closed the
// socket before it answered (usr/tgtadm.c, ipc_mgmt_rsp), with a complaint where the answer should be. So whatever is
// not understood is an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace flocker {

struct TgtSession {
  uint64_t id = 0;  // tgtadm's --sid
  std::string initiator;
  std::vector<uint32_t> connections;  // tgtadm's --cid
};

struct TgtLun {
  uint32_t number = 0;
  std::string scsi_id;
  uint64_t megabytes = 0;  // 10^6 bytes, rounded down: all that tgt tells of its size
  bool thin = false;
  std::string backing_type;
  std::string backing_file;
};

struct TgtTarget {
  uint32_t tid = 0;
  std::string name;
  std::vector<TgtSession> sessions;
  std::vector<TgtLun> luns;           // LUN 0, tgt's controller, among them
  std::vector<std::string> accounts;  // user names
  std::vector<std::string> allowed;   // initiator names and addresses; nobody when empty
};

// InvalidArgument, quoting the line, for anything but such an answer, and for a target name that comes twice: names of
// initiators are strangers' text, and one with line breaks could try to look like a target. No text is no target.
absl::StatusOr<std::vector<TgtTarget>> ParseTgtTargets(std::string_view text);

// The user names of `tgtadm --op show --mode account`.
absl::StatusOr<std::vector<std::string>> ParseTgtAccounts(std::string_view text);

}  // namespace flocker
