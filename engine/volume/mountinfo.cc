#include "engine/volume/mountinfo.h"

#include <sys/sysmacros.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

// The kernel writes space, tab, newline and backslash as \ooo (fs/proc_namespace.c, mangle).
std::string Unescape(absl::string_view field) {
  const auto octal = [&](size_t at) { return at < field.size() && field[at] >= '0' && field[at] <= '7'; };
  std::string text;
  text.reserve(field.size());
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3) && field[i + 1] <= '3') {
      text += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

bool ParseDevice(absl::string_view field, dev_t& device) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(field, absl::MaxSplits(':', 1));
  uint32_t major = 0;
  uint32_t minor = 0;
  if (!absl::SimpleAtoi(parts.first, &major) || !absl::SimpleAtoi(parts.second, &minor)) return false;
  device = makedev(major, minor);
  return true;
}

// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue": the fields between the options and
// "-" are optional and any number; an empty source leaves an empty field.
bool ParseLine(absl::string_view line, MountEntry& entry) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  if (fields.size() < 10) return false;
  if (!absl::SimpleAtoi(fields[0], &entry.id) || !absl::SimpleAtoi(fields[1], &entry.parent)) return false;
  if (!ParseDevice(fields[2], entry.device)) return false;
  entry.root = Unescape(fields[3]);
  entry.mount_point = Unescape(fields[4]);
  entry.options = std::string(fields[5]);
  size_t at = 6;
  for (; at < fields.size() && fields[at] != "-"; ++at) {
    absl::string_view field = fields[at];
    if (absl::ConsumePrefix(&field, "shared:") && !absl::SimpleAtoi(field, &entry.shared_group)) return false;
    if (absl::ConsumePrefix(&field, "master:") && !absl::SimpleAtoi(field, &entry.master_group)) return false;
  }
  if (at + 3 >= fields.size()) return false;
  entry.type = Unescape(fields[at + 1]);
  entry.source = Unescape(fields[at + 2]);
  entry.super_options = std::string(fields[at + 3]);
  return true;
}

}  // namespace

bool MountEntry::HasSuperOption(std::string_view option) const {
  for (const absl::string_view one : absl::StrSplit(super_options, ',')) {
    if (one == absl::string_view(option.data(), option.size())) return true;
  }
  return false;
}

bool MountEntry::WritesFail() const {
  return HasSuperOption("ro") || HasSuperOption("emergency_ro") || HasSuperOption("shutdown");
}

absl::StatusOr<std::vector<MountEntry>> ParseMountInfo(std::string_view text) {
  std::vector<MountEntry> entries;
  for (const absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    if (line.empty()) continue;
    MountEntry entry;
    if (!ParseLine(line, entry)) {
      return absl::InternalError(
          absl::StrCat("not a line of mountinfo (proc(5)): '", absl::CHexEscape(line.substr(0, 200)), "'"));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

absl::StatusOr<std::vector<MountEntry>> ReadOwnMounts() {
  ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/self/mountinfo"));
  return ParseMountInfo(text);
}

absl::StatusOr<std::optional<MountEntry>> FindMount(const std::string& mount_point) {
  ASSIGN_OR_RETURN(std::vector<MountEntry> mounts, ReadOwnMounts());
  std::optional<MountEntry> found;
  for (MountEntry& mount : mounts) {
    if (mount.mount_point == mount_point) found = std::move(mount);  // a later line is stacked on an earlier one
  }
  return found;
}

bool IsAtOrBelow(std::string_view path, std::string_view directory) {
  if (directory == "/") return !path.empty() && path.front() == '/';
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace flocker
