#include "engine/agent/node_strays.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/agent/own_processes.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"
#include "engine/volume/filesystem.h"
#include "engine/volume/fuse_mount.h"
#include "engine/volume/loop.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

// Of "<uuid>.<mount epoch>", nothing more and nothing less.
std::optional<AttachmentKey> KeyOfName(absl::string_view name) {
  const size_t dot = name.find('.');
  if (dot == absl::string_view::npos) return std::nullopt;
  const auto id = DatasetId::Parse({name.data(), dot});
  uint64_t epoch = 0;
  if (!id || !absl::SimpleAtoi(name.substr(dot + 1), &epoch)) return std::nullopt;
  if (absl::StrCat(id->str(), ".", epoch) != name) return std::nullopt;
  return AttachmentKey(*id, epoch);
}

// Of a path right below `directory`.
std::optional<AttachmentKey> KeyOfPath(absl::string_view path, const std::string& directory) {
  if (!absl::ConsumePrefix(&path, directory) || !absl::ConsumePrefix(&path, "/")) return std::nullopt;
  return KeyOfName(path);
}

// What a flocker-lun serves below a root of that name.
std::optional<AttachmentKey> KeyOfServer(pid_t pid, const std::string& root) {
  const auto mountpoint = MountpointOf(pid, "flocker-lun");
  return mountpoint ? KeyOfPath(*mountpoint, absl::StrCat(root, "/lun")) : std::nullopt;
}

absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
  if (!entries && errno == ENOENT) return names;
  if (!entries) return ErrnoStatus(errno, absl::StrCat("cannot list ", directory));
  while (const dirent* entry = readdir(entries.get())) names.emplace_back(entry->d_name);
  return names;
}

class Search {
 public:
  explicit Search(const std::string& root) : root_(root) {}

  absl::Status Run() {
    RETURN_IF_ERROR(Servers());
    RETURN_IF_ERROR(Mounts());
    RETURN_IF_ERROR(Loops());
    return Names();
  }
  std::map<AttachmentKey, Traces> Take() { return std::move(found_); }

 private:
  void Add(const std::optional<AttachmentKey>& key, const std::string& what) {
    if (key) found_[*key].what.insert(what);
  }

  absl::Status Servers() {
    ASSIGN_OR_RETURN(const std::vector<pid_t> pids, AllProcesses());
    for (const pid_t pid : pids) {
      const auto key = KeyOfServer(pid, root_);
      if (!key) continue;
      if (!SeesOurFiles(pid)) {
        strangers_.insert(*key);
        continue;
      }
      Add(key, absl::StrCat("flocker-lun ", pid));
      found_[*key].servers.push_back(pid);
    }
    return absl::OkStatus();
  }

  absl::Status Mounts() {
    ASSIGN_OR_RETURN(const std::vector<MountEntry> mounts, ReadOwnMounts());
    for (const MountEntry& mount : mounts) {
      const bool fuse = mount.type == "fuse.flocker-lun";
      if (!fuse && mount.type != "ext4") continue;
      for (const char* directory : fuse ? std::vector{"/lun"} : std::vector{"/mnt", "/format"}) {
        const auto key = KeyOfPath(mount.mount_point, absl::StrCat(root_, directory));
        Add(key, absl::StrCat("the mount at ", mount.mount_point));
        if (key) mounted_.insert(mount.mount_point);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Loops() {
    ASSIGN_OR_RETURN(const std::vector<LoopDevice> loops, ListLoops());
    for (const LoopDevice& loop : loops) {
      if (loop.autoclear) continue;  // it goes with its last holder
      const absl::string_view file = absl::StripSuffix(loop.backing_file, " (deleted)");
      const auto key = KeyOfPath(file, absl::StrCat(root_, "/lun"));
      if (key && strangers_.contains(*key)) continue;
      Add(key, absl::StrCat(loop.path(), " over ", loop.backing_file));
    }
    return absl::OkStatus();
  }

  absl::Status Names() {
    for (const char* directory : {"/lun", "/mnt", "/format"}) {
      const std::string path = absl::StrCat(root_, directory);
      ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(path));
      for (absl::string_view name : names) {
        const std::string whole = absl::StrCat(path, "/", name);
        if (mounted_.contains(whole)) continue;  // said already
        absl::ConsumeSuffix(&name, path.ends_with("/lun") ? ".sock" : ".released");
        Add(KeyOfName(name), whole);
      }
    }
    return absl::OkStatus();
  }

  const std::string& root_;
  std::map<AttachmentKey, Traces> found_;
  std::set<std::string> mounted_;
  std::set<AttachmentKey> strangers_;  // of an agent that has our root's name in a mount namespace of its own
};

absl::Status KillServer(pid_t pid, const AttachmentKey& key, const std::string& root) {
  const auto pidfd = OpenPidfd(pid);
  // It ended; the number may be another's.
  if (!pidfd.ok() || KeyOfServer(pid, root) != key || !SeesOurFiles(pid)) return absl::OkStatus();
  if (syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot kill flocker-lun ", pid));
  }
  if (!WaitEnd(*pidfd, absl::Seconds(10))) {
    return absl::DeadlineExceededError(absl::StrCat("flocker-lun ", pid, " does not die"));
  }
  return absl::OkStatus();
}

absl::Status ClearLoop(const std::string& file) {
  const absl::Status detached = DetachLoopOver(file, absl::ZeroDuration());
  // Busy: it detaches by itself when its last holder is gone.
  return !detached.ok() && CauseOf(detached) == Cause::kBusy ? absl::OkStatus() : detached;
}

absl::Status RemoveName(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("cannot remove ", path));
}

}  // namespace

absl::StatusOr<std::map<AttachmentKey, Traces>> FindTraces(const std::string& root) {
  Search search(root);
  RETURN_IF_ERROR(search.Run());
  return search.Take();
}

absl::Status RemoveTraces(const std::string& root, const AttachmentKey& key, const Traces& traces) {
  const std::string name = absl::StrCat(key.first.str(), ".", key.second);
  const std::string file = absl::StrCat(root, "/lun/", name);
  const std::string native = MountPath(root, key.first, key.second);
  absl::Status result;
  const auto keep = [&](absl::Status status) { result.Update(std::move(status)); };
  keep(AbortFuseMount(file));
  for (const std::string& path : {native, absl::StrCat(root, "/format/", name)}) keep(DetachFilesystem(path));
  keep(RemoveReleasedPath(native));
  keep(ClearLoop(file));
  keep(DetachFuseMount(file));
  for (const pid_t pid : traces.servers) keep(KillServer(pid, key, root));
  for (const std::string& path : {file, absl::StrCat(file, ".sock")}) keep(RemoveName(path));
  return result;
}

}  // namespace flocker
