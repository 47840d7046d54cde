// What this node is and what it holds, on disk: a restarted agent finds by it the mounts and LUN servers that went on
// without it. How far each stack stands is not written down: that is read from the machine.
//
//   <root>/lock            held (flock) by the one agent of this root
//   <root>/node            the node's UUID, made once
//   <root>/serial          the last serial given out
//   <root>/journal/<uuid>.<mount epoch>  one held attachment
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/model/attachment.h"

namespace flocker {

class Journal {
 public:
  // Makes what is missing. FailedPrecondition while another agent runs on this root.
  static absl::StatusOr<Journal> Open(const std::string& root);

  const NodeId& node() const { return node_; }
  // Every entry; one that cannot be read is an error that names its file: guessing could mount over a live dataset.
  absl::StatusOr<std::vector<Attachment>> Load() const;
  // Durable when they return.
  absl::Status Put(const Attachment& attachment) const;
  absl::Status Erase(const DatasetId& id, uint64_t mount_epoch) const;
  // A serial never given out before on this root.
  absl::StatusOr<uint32_t> NewSerial();

 private:
  Journal() = default;
  std::string FileOf(const DatasetId& id, uint64_t mount_epoch) const;

  std::string root_;
  NodeId node_;
  unique_fd lock_;
  uint32_t last_serial_ = 0;  // the caller serializes NewSerial
};

// One entry's text and back; InvalidArgument for a text that is none.
std::string ToText(const Attachment& attachment);
absl::StatusOr<Attachment> AttachmentFromText(const std::string& text);

}  // namespace flocker
