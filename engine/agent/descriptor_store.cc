#include "engine/agent/descriptor_store.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

// FDNAME= may have 255 characters, no colon and no control character.
std::string FuseName(const std::string& owner) { return absl::StrCat(owner, ".fuse"); }
std::string MemoryName(const std::string& owner) { return absl::StrCat(owner, ".arena"); }

// Without NOTIFY_SOCKET it is a success that does nothing.
bool Notify(const std::string& state, const int* fds, unsigned count) {
  const int result = sd_pid_notify_with_fds(0, 0, state.c_str(), fds, count);
  if (result >= 0) return true;
  spdlog::warn("{}; what dies together with the agent may fail",
               std::string(ErrnoStatus(-result, absl::StrCat("cannot tell the service manager ", state)).message()));
  return false;
}

// Of a bound unix socket.
std::string PathOf(const unique_fd& socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  return {static_cast<const char*>(address.sun_path), strnlen(address.sun_path, sizeof address.sun_path)};
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
    unique_fd fd(SD_LISTEN_FDS_START + i);
    if (sd_is_socket(fd.get(), AF_UNIX, SOCK_STREAM, /*listening=*/1) > 0) {
      sockets_[PathOf(fd)] = std::move(fd);
      continue;
    }
    handed_[name] = std::move(fd);
    stored_.insert(name);
  }
}

std::map<std::string, unique_fd> DescriptorStore::TakeSockets() {
  const MutexLock lock(mutex_);
  return std::exchange(sockets_, {});
}

std::string DescriptorStore::OfLun(const DatasetId& id, uint64_t mount_epoch) {
  return absl::StrCat(id.str(), ".", mount_epoch);
}

std::optional<KeptDescriptors> DescriptorStore::Take(const std::string& owner) {
  const MutexLock lock(mutex_);
  const auto fuse = handed_.find(FuseName(owner));
  const auto memory = handed_.find(MemoryName(owner));
  if (fuse == handed_.end() || memory == handed_.end()) return std::nullopt;
  KeptDescriptors taken{std::move(fuse->second), std::move(memory->second)};
  handed_.erase(fuse);
  handed_.erase(memory);
  return taken;
}

void DescriptorStore::Keep(const std::string& owner, int fuse, int memory) {
  const MutexLock lock(mutex_);
  const std::array<std::pair<std::string, int>, 2> descriptors = {
      {{FuseName(owner), fuse}, {MemoryName(owner), memory}}};
  for (const auto& [name, fd] : descriptors) {
    if (stored_.contains(name)) continue;
    if (Notify(absl::StrCat("FDSTORE=1\nFDNAME=", name), &fd, 1)) stored_.insert(name);
  }
}

void DescriptorStore::Remove(const std::string& owner) {
  const MutexLock lock(mutex_);
  for (const std::string& name : {FuseName(owner), MemoryName(owner)}) RemoveNamed(name);
}

void DescriptorStore::RemoveAllBut(const std::set<std::string>& owners) {
  std::set<std::string> kept;
  for (const std::string& owner : owners) kept.insert({FuseName(owner), MemoryName(owner)});
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
