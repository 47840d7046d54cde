// A walk over every task (thread) of this PID namespace, visiting what tasks share only once.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/unique_fd.h"

namespace flocker {

// Which inode something in /proc leads to.
struct InodeIdentity {
  dev_t device = 0;
  uint64_t inode = 0;
  uint64_t mount_id = 0;
  bool directory = false;
};

// One task. The `own_` fields are true for a process's first task, and for another thread when it does not share that
// with the first (kcmp(2)); only then is there anything new to see.
struct ProcTask {
  pid_t pid = 0;
  pid_t tid = 0;
  unique_fd directory;     // /proc/<pid>/task/<tid>
  bool own_fs = true;      // cwd, root and mount namespace
  bool own_files = true;   // descriptors
  bool own_memory = true;  // mappings

  // What a link of the task ("cwd", "fd/5", "ns/mnt") leads to, asked of the kernel's memory alone: AT_STATX_DONT_SYNC,
  // so no FUSE daemon or server is asked. Nothing when the task or the link is gone, or nobody may ask.
  std::optional<InodeIdentity> Identity(const std::string& link) const;
  // The link's text. Calls no filesystem. Empty when it is gone.
  std::string LinkText(const std::string& link) const;
  // A whole file of the task; empty when it is gone or a kernel thread has none.
  std::string Read(const std::string& file) const;
  // The numbers of its open descriptors, as text.
  std::vector<std::string> Descriptors() const;
};

// Calls `visit` for every task, in order of process ids. Tasks that end meanwhile are left out.
absl::Status ForEachTask(const std::function<void(const ProcTask&)>& visit);

}  // namespace flocker
