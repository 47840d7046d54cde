// RocksDB's answers in our terms.
#pragma once

#include <rocksdb/status.h>

#include <string>

#include "absl/status/status.h"

namespace flocker {

// `where`: what was worked on ("the store in …"); RocksDB's own message names the file concerned. DataLoss for damage,
// kNoSpace for a full disk, FailedPrecondition for a database somebody else has open.
absl::Status FromRocksdb(const rocksdb::Status& status, const std::string& where);

}  // namespace flocker
