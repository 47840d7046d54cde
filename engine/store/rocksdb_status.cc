#include "engine/store/rocksdb_status.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker {

absl::Status FromRocksdb(const rocksdb::Status& status, const std::string& where) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat(where, ": ", status.ToString());
  if (status.IsCorruption()) {
    return absl::DataLossError(absl::StrCat(
        message, ". Nothing was changed; put a backup back, or rebuild the state with flocker-control --adopt"));
  }
  if (status.IsNoSpace()) return Refuse(Cause::kNoSpace, absl::StrCat(message, ". Free space there"));
  if (status.IsIOError() && absl::StrContains(message, "/LOCK:")) {
    return absl::FailedPreconditionError(
        absl::StrCat(message, ". Another flocker-control is using it; one at a time may"));
  }
  return absl::InternalError(message);
}

}  // namespace flocker
