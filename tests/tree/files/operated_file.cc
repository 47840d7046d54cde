#include "operated_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace flocker::testing {
namespace {

ssize_t Whole(ssize_t result) { return result < 0 ? -errno : result; }

}  // namespace

FileOperation FileOperation::Random(std::mt19937_64& random) {
  FileOperation op;
  op.kind = static_cast<int>(random() % kKinds);
  op.offset = static_cast<off_t>(random() % kMaxFileSize);
  op.to = static_cast<off_t>(random() % kMaxFileSize);
  op.size = 1 + random() % (random() % 4 == 0 ? 200000 : 9000);
  op.fill = static_cast<char>('a' + random() % 26);
  // Whole blocks half of the time.
  if (random() % 2 == 0) op.offset &= ~4095, op.to &= ~4095, op.size = (op.size + 4095) & ~size_t{4095};
  return op;
}

std::string FileOperation::Text() const {
  static constexpr std::array kNames = {"write", "read",      "truncate", "allocate", "keep size", "punch",
                                        "zero",  "map+write", "map+read", "copy",     "reopen",    "sync"};
  return absl::StrCat(kNames[static_cast<size_t>(kind)], " ", offset, "+", size, " to ", to);
}

OperatedFile::OperatedFile(std::string path) : path_(std::move(path)) { Open(O_CREAT); }

std::pair<ssize_t, std::string> OperatedFile::Do(const FileOperation& op) {
  const std::string data(op.size, op.fill);
  const int fd = fd_.get();
  const auto length = static_cast<off_t>(op.size);
  switch (op.kind) {
    case FileOperation::kWrite:
      return {Whole(pwrite(fd, data.data(), data.size(), op.offset)), ""};
    case FileOperation::kRead:
      return Read(op.offset, op.size);
    case FileOperation::kTruncate:
      return {Whole(ftruncate(fd, op.offset)), ""};
    case FileOperation::kAllocate:
      return {Whole(fallocate(fd, 0, op.offset, length)), ""};
    case FileOperation::kKeepSize:
      return {Whole(fallocate(fd, FALLOC_FL_KEEP_SIZE, op.offset, length)), ""};
    case FileOperation::kPunch:
      return {Whole(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op.offset, length)), ""};
    case FileOperation::kZero:
      return {Whole(fallocate(fd, FALLOC_FL_ZERO_RANGE, op.offset, length)), ""};
    case FileOperation::kMapWrite:
      return Map(op, PROT_READ | PROT_WRITE);
    case FileOperation::kMapRead:
      return Map(op, PROT_READ);
    case FileOperation::kCopy: {
      off_t from = op.offset;
      off_t to = op.to;
      return {Whole(copy_file_range(fd, &from, fd, &to, op.size, 0)), ""};
    }
    case FileOperation::kReopen:
      return {Open(0), ""};
    default:
      return {Whole(fdatasync(fd)), ""};
  }
}

off_t OperatedFile::size() const {
  struct stat about {};
  return fstat(fd_.get(), &about) == 0 ? about.st_size : -errno;
}

std::pair<ssize_t, std::string> OperatedFile::Read(off_t offset, size_t size) const {
  std::string data(size, '\0');
  const ssize_t got = pread(fd_.get(), data.data(), size, offset);
  data.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return {Whole(got), data};
}

int OperatedFile::Open(int flags) {
  fd_.reset();
  fd_.reset(open(path_.c_str(), O_RDWR | O_CLOEXEC | flags, 0644));
  return fd_ ? 0 : -errno;
}

std::pair<ssize_t, std::string> OperatedFile::Map(const FileOperation& op, int protection) const {
  const off_t end = std::min(op.offset + static_cast<off_t>(op.size), size());
  if (end <= op.offset) return {0, ""};
  const auto whole = static_cast<size_t>(end);
  void* map = mmap(nullptr, whole, protection, MAP_SHARED, fd_.get(), 0);
  if (map == MAP_FAILED) return {-errno, ""};
  char* from = static_cast<char*>(map) + op.offset;
  const auto length = static_cast<size_t>(end - op.offset);
  if ((protection & PROT_WRITE) != 0) std::memset(from, op.fill, length);
  std::string seen(from, length);
  const ssize_t synced = Whole(msync(map, whole, MS_SYNC));
  munmap(map, whole);
  return {synced, seen};
}

}  // namespace flocker::testing
