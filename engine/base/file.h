// Whole small files: read, and replaced durably.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace flocker {

// The file's content. NotFound when it does not exist.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Writes a temporary neighbour with `mode`, syncs it, renames it over `path` and syncs the directory: after a crash at
// any point there is the old content or the new one.
absl::Status ReplaceFile(const std::string& path, const std::string& content, mode_t mode = 0600);

// Makes the names in the directory durable: what was created in, renamed into or unlinked from it.
absl::Status SyncDirectory(const std::string& path);

// mkdir -p with `mode` for what is missing.
absl::Status MakeDirectories(const std::string& path, mode_t mode = 0755);

// `size` bytes of the kernel's randomness as lower-case hex.
std::string RandomHex(size_t size);

}  // namespace flocker
