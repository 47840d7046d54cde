#include "engine/agent/descriptor_store.h"

#include <systemd/sd-daemon.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

// FDNAME= may have 255 characters, no colon and no control character.
std::string FuseName(const DatasetId& id, uint64_t mount_epoch) {
  return absl::StrCat(id.str(), ".", mount_epoch, ".fuse");
}
std::string ArenaName(const DatasetId& id, uint64_t mount_epoch) {
  return absl::StrCat(id.str(), ".", mount_epoch, ".arena");
}

// Without NOTIFY_SOCKET it is a success that does nothing.
bool Notify(const std::string& state, const int* fds, unsigned count) {
  const int result = sd_pid_notify_with_fds(0, 0, state.c_str(), fds, count);
  if (result >= 0) return true;
  spdlog::warn("{}; attachments may fail when agent and flocker-lun die together",
               std::string(ErrnoStatus(-result, absl::StrCat("cannot tell the service manager ", state)).message()));
  return false;
}

struct FreeNames {
  void operator()(char** names) const {
    for (char** name = names; *name != nullptr; ++name) std::free(*name);
    std::free(static_cast<void*>(names));
  }
};

}  // namespace

DescriptorStore::DescriptorStore() {
  char** raw = nullptr;
  const int count = sd_listen_fds_with_names(1, &raw);
  const std::unique_ptr<char*, FreeNames> names(raw);
  if (count < 0) {
    spdlog::warn("{}", std::string(ErrnoStatus(-count, "cannot take what the service manager handed over").message()));
    return;
  }
  const MutexLock lock(mutex_);
  for (int i = 0; i < count; ++i) {
    const std::string name = names.get()[i];
    handed_[name].reset(SD_LISTEN_FDS_START + i);
    stored_.insert(name);
  }
}

std::optional<LunDescriptors> DescriptorStore::Take(const DatasetId& id, uint64_t mount_epoch) {
  const MutexLock lock(mutex_);
  const auto fuse = handed_.find(FuseName(id, mount_epoch));
  const auto arena = handed_.find(ArenaName(id, mount_epoch));
  if (fuse == handed_.end() || arena == handed_.end()) return std::nullopt;
  LunDescriptors taken{std::move(fuse->second), std::move(arena->second)};
  handed_.erase(fuse);
  handed_.erase(arena);
  return taken;
}

void DescriptorStore::Keep(const DatasetId& id, uint64_t mount_epoch, int fuse, int arena) {
  const MutexLock lock(mutex_);
  const std::array<std::pair<std::string, int>, 2> descriptors = {
      {{FuseName(id, mount_epoch), fuse}, {ArenaName(id, mount_epoch), arena}}};
  for (const auto& [name, fd] : descriptors) {
    if (stored_.contains(name)) continue;
    if (Notify(absl::StrCat("FDSTORE=1\nFDNAME=", name), &fd, 1)) stored_.insert(name);
  }
}

void DescriptorStore::Remove(const DatasetId& id, uint64_t mount_epoch) {
  const MutexLock lock(mutex_);
  for (const std::string& name : {FuseName(id, mount_epoch), ArenaName(id, mount_epoch)}) RemoveNamed(name);
}

void DescriptorStore::RemoveAllBut(const std::set<std::pair<DatasetId, uint64_t>>& held) {
  std::set<std::string> kept;
  for (const auto& [id, mount_epoch] : held) kept.insert({FuseName(id, mount_epoch), ArenaName(id, mount_epoch)});
  const MutexLock lock(mutex_);
  std::set<std::string> over;
  for (const auto& [name, fd] : handed_) {
    if (!kept.contains(name)) over.insert(name);
  }
  for (const std::string& name : over) RemoveNamed(name);
  handed_.clear();
}

void DescriptorStore::RemoveNamed(const std::string& name) {
  handed_.erase(name);
  if (stored_.erase(name) != 0) Notify(absl::StrCat("FDSTOREREMOVE=1\nFDNAME=", name), nullptr, 0);
}

}  // namespace flocker
