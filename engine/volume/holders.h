// Who uses a dataset on this machine (DESIGN §2, "In use", steps 2 and 3): what a refusal names. The authority is
// ProveExclusive; this scan may miss a holder that the kernel shows nowhere (a loop device on a file inside, an
// overlay's layer, a mount namespace without a process, a process of a user namespace above ours).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"

namespace flocker {

struct HolderQuery {
  dev_t device = 0;        // st_dev of the ext4 (the loop device's number); 0 when it is not attached
  std::string mount_path;  // its own mount in this namespace, which is no holder
  dev_t fuse_device = 0;   // st_dev of the flocker tree's FUSE mount; 0 when there is none
  std::string tree_path;   // the dataset's directory in this namespace ("/flocker/alpha/pgdata"); may be empty
  uint32_t serial = 0;     // of the attachment: the upper half of its files' inode numbers in the tree
  std::unordered_set<uint64_t> extra_inodes;  // further inode numbers of the tree that belong to the dataset (its root)
  std::vector<std::string> fuse_roots;  // its paths inside the FUSE filesystem, as mountinfo's root ("/alpha/pgdata")
  std::set<pid_t> ignored;              // processes to leave out: flocker-fs, and whoever asks
};

struct Holder {
  pid_t pid = 0;                 // 0 for a mount in this very namespace: no process is needed to hold it
  std::string command;           // /proc/<pid>/comm
  uid_t uid = 0;                 // real user
  std::string what;              // "cwd", "root", "exe", "fd 5", "mmap", "mount"
  std::string path;              // as the holder's link or mountinfo shows it
  uint64_t mount_namespace = 0;  // inode number of its mount namespace
  std::string container;         // 64 hex digits, when its cgroup tells
};

// Looks at every task of this PID namespace (cwd, root, exe, descriptors, mapped files) and at every mount of every
// mount namespace that a task is in. A descriptor of a directory in the tree does not count (a find over the tree must
// not keep datasets where they are, and gets ESTALE when one goes); in the ext4 it does, for umount says so, and so
// does a cwd in either. One holder per process, the first thing found. Processes that end meanwhile are no error. Never
// asks the FUSE daemon nor the device (statx with AT_STATX_DONT_SYNC), so it may run while the dataset is gated. Needs
// root. Blocks for milliseconds (see README.md).
absl::StatusOr<std::vector<Holder>> FindHolders(const HolderQuery& query);

// "held by pid 123 (postgres), uid 999, mount namespace 4026532201, in container 0123456789ab: cwd /mnt; pid …";
// control characters escaped, long lists cut. For an empty list: that it is held by something no process shows, and
// what that can be.
std::string Describe(const std::vector<Holder>& holders);

}  // namespace flocker
