// The system calls that a user's commands come down to, each answering 0 or its errno.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace flocker::testing {

int MakeDir(const std::string& path);
int Rename(const std::string& from, const std::string& to);
int RemoveDir(const std::string& path);
// open(O_RDONLY) and close.
int Open(const std::string& path);

// Writes `content` into a file made or truncated for it, and fsyncs.
int WriteFile(const std::string& path, const std::string& content);

}  // namespace flocker::testing
