// Random operations on one file, all of which may be done twice with the same outcome.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <random>
#include <string>
#include <utility>

#include "engine/base/unique_fd.h"

namespace flocker::testing {

inline constexpr size_t kMaxFileSize = size_t{1} << 20;

struct FileOperation {
  enum Kind {
    kWrite,
    kRead,
    kTruncate,
    kAllocate,
    kKeepSize,
    kPunch,
    kZero,
    kMapWrite,
    kMapRead,
    kCopy,
    kReopen,
    kSync,
    kKinds
  };
  int kind = kWrite;
  off_t offset = 0;
  off_t to = 0;
  size_t size = 0;
  char fill = 'x';

  static FileOperation Random(std::mt19937_64& random);
  std::string Text() const;
};

// A file that is kept open.
class OperatedFile {
 public:
  explicit OperatedFile(std::string path);

  // What came of it: a result or -errno, and what was read.
  std::pair<ssize_t, std::string> Do(const FileOperation& op);
  off_t size() const;
  std::pair<ssize_t, std::string> Read(off_t offset, size_t size) const;

 private:
  int Open(int flags);
  // Through a mapping of the part of the range that is in the file.
  std::pair<ssize_t, std::string> Map(const FileOperation& op, int protection) const;

  const std::string path_;
  unique_fd fd_;
};

}  // namespace flocker::testing
