// What a dataset is: the one record that is the truth about it (DESIGN §4), and the node it may be on.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/ids.h"

namespace flocker {

// Where a dataset stands. The diagram with every arrow is in engine/model/README.md.
enum class Phase {
  kProvisioning,  // committed; its LUN is not known to exist
  kDetached,      // the LUN exists, nobody may log in to it
  kGranting,      // epoch and grant are committed; the array is being told
  kAttaching,     // the array lets the node in; the node logs in, formats, mounts
  kAttached,      // mounted on its node
  kDetaching,     // the node is asked to let go
  kRevoking,      // the node proved it let go; the array withdraws the grant
  kRenewing,      // sessions were cut: fence our own old epoch, grant the same node the next
  kFencing,       // the node is down: the array cuts it off
  kTrashed,       // deleted by its user, LUN kept
  kPurging,       // the LUN is being deleted; then the record goes
};
std::string_view PhaseName(Phase phase);
std::optional<Phase> PhaseFromName(std::string_view name);
// The node may hold something of it, so that what the node says of it counts.
constexpr bool HeldByNode(Phase phase) {
  return phase == Phase::kAttaching || phase == Phase::kAttached || phase == Phase::kDetaching ||
         phase == Phase::kRenewing;
}

// Nobody holds it: there is nothing to wait for before it goes elsewhere. (Trashed: just restored, in the same commit.)
constexpr bool Unheld(Phase phase) {
  return phase == Phase::kDetached || phase == Phase::kRevoking || phase == Phase::kProvisioning ||
         phase == Phase::kTrashed;
}

// Who may log in to the LUN: recorded before the array is told, never looked up later (a fence needs it exactly).
struct Grant {
  uint64_t epoch = 0;
  NodeId node;
  std::string initiator;  // iSCSI initiator name, unique to node, dataset and epoch
  std::string user;       // CHAP user name
  std::string secret;     // CHAP secret, 12-16 characters (RFC 7143 §9.2.1 and common initiators' limit)
  bool operator==(const Grant&) const = default;
};

// Where the granted LUN is reached. Filled from the array's answer to a grant.
struct LunAddress {
  std::string portal;  // host:port
  std::string target;  // iSCSI target name
  uint32_t lun = 0;
  bool operator==(const LunAddress&) const = default;
};

// What the user wants; differs from Placement while an operation is under way.
struct Desired {
  std::optional<NodeId> node;
  std::string name;      // the name it will have once it left its place; equal to Dataset::name when nothing is pending
  bool deleted = false;  // to the trash
  bool purge = false;    // out of the trash
  bool force = false;    // the user overrode the mass-failure valve for this fence
  bool leave = false;    // its node lets go of it and nobody gets it, until its exchange is through
  bool operator==(const Desired&) const = default;
};

struct Placement {
  std::optional<NodeId> node;  // who may hold it; empty in provisioning, detached, trashed, purging
  Phase phase = Phase::kProvisioning;
  uint64_t epoch = 0;             // grows at every grant and every renewal
  uint64_t mount_epoch = 0;       // the epoch of the grant under which the present mount was (or is to be) made
  bool granted = false;           // the array confirmed the grant of `epoch`
  Grant grant;                    // of `epoch`
  std::optional<Grant> previous;  // in renewing: the grant to fence first
  LunAddress address;
  bool operator==(const Placement&) const = default;
};

// An operation that a client asked of this dataset. Kept in the record, so that a client that asks again with the same
// id after a restart is answered and not executed twice.
struct Operation {
  std::string id;    // made by the client
  std::string kind;  // "create", "move", "destroy", "restore", "purge", "change", "exchange"
  bool done = false;
  std::string cause;  // base Cause name when it was refused; empty when it succeeded
  std::string message;
  DatasetId with;  // of an exchange: the other dataset, which has the same operation
  bool operator==(const Operation&) const = default;
};

// How many earlier operations of a dataset are remembered: a client asks again within operation_timeout, and so many
// others do not come between.
constexpr size_t kEarlierOperations = 8;

// The metadata key that carries a dataset's name for other clients (Flocker's convention).
constexpr char kNameKey[] = "name";

struct Dataset {
  DatasetId id;
  std::string name;  // as the tree shows it
  std::map<std::string, std::string> metadata;
  uint64_t size = 0;        // bytes: what was promised
  uint64_t grows_from = 0;  // bytes its LUN is known to have while that is less than `size`; 0: it has its size
  int64_t created_ms = 0;   // wall clock, Unix milliseconds; for people only
  std::string array = "tgt";
  std::string pool;
  bool formatted = false;   // an ext4 of ours was made on it and may hold data: never mkfs again
  uint32_t block_size = 0;  // the LUN's logical block size in bytes, 0 until known
  bool protect = false;
  uint32_t root_uid = 0;  // of the fresh filesystem's root directory
  uint32_t root_gid = 0;
  uint32_t root_mode = 0755;
  Desired desired;
  Placement placement;
  Operation operation;             // the last one, perhaps under way
  std::vector<Operation> earlier;  // those before it, newest last; all done
  std::string error;               // the last failure of its present step; empty when it goes well
  int64_t trashed_ms = 0;          // wall clock, Unix milliseconds, when it went to the trash; for people only
  int64_t trashed_clock_ms = 0;    // the same by the clock that decides (control's Retention)

  // Its name, and kNameKey's value with it when that is another one: what a v1 client gave stays as it was given.
  void SetName(const std::string& new_name);

  // Makes `next` the last operation and keeps the one before in `earlier`.
  void Begin(Operation next);

  // The node whose directory shows it: where it is until it provably left, then where it goes. Empty for the trash.
  std::optional<NodeId> ShownOn() const;

  bool operator==(const Dataset&) const = default;
};

struct Node {
  NodeId id;
  std::string name;
  std::string address;  // as control sees it
  std::string boot_id;  // of its kernel's present run
  bool operator==(const Node&) const = default;
};

}  // namespace flocker
