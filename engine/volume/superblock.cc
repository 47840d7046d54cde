#include "engine/volume/superblock.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/apart.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr off_t kLastLooks = off_t{2} << 20;  // at the device's end: what libblkid looks at there lies in it
constexpr size_t kFirstMib = size_t{1} << 20;
static_assert(kExt4SuperblockOffset + kExt4SuperblockSize <= kFirstMib, "one read shows both");

// Linux Documentation/filesystems/ext4/super.rst.
constexpr uint16_t kMagic = 0xEF53;
constexpr uint16_t kStateClean = 0x1;
constexpr uint16_t kStateErrors = 0x2;
constexpr uint16_t kStateOrphans = 0x4;
constexpr uint32_t kIncompatRecover = 0x4;
constexpr uint32_t kIncompat64Bit = 0x80;

uint32_t LittleEndian(std::span<const uint8_t> bytes, size_t offset, size_t size) {
  uint32_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[offset + i];
  return value;
}
uint16_t Le16(std::span<const uint8_t> bytes, size_t offset) {
  return static_cast<uint16_t>(LittleEndian(bytes, offset, 2));
}
uint32_t Le32(std::span<const uint8_t> bytes, size_t offset) { return LittleEndian(bytes, offset, 4); }

// A value libblkid found, empty when it found none.
std::string Value(blkid_probe probe, const char* name) {
  const char* data = nullptr;
  return blkid_probe_lookup_value(probe, name, &data, nullptr) == 0 && data != nullptr ? data : "";
}

// What a child of ours found on a device; in memory that it shares with us.
struct Seen {
  std::array<char, 64> signature;  // and the next: texts with a null byte at their end
  std::array<char, 64> uuid;
  std::array<uint8_t, kFirstMib> first;  // its first bytes
};

struct Unmap {
  void operator()(Seen* seen) const { munmap(seen, sizeof *seen); }
};

void Copy(std::string_view text, std::array<char, 64>& to) { to[text.copy(to.data(), to.size() - 1)] = 0; }

// These run in the child and answer an errno.

int ReadFirst(int fd, size_t offset, std::span<uint8_t> bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? errno : ENODATA;
    done += static_cast<size_t>(got);
  }
  return 0;
}

int FindSignature(int fd, Seen& seen) {
  const std::unique_ptr<blkid_struct_probe, decltype(&blkid_free_probe)> probe(blkid_new_probe(), blkid_free_probe);
  if (!probe || blkid_probe_set_device(probe.get(), fd, 0, 0) != 0) return errno != 0 ? errno : EIO;
  blkid_probe_enable_superblocks(probe.get(), 1);
  // A damaged superblock is a signature too: it must not look like an empty device.
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe.get(), 1);
  errno = 0;
  switch (blkid_do_safeprobe(probe.get())) {
    case 0:
      break;
    case 1:
      return 0;
    case -2:
      Copy("ambiguous", seen.signature);
      return 0;
    default:
      return errno != 0 ? errno : EIO;
  }
  std::string signature = Value(probe.get(), "TYPE");
  if (signature.empty()) signature = Value(probe.get(), "PTTYPE");
  Copy(signature.empty() ? "unknown" : signature, seen.signature);
  Copy(Value(probe.get(), "UUID"), seen.uuid);
  return 0;
}

// Looks at the device in a child (base/apart.h): a process that is killed while it reads would wait for the read when
// its end closes the device. `look` gets it open.
absl::StatusOr<std::unique_ptr<Seen, Unmap>> LookApart(const std::string& device,
                                                       absl::FunctionRef<int(int fd, Seen& seen)> look) {
  void* memory = mmap(nullptr, sizeof(Seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "cannot get memory to look at a device");
  std::unique_ptr<Seen, Unmap> seen(static_cast<Seen*>(memory));
  const int error = CallApart([&] {
    const int fd = open(device.c_str(), O_RDONLY | O_CLOEXEC);
    return fd < 0 ? errno : look(fd, *seen);
  });
  if (error == ENODATA) return Refuse(Cause::kInvalid, absl::StrCat(device, " is smaller than 1 MiB"));
  if (error != 0) return ErrnoStatus(error, absl::StrCat("cannot look what is on ", device));
  return seen;
}

}  // namespace

bool Ext4Superblock::Clean() const {
  return (state & kStateClean) != 0 && (state & (kStateErrors | kStateOrphans)) == 0 &&
         (incompat & kIncompatRecover) == 0;
}

bool Ext4Superblock::GrowthWasInterrupted() const { return label == kGrowingLabel; }

std::string Ext4Superblock::CheckReason(int64_t now) const {
  if (GrowthWasInterrupted()) return "its growth was interrupted";
  if ((state & kStateErrors) != 0) return "the kernel recorded errors in it";
  if ((incompat & kIncompatRecover) != 0) return "its journal needs replay";
  if ((state & kStateClean) == 0) return "it was not unmounted in order";
  if ((state & kStateOrphans) != 0) return "it has orphaned inodes";
  if (max_mount_count > 0 && mount_count >= max_mount_count) {
    return absl::StrCat("it was mounted ", mount_count, " times since its last check");
  }
  if (check_interval > 0 && now - int64_t{last_check} >= int64_t{check_interval}) {
    return "its last check is too long ago";
  }
  return "";
}

std::optional<Ext4Superblock> ParseExt4Superblock(std::span<const uint8_t> bytes) {
  if (bytes.size() < kExt4SuperblockSize || Le16(bytes, 0x38) != kMagic) return std::nullopt;
  Ext4Superblock superblock;
  superblock.mount_count = Le16(bytes, 0x34);
  superblock.max_mount_count = static_cast<int16_t>(Le16(bytes, 0x36));
  superblock.state = Le16(bytes, 0x3A);
  superblock.last_check = Le32(bytes, 0x40);
  superblock.check_interval = Le32(bytes, 0x44);
  superblock.incompat = Le32(bytes, 0x60);
  const absl::string_view label(reinterpret_cast<const char*>(bytes.data()) + 0x78, 16);
  superblock.label = std::string(label.substr(0, label.find('\0')));
  const uint64_t high = (superblock.incompat & kIncompat64Bit) != 0 ? Le32(bytes, 0x150) : 0;
  const uint32_t block_shift = 10 + std::min(Le32(bytes, 0x18), uint32_t{6});  // 64 KiB is the largest block
  superblock.size = (high << 32 | Le32(bytes, 0x4)) << block_shift;
  const std::string hex =
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(bytes.data()) + 0x68, 16));
  superblock.uuid = absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                                 hex.substr(16, 4), "-", hex.substr(20));
  return superblock;
}

absl::StatusOr<std::optional<Ext4Superblock>> ReadExt4Superblock(const std::string& device) {
  ASSIGN_OR_RETURN(const auto seen, LookApart(device, [](int fd, Seen& found) {
                     return ReadFirst(fd, kExt4SuperblockOffset, std::span(found.first).first(kExt4SuperblockSize));
                   }));
  return ParseExt4Superblock(std::span(seen->first).first(kExt4SuperblockSize));
}

absl::StatusOr<ProbeResult> ProbeDevice(const std::string& device) {
  ASSIGN_OR_RETURN(const auto seen, LookApart(device, [](int fd, Seen& found) {
                     // libblkid asks for some twenty small pieces of the beginning and as many of the end, one after
                     // the other, without reading ahead: each would be a round trip to the array.
                     const off_t end = lseek(fd, 0, SEEK_END);
                     posix_fadvise(fd, std::max<off_t>(0, end - kLastLooks), kLastLooks, POSIX_FADV_WILLNEED);
                     const int error = ReadFirst(fd, 0, found.first);
                     return error != 0 ? error : FindSignature(fd, found);
                   }));
  ProbeResult result;
  result.signature = seen->signature.data();
  result.uuid = seen->uuid.data();
  result.first_mib_zero = std::all_of(seen->first.begin(), seen->first.end(), [](uint8_t byte) { return byte == 0; });
  if (result.signature == "ext4") {
    result.ext4 = ParseExt4Superblock(std::span(seen->first).subspan(kExt4SuperblockOffset, kExt4SuperblockSize));
  }
  return result;
}

FormatDecision DecideFormat(bool formatted, const ProbeResult& probe, const DatasetId& id) {
  const auto refuse = [](std::string why) { return FormatDecision{FormatAction::kRefuse, std::move(why)}; };
  if (id.empty()) return refuse("the dataset has no id");
  if (probe.signature.empty()) {
    if (formatted) return refuse("its filesystem is gone: no signature on a device that was formatted");
    if (!probe.first_mib_zero) {
      return refuse("it was never formatted and has no signature, but its first MiB is not zero");
    }
    return {FormatAction::kMkfs, ""};
  }
  if (probe.signature != "ext4" || !probe.ext4) return refuse(absl::StrCat("it carries '", probe.signature, "'"));
  if (probe.ext4->uuid != id.str()) return refuse(absl::StrCat("it carries the ext4 of ", probe.ext4->uuid));
  if (formatted) return {FormatAction::kMount, ""};
  return {probe.ext4->Clean() ? FormatAction::kAdopt : FormatAction::kRecreate, ""};
}

}  // namespace flocker
