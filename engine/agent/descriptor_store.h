// The service manager's descriptor store (sd_notify(3) FDSTORE=1, sd_listen_fds_with_names(3)): it keeps a copy of what
// an attachment lives by, or the tree, and hands it to the agent that it starts next. So agent and flocker-lun, or
// flocker-fs, may die together.
//
// Without a service manager, or with one that keeps nothing (FileDescriptorStoreMax=0, the default), all of this is
// nothing. systemd itself drops a descriptor whose FUSE connection was aborted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "engine/model/ids.h"

namespace flocker {

// What a successor takes over: a FUSE connection, and the memory in which the requests of its users are. Of a
// flocker-lun (engine/lun/TAKEOVER.md), or of flocker-fs (fusefs/TAKEOVER.md).
struct KeptDescriptors {
  unique_fd fuse;
  unique_fd memory;
};

// Thread-safe; no call blocks for longer than the service manager takes to receive a datagram.
class DescriptorStore {
 public:
  // Takes the descriptors that were handed to this process. To be made once, before there are other threads: it clears
  // LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from the environment.
  DescriptorStore();
  DescriptorStore(const DescriptorStore&) = delete;
  DescriptorStore& operator=(const DescriptorStore&) = delete;

  // `owner`: whose they are, at most 200 characters without a colon.
  static std::string OfLun(const DatasetId& id, uint64_t mount_epoch);
  static std::string OfTree() { return "tree"; }

  // What was handed over for this owner, once; it stays in the store. Nothing unless it is all there.
  std::optional<KeptDescriptors> Take(const std::string& owner);
  // The unix sockets among what was handed over that listen for us, by their path, once: no store has them, but a
  // socket unit.
  std::map<std::string, unique_fd> TakeSockets();
  // Puts copies of both into the store, unless they are there: those of one owner are the same until they are removed.
  void Keep(const std::string& owner, int fuse, int memory);
  // The attachment, or the mount, is over: the store lets go of its descriptors.
  void Remove(const std::string& owner);
  // Lets go of whatever was handed over and belongs to none of `owners`.
  void RemoveAllBut(const std::set<std::string>& owners);

 private:
  void RemoveNamed(const std::string& name) REQUIRES(mutex_);

  Mutex mutex_;
  std::set<std::string> stored_ GUARDED_BY(mutex_);             // the names of what the store has of us
  std::map<std::string, unique_fd> handed_ GUARDED_BY(mutex_);  // to us, and not taken yet
  std::map<std::string, unique_fd> sockets_ GUARDED_BY(mutex_);
};

}  // namespace flocker
