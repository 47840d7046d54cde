#include "engine/volume/filesystem.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/apart.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "engine/volume/exclusive.h"
#include "engine/volume/mountinfo.h"
#include "engine/volume/superblock.h"

namespace flocker {
namespace {

// Linux fs/ext4/ext4.h, EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH; no installed header declares them.
constexpr unsigned long kIocShutdown = _IOR('X', 125, uint32_t);
constexpr uint32_t kGoingNoLogFlush = 2;

constexpr char kWrittenBelow[] = ": something was written into it while nothing was mounted";

// The UUID of the ext4 on the device, read alone: a mount needs to know nothing else.
absl::Status CheckUuid(const std::string& device, const DatasetId& id) {
  ASSIGN_OR_RETURN(const auto superblock, ReadExt4Superblock(device));
  if (!superblock) return Refuse(Cause::kForbidden, absl::StrCat(device, " carries no ext4; it is not mounted"));
  if (superblock->uuid != id.str()) {
    return Refuse(Cause::kForbidden, absl::StrCat(device, " carries the ext4 of ", superblock->uuid, ", not of ",
                                                  id.str(), "; it is not mounted"));
  }
  return absl::OkStatus();
}

// What the kernel wrote into the filesystem context about a failure: "e text", "w text" (fsopen(2)).
std::string ContextMessages(const unique_fd& context) {
  std::string messages;
  std::array<char, 1024> line{};
  ssize_t got = 0;
  while ((got = read(context.get(), line.data(), line.size())) > 0) {
    absl::StrAppend(&messages, "; ", absl::string_view(line.data(), static_cast<size_t>(got)));
  }
  return messages;
}

// A mount that is nowhere yet: it is made complete before anybody can see it, and is gone when the descriptor is
// closed.
absl::StatusOr<unique_fd> MakeDetachedMount(const MountRequest& request) {
  const auto failed = [&](const char* call, const unique_fd& context) {
    const int error = errno;
    return ErrnoStatus(error, absl::StrCat("cannot mount ", request.device, " (", call, ContextMessages(context), ")"));
  };
  const unique_fd context(fsopen("ext4", FSOPEN_CLOEXEC));
  if (!context) return ErrnoStatus(errno, "the kernel knows no ext4 (fsopen)");
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "source", request.device.c_str(), 0) != 0 ||
      fsconfig(context.get(), FSCONFIG_SET_STRING, "errors", "remount-ro", 0) != 0 ||
      // One kernel thread zeroes the inode tables of all filesystems of the machine, and mount and umount wait for its
      // lock (fs/ext4/super.c, li_list_mtx): one stuck device would hold up all others. A thin LUN reads as zeroes.
      fsconfig(context.get(), FSCONFIG_SET_FLAG, "noinit_itable", nullptr, 0) != 0) {
    return failed("options", context);
  }
  const int created =
      CallApart([&] { return fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0 ? 0 : errno; },
                {context.get()});
  if (created != 0) {
    errno = created;
    return failed("superblock", context);
  }
  unsigned flags = 0;
  if (request.nodev) flags |= MOUNT_ATTR_NODEV;
  if (request.nosuid) flags |= MOUNT_ATTR_NOSUID;
  unique_fd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, flags));
  if (!mount) return failed("fsmount", context);
  return mount;
}

// The filesystem as it is mounted at `mounted_at`, or a mount of its own, as a mount that is nowhere yet.
absl::StatusOr<unique_fd> TakeMount(const MountRequest& request, dev_t device) {
  if (!request.mounted_at.empty()) {
    ASSIGN_OR_RETURN(const auto earlier, FindMount(request.mounted_at));
    if (earlier && earlier->device == device) {
      unique_fd copy(open_tree(AT_FDCWD, request.mounted_at.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
      if (!copy) return ErrnoStatus(errno, absl::StrCat("cannot copy the mount at ", request.mounted_at));
      return copy;
    }
  }
  RETURN_IF_ERROR(CheckUuid(request.device, request.id));
  return MakeDetachedMount(request);
}

absl::Status FinishRoot(const unique_fd& mount, const FreshRoot& root, const std::string& device) {
  const int finished = CallApart(
      [&] {
        const int directory = openat(mount.get(), ".", O_RDONLY | O_DIRECTORY);
        if (directory < 0) return errno;
        if (unlinkat(directory, "lost+found", AT_REMOVEDIR) != 0 && errno != ENOENT) return errno;
        if (fchown(directory, root.uid, root.gid) != 0 || fchmod(directory, root.mode) != 0) return errno;
        // It must be on the device before anybody records that the filesystem is formatted: it is never done again
        // after that.
        return syncfs(directory) == 0 ? 0 : errno;
      },
      {mount.get()});
  if (finished == 0) return absl::OkStatus();
  return ErrnoStatus(finished, absl::StrCat("cannot make the fresh root directory on ", device,
                                            " ready (without lost+found, of uid ", root.uid, ", synced)"));
}

absl::Status RemovePath(const std::string& path) {
  if (rmdir(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  const int error = errno;
  return ErrnoStatus(error,
                     absl::StrCat("cannot remove the mountpoint ", path, error == ENOTEMPTY ? kWrittenBelow : ""));
}

// Where an unmounted path waits for the proof. It must vanish at once, or a container could be started on it; but
// removing it would detach the copies that other mount namespaces have of it (fs/namei.c, vfs_rmdir), whose holders
// must lose nothing when the proof fails. Renaming leaves those alone.
std::string Aside(const std::string& path) { return absl::StrCat(path, ".released"); }

// The one that waits for a proof is taken back, not replaced. One that is there already comes from a crash.
absl::Status MakePath(const std::string& path) {
  if (rename(Aside(path).c_str(), path.c_str()) == 0) return absl::OkStatus();
  if (errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("cannot take the mountpoint ", path, " back"));
  if (mkdir(path.c_str(), 0) == 0) return absl::OkStatus();
  if (errno != EEXIST) return ErrnoStatus(errno, absl::StrCat("cannot make the mountpoint ", path));
  std::error_code error;
  const bool empty = std::filesystem::is_empty(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot look into the mountpoint ", path));
  if (!empty) return ErrnoStatus(ENOTEMPTY, absl::StrCat("will not mount over ", path, kWrittenBelow));
  return absl::OkStatus();
}

absl::Status Unmount(const std::string& path) {
  ASSIGN_OR_RETURN(const auto present, FindMount(path));
  if (!present) return absl::OkStatus();
  const int unmounted = CallApart([&] { return umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0 ? 0 : errno; });
  if (unmounted == 0) return absl::OkStatus();
  if (unmounted == EBUSY) return Refuse(Cause::kBusy, absl::StrCat(path, " is in use and stays mounted"));
  return ErrnoStatus(unmounted, absl::StrCat("cannot unmount ", path));
}

}  // namespace

std::string MountPath(const std::string& root, const DatasetId& id, uint64_t epoch) {
  return absl::StrCat(root, "/mnt/", id.str(), ".", epoch);
}

absl::Status MountFilesystem(const MountRequest& request) {
  struct stat device {};
  if (stat(request.device.c_str(), &device) != 0) return ErrnoStatus(errno, absl::StrCat("no device ", request.device));
  ASSIGN_OR_RETURN(const auto present, FindMount(request.path));
  if (present) {
    if (present->device == device.st_rdev) return absl::OkStatus();
    return Refuse(Cause::kBusy, absl::StrCat(request.path, " is the mountpoint of ", present->source, ", not of ",
                                             request.device, "; unmount that first"));
  }
  ASSIGN_OR_RETURN(const unique_fd mount, TakeMount(request, device.st_rdev));
  if (request.fresh_root) RETURN_IF_ERROR(FinishRoot(mount, *request.fresh_root, request.device));

  const std::string parent = std::filesystem::path(request.path).parent_path().string();
  RETURN_IF_ERROR(MakeDirectories(parent, 0711));
  if (chmod(parent.c_str(), 0711) != 0) return ErrnoStatus(errno, absl::StrCat("cannot chmod ", parent));
  RETURN_IF_ERROR(MakePath(request.path));
  if (move_mount(mount.get(), "", AT_FDCWD, request.path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    const absl::Status status = ErrnoStatus(errno, absl::StrCat("cannot mount ", request.device, " at ", request.path));
    const absl::Status removed = RemovePath(request.path);
    return removed.ok() ? status : Annotate(status, removed.ToString());
  }
  return absl::OkStatus();
}

absl::Status SyncFilesystem(const std::string& path) {
  const int synced = CallApart([&] {
    const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY);
    return directory >= 0 && syncfs(directory) == 0 ? 0 : errno;
  });
  if (synced == 0) return absl::OkStatus();
  return Refuse(Cause::kIo, absl::StrCat("not everything written to ", path,
                                         " reached the array: ", ErrnoStatus(synced, "sync").message()));
}

absl::Status UnmountFilesystem(const std::string& path) {
  RETURN_IF_ERROR(Unmount(path));
  return RemovePath(path);
}

absl::Status UnmountForProof(const std::string& path) {
  RETURN_IF_ERROR(Unmount(path));
  if (rename(path.c_str(), Aside(path).c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("cannot move the unmounted ", path, " aside"));
}

absl::Status RemoveReleasedPath(const std::string& path) { return RemovePath(Aside(path)); }

absl::Status ReleaseFilesystem(const MountRequest& request, absl::Duration grace) {
  RETURN_IF_ERROR(UnmountForProof(request.path));
  absl::Status proof = ProveExclusive(request.device, grace);
  if (proof.ok()) return RemoveReleasedPath(request.path);
  MountRequest again = request;
  again.fresh_root.reset();
  const absl::Status mounted = MountFilesystem(again);
  if (!mounted.ok()) return Annotate(mounted, absl::StrCat(proof.message(), "; then mounting it again failed"));
  return proof;
}

absl::Status DetachFilesystem(const std::string& path) {
  ASSIGN_OR_RETURN(const auto present, FindMount(path));
  if (!present) {
    RETURN_IF_ERROR(RemoveReleasedPath(path));  // a release had begun
    return RemovePath(path);
  }
  absl::Status stopped;
  {
    const unique_fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    uint32_t flags = kGoingNoLogFlush;
    if (!directory || ioctl(directory.get(), kIocShutdown, &flags) != 0) {
      stopped = ErrnoStatus(errno, absl::StrCat("cannot stop the filesystem at ", path, " (FS_IOC_SHUTDOWN)"));
    }
  }
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot detach the mount at ", path));
  }
  RETURN_IF_ERROR(RemovePath(path));
  return stopped;
}

absl::Status SweepMountPaths(const std::string& root) {
  const std::string parent = absl::StrCat(root, "/mnt");
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(parent.c_str()), closedir);
  if (!directory) return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("cannot list ", parent));
  absl::Status result;
  while (const dirent* entry = readdir(directory.get())) {
    const absl::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = absl::StrCat(parent, "/", name);
    ASSIGN_OR_RETURN(const auto mounted, FindMount(path));
    if (mounted) continue;
    const absl::Status removed = RemovePath(path);
    if (result.ok()) result = removed;
  }
  return result;
}

}  // namespace flocker
