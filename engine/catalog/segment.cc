#include "engine/catalog/segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::catalog {
namespace {

namespace ipc = boost::interprocess;

constexpr uint64_t kMaxFileSize = uint64_t{1} << 36;  // what 32-bit granule numbers reach

std::string NewPath(const std::string& path) { return absl::StrCat(path, ".new"); }

absl::StatusOr<std::array<char, 40>> BootId() {
  ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/sys/kernel/random/boot_id"));
  std::array<char, 40> id{};
  std::copy_n(text.begin(), std::min(text.size(), id.size()), id.begin());
  return id;
}

absl::Status MapError(const std::string& path, const ipc::interprocess_exception& error) {
  return ErrnoStatus(error.get_native_error(), absl::StrCat("cannot map the catalogue ", path));
}

absl::Status CheckHeader(const Header& header, uint64_t file_size, const std::string& path) {
  if (header.magic != kMagic) return absl::DataLossError(absl::StrCat(path, " is no catalogue: its magic is wrong"));
  if (header.layout != kLayout) {
    return absl::FailedPreconditionError(absl::StrCat("the catalogue ", path, " has layout ", header.layout,
                                                      ", this program knows ", kLayout,
                                                      ": run flocker-agent and flocker-fs of one release"));
  }
  if (header.file_size != file_size) {
    return absl::DataLossError(absl::StrCat("the catalogue ", path, " has ", file_size, " bytes, its header says ",
                                            header.file_size, ": restart flocker-agent, which writes a new one"));
  }
  ASSIGN_OR_RETURN(const auto boot_id, BootId());
  if (header.boot_id != boot_id) {
    return absl::FailedPreconditionError(
        absl::StrCat("the catalogue ", path, " is of an earlier boot: it is replaced when flocker-agent starts"));
  }
  return absl::OkStatus();
}

// Whatever layout it has: a reader of that layout is to look again too.
absl::Status MarkSuperseded(const std::string& path) {
  const unique_fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd && errno == ENOENT) return absl::OkStatus();
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot open the catalogue before it, ", path));
  uint64_t magic = 0;
  if (pread(fd.get(), &magic, sizeof(magic), 0) != sizeof(magic) || magic != kMagic) return absl::OkStatus();
  const uint32_t yes = 1;
  if (pwrite(fd.get(), &yes, sizeof(yes), offsetof(Header, superseded)) != sizeof(yes)) {
    return ErrnoStatus(errno, absl::StrCat("cannot mark the catalogue before it, ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Segment>> Segment::Create(const std::string& path, uint64_t file_size,
                                                         const Bytes16& self) {
  const std::string name = NewPath(path);
  if (file_size > kMaxFileSize) return absl::ResourceExhaustedError("the catalogue would grow beyond 64 GiB");
  ASSIGN_OR_RETURN(const auto boot_id, BootId());
  if (unlink(name.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("cannot remove ", name));
  const unique_fd fd(open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return ErrnoStatus(errno, absl::StrCat("cannot create the catalogue ", name));
  // Allocated now: a page that the filesystem cannot provide later would be a SIGBUS, not an error.
  if (const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(file_size)); error != 0) {
    unlink(name.c_str());
    return ErrnoStatus(error, absl::StrCat("cannot allocate ", file_size, " bytes for the catalogue ", name));
  }
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, absl::StrCat("cannot stat ", name));
  try {
    const ipc::file_mapping file(name.c_str(), ipc::read_write);
    std::shared_ptr<Segment> segment(new Segment(ipc::mapped_region(file, ipc::read_write), st.st_dev, st.st_ino));
    Header& header = segment->header();
    header.magic = kMagic;
    header.layout = kLayout;
    header.file_size = file_size;
    header.boot_id = boot_id;
    header.self = self;
    return segment;
  } catch (const ipc::interprocess_exception& error) {
    return MapError(name, error);
  }
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::Open(const std::string& path) {
  try {
    const ipc::file_mapping file(path.c_str(), ipc::read_only);
    struct stat st {};
    if (fstat(file.get_mapping_handle().handle, &st) != 0)
      return ErrnoStatus(errno, absl::StrCat("cannot stat ", path));
    const auto size = static_cast<uint64_t>(st.st_size);
    if (!S_ISREG(st.st_mode) || size <= kArenaStart || size > kMaxFileSize) {
      return absl::DataLossError(absl::StrCat(path, " is no catalogue: it has ", size, " bytes"));
    }
    std::shared_ptr<Segment> segment(
        new Segment(ipc::mapped_region(file, ipc::read_only, 0, size), st.st_dev, st.st_ino));
    RETURN_IF_ERROR(CheckHeader(segment->header(), size, path));
    return segment;
  } catch (const ipc::interprocess_exception& error) {
    return MapError(path, error);
  }
}

absl::Status Segment::Switch(const std::string& path) {
  RETURN_IF_ERROR(MarkSuperseded(path));
  if (std::rename(NewPath(path).c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot rename ", NewPath(path), " to ", path));
  }
  return absl::OkStatus();
}

Root Segment::root(uint64_t version) const {
  std::array<uint64_t, sizeof(Root) / 8> words{};
  auto* from = reinterpret_cast<uint64_t*>(&header().roots[version % kHistory]);
  for (size_t i = 0; i < words.size(); ++i) words[i] = Load(from[i]);
  return std::bit_cast<Root>(words);
}

Arena Segment::arena() const {
  return {reinterpret_cast<uint64_t*>(static_cast<char*>(region_.get_address()) + kArenaStart),
          (region_.get_size() - kArenaStart) / kGranule};
}

void Segment::set_oldest(uint64_t version) {
  std::atomic_ref<uint64_t>(header().oldest).store(version, std::memory_order_release);
}

void Segment::Commit(const Root& root) {
  const auto words = std::bit_cast<std::array<uint64_t, sizeof(Root) / 8>>(root);
  auto* to = reinterpret_cast<uint64_t*>(&header().roots[root.version % kHistory]);
  for (size_t i = 0; i < words.size(); ++i) {
    std::atomic_ref<uint64_t>(to[i]).store(words[i], std::memory_order_release);
  }
  std::atomic_ref<uint64_t>(header().version).store(root.version, std::memory_order_release);
}

void Segment::CopyFrom(const Segment& other, size_t granules) {
  std::memcpy(static_cast<char*>(region_.get_address()) + kArenaStart,
              static_cast<const char*>(other.region_.get_address()) + kArenaStart, granules * kGranule);
}

bool Segment::IsAt(const std::string& path) const {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 && st.st_dev == device_ && st.st_ino == inode_;
}

}  // namespace flocker::catalog
