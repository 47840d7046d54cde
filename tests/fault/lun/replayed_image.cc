#include "replayed_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kToolTimeout = absl::Seconds(30);

}  // namespace

absl::StatusOr<WriteLogReader> WriteLogReader::Open(const std::string& path) {
  WriteLogReader log(unique_fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  struct stat status {};
  if (!log.fd_ || fstat(log.fd_.get(), &status) != 0) {
    return ErrnoStatus(errno, absl::StrCat("no write log ", path, ": was flocker-lun built with FLOCKER_FAULTS?"));
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  uint64_t at = 0;
  while (at + sizeof(lun::WriteLogRecord) <= size) {
    LoggedDeed deed{};
    if (pread(log.fd_.get(), &deed.record, sizeof deed.record, static_cast<off_t>(at)) != sizeof deed.record) {
      return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
    }
    if (deed.record.magic != lun::kWriteLogMagic) return absl::DataLossError(absl::StrCat(path, " is torn at ", at));
    deed.data = at + sizeof deed.record;
    deed.end = deed.data + (deed.record.deed == lun::Deed::kWrite ? deed.record.length : 0);
    if (deed.end > size) break;
    at = deed.end;
    log.deeds_.push_back(deed);
  }
  return log;
}

absl::StatusOr<std::string> WriteLogReader::Data(const LoggedDeed& deed) const {
  std::string data(deed.end - deed.data, '\0');
  if (pread(fd_.get(), data.data(), data.size(), static_cast<off_t>(deed.data)) != static_cast<ssize_t>(data.size())) {
    return ErrnoStatus(errno, "cannot read a write's bytes from the write log");
  }
  return data;
}

std::vector<size_t> WriteLogReader::Flushes() const {
  std::vector<size_t> flushes;
  for (size_t i = 0; i < deeds_.size(); ++i) {
    if (deeds_[i].record.deed == lun::Deed::kFlush) flushes.push_back(i);
  }
  return flushes;
}

size_t WriteLogReader::Certain(size_t flush) const {
  uint64_t certain = 0;
  for (size_t i = 0; i <= flush; ++i) certain = std::max(certain, deeds_[i].record.covers);
  return certain;
}

absl::StatusOr<ReplayedImage> ReplayedImage::Make(const std::string& path, uint64_t size) {
  unique_fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot make ", path));
  }
  return ReplayedImage(path, std::move(fd));
}

absl::StatusOr<ReplayedImage> ReplayedImage::CopyTo(const std::string& path) const {
  RETURN_IF_ERROR(RunChecked({"cp", "--sparse=always", path_, path}, kToolTimeout).status());
  unique_fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  ReplayedImage copy(path, std::move(fd));
  copy.next_ = next_;
  return copy;
}

absl::Status ReplayedImage::Apply(const WriteLogReader& log, const LoggedDeed& deed) {
  const auto offset = static_cast<off_t>(deed.record.offset);
  const auto length = static_cast<off_t>(deed.record.length);
  if (deed.record.deed == lun::Deed::kZero &&
      fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot zero ", length, " bytes at ", offset, " of ", path_));
  }
  if (deed.record.deed == lun::Deed::kWrite) {
    ASSIGN_OR_RETURN(const std::string data, log.Data(deed));
    if (pwrite(fd_.get(), data.data(), data.size(), offset) != static_cast<ssize_t>(data.size())) {
      return ErrnoStatus(errno, absl::StrCat("cannot write ", length, " bytes at ", offset, " of ", path_));
    }
  }
  return absl::OkStatus();
}

absl::Status ReplayedImage::ApplyUntil(const WriteLogReader& log, size_t end) {
  for (; next_ < end; ++next_) RETURN_IF_ERROR(Apply(log, log.deeds()[next_]));
  return absl::OkStatus();
}

absl::Status CheckFilesystem(const std::string& image) {
  // Without -f it goes no further than a mount would, unless the filesystem itself says that it has errors.
  ASSIGN_OR_RETURN(const CommandResult mounted, RunCommand({"e2fsck", "-p", image}, kToolTimeout));
  for (const absl::string_view line : absl::StrSplit(mounted.output, '\n', absl::SkipEmpty())) {
    const bool expected = absl::StrContains(line, ": recovering journal") || absl::StrContains(line, ": clean, ") ||
                          absl::StrContains(line, "Clearing orphaned inode ") ||
                          absl::StrContains(line, "Setting free ");
    if (!expected) return absl::DataLossError(absl::StrCat("e2fsck -p:\n", mounted.output));
  }
  if (mounted.exit_code > 1) return absl::DataLossError(absl::StrCat("e2fsck -p:\n", mounted.output));
  ASSIGN_OR_RETURN(const CommandResult checked, RunCommand({"e2fsck", "-fn", image}, kToolTimeout));
  if (checked.exit_code != 0) return absl::DataLossError(absl::StrCat("e2fsck -fn:\n", checked.output));
  return absl::OkStatus();
}

absl::Status ExtractFiles(const std::string& image, const std::vector<std::string>& names,
                          const std::string& directory) {
  for (const std::string& name : names) {
    const std::string copy = absl::StrCat(directory, "/", name);
    unlink(copy.c_str());
    RETURN_IF_ERROR(
        RunChecked({"debugfs", "-R", absl::StrCat("dump /", name, " ", copy), image}, kToolTimeout).status());
  }
  return absl::OkStatus();
}

}  // namespace flocker::testing
