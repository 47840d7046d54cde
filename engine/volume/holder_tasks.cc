#include "engine/volume/holder_tasks.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/cgroup.h"
#include "engine/base/status.h"
#include "engine/volume/maps_reader.h"

namespace flocker {
namespace {

// What a process's maps may take. One that is stuck goes without: if it maps a file of the dataset, the unmount finds
// it in use.
constexpr absl::Duration kMapsPatience = absl::Milliseconds(250);

struct Finding {
  std::string what;
  std::string path;
};

std::optional<Finding> LookAt(const HolderQuery& query, const ProcTask& task, MapsReader& maps) {
  const auto held = [&](const std::string& link, bool descriptor) {
    const auto identity = task.Identity(link);
    if (!identity || !Belongs(query, identity->device, identity->inode)) return false;
    // A directory that is only listed through the tree (find, ls) is no use of the dataset: see holders.h.
    return !(descriptor && identity->directory && identity->device == query.fuse_device);
  };
  if (task.own_fs) {
    for (const char* link : {"cwd", "root"}) {
      if (held(link, false)) return Finding{link, task.LinkText(link)};
    }
  }
  if (task.own_files) {
    for (const std::string& number : task.Descriptors()) {
      const std::string link = absl::StrCat("fd/", number);
      if (held(link, true)) return Finding{absl::StrCat("fd ", number), task.LinkText(link)};
    }
  }
  if (task.own_memory) {
    if (held("exe", false)) return Finding{"exe", task.LinkText("exe")};
    const auto text = maps.Read(absl::StrCat("/proc/", task.pid, "/task/", task.tid, "/maps"));
    if (text) {
      if (auto path = FindMapping(query, *text)) return Finding{"mmap", *std::move(path)};
    }
  }
  return std::nullopt;
}

// "Uid:\t<real>\t…" in /proc/<pid>/status, whose other lines cannot start like that: a newline in a name is escaped
// there.
uid_t RealUser(absl::string_view status) {
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    uid_t uid = 0;
    if (absl::ConsumePrefix(&line, "Uid:\t") && absl::SimpleAtoi(line.substr(0, line.find('\t')), &uid)) return uid;
  }
  return 0;
}

// Takes one blank-separated field off the front.
absl::string_view TakeField(absl::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const absl::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

}  // namespace

bool Belongs(const HolderQuery& query, dev_t device, uint64_t inode) {
  if (query.device != 0 && device == query.device) return true;
  if (query.fuse_device == 0 || device != query.fuse_device) return false;
  return (query.serial != 0 && inode >> 32 == query.serial) || query.extra_inodes.contains(inode);
}

std::optional<std::string> FindMapping(const HolderQuery& query, std::string_view maps) {
  // "7f00-7f01 r--p 00000000 fe:00 1234      /path": device in hex, inode in decimal, both 0 without a file.
  for (absl::string_view line : absl::StrSplit(absl::string_view(maps.data(), maps.size()), '\n')) {
    TakeField(line);  // addresses
    TakeField(line);  // permissions
    TakeField(line);  // offset
    const absl::string_view device = TakeField(line);
    const size_t colon = device.find(':');
    uint32_t major = 0;
    uint32_t minor = 0;
    uint64_t inode = 0;
    if (colon == absl::string_view::npos || !absl::SimpleHexAtoi(device.substr(0, colon), &major) ||
        !absl::SimpleHexAtoi(device.substr(colon + 1), &minor) || !absl::SimpleAtoi(TakeField(line), &inode)) {
      continue;
    }
    if (inode != 0 && Belongs(query, makedev(major, minor), inode)) {
      return std::string(absl::StripLeadingAsciiWhitespace(line));
    }
  }
  return std::nullopt;
}

Holder Identify(const ProcTask& task) {
  Holder holder;
  holder.pid = task.pid;
  holder.command = std::string(absl::StripSuffix(task.Read("comm"), "\n"));
  holder.uid = RealUser(task.Read("status"));
  holder.container = ContainerIdFromCgroup(task.Read("cgroup"));
  if (const auto ns = task.Identity("ns/mnt")) holder.mount_namespace = ns->inode;
  return holder;
}

absl::StatusOr<std::vector<Holder>> FindTaskHolders(const HolderQuery& query) {
  std::vector<Holder> holders;
  MapsReader maps(kMapsPatience);
  const absl::Status walked = ForEachTask([&](const ProcTask& task) {
    const bool known = !holders.empty() && holders.back().pid == task.pid;  // its tasks come one after another
    if (known || query.ignored.contains(task.pid)) return;
    auto finding = LookAt(query, task, maps);
    if (!finding) return;
    Holder holder = Identify(task);
    holder.what = std::move(finding->what);
    holder.path = std::move(finding->path);
    holders.push_back(std::move(holder));
  });
  RETURN_IF_ERROR(walked);
  return holders;
}

}  // namespace flocker
