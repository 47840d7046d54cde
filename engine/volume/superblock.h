// What is on a block device, and what may be done to it: the guard in front of mkfs (DESIGN §4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/ids.h"

namespace flocker {

// The fields of an ext4 superblock that matter here (Linux Documentation/filesystems/ext4/super.rst).
struct Ext4Superblock {
  std::string uuid;             // canonical lower-case text
  uint16_t state = 0;           // s_state: 1 cleanly unmounted, 2 errors detected, 4 orphans being recovered
  uint32_t incompat = 0;        // s_feature_incompat: 4 the journal needs replay
  uint16_t mount_count = 0;     // mounts since the last check
  int16_t max_mount_count = 0;  // a check is due at that many; <= 0 never
  uint32_t last_check = 0;      // Unix seconds
  uint32_t check_interval = 0;  // seconds; 0 never
  std::string label;            // s_volume_name
  uint64_t size = 0;            // bytes of the device that the filesystem spans

  // Unmounted in order, no error recorded, nothing to replay.
  bool Clean() const;
  // GrowUnmounted began and did not end: it was whole before that (kGrowingLabel).
  bool GrowthWasInterrupted() const;
  // Why a check is due before it is mounted ("the journal needs replay", …); empty when none is. `now`: Unix seconds.
  std::string CheckReason(int64_t now) const;
};

// What an ext4 of ours is labelled while resize2fs works on it. It has no other label.
inline constexpr char kGrowingLabel[] = "flocker-growing";  // at most 16 bytes

// Size and place of the superblock on the device, in bytes.
inline constexpr size_t kExt4SuperblockOffset = 1024;
inline constexpr size_t kExt4SuperblockSize = 1024;

// Reads the fields out of a superblock's bytes; nothing when these are no ext2/3/4 superblock.
std::optional<Ext4Superblock> ParseExt4Superblock(std::span<const uint8_t> bytes);

// What libblkid and we ourselves find on a device.
struct ProbeResult {
  std::string signature;  // a filesystem's, RAID's or partition table's name ("ext4", "xfs", "dos"); empty when none.
                          // "ambiguous" when several answer
  std::string uuid;       // of that signature, as it writes it; may be empty
  bool first_mib_zero = false;
  std::optional<Ext4Superblock> ext4;  // when the signature is ext4
};

// The ext4 superblock of a device, mounted or not; nothing when there is none. Blocks as long as the device does,
// unless it is mounted: then the kernel has it in memory.
absl::StatusOr<std::optional<Ext4Superblock>> ReadExt4Superblock(const std::string& device);

// Reads the beginning (and for some signatures the end) of the device; blocks as long as it does. Both look in a child
// (engine/base/apart.h), so that a process that is killed meanwhile ends at once.
absl::StatusOr<ProbeResult> ProbeDevice(const std::string& device);

// What may be done with a device for the dataset `id`.
enum class FormatAction {
  kMkfs,      // empty and never formatted: make the filesystem
  kAdopt,     // never recorded as formatted, but a clean ext4 of ours: the trace of a crash after mkfs. Use it
  kRecreate,  // the same, but not clean: a crash during mkfs or the first mount. Make it again
  kMount,     // formatted and ours: mount it
  kRefuse,    // anything else: touch nothing
};
struct FormatDecision {
  FormatAction action = FormatAction::kRefuse;
  std::string why;  // for kRefuse: what was found
};

// Pure. `formatted` is the record's field: once true, nothing is ever formatted again. kAdopt and kRecreate rest on the
// agent's promise that nobody could write to the filesystem before `formatted` was committed.
FormatDecision DecideFormat(bool formatted, const ProbeResult& probe, const DatasetId& id);

}  // namespace flocker
