#include "engine/volume/cgroup.h"

#include <algorithm>

namespace flocker {
namespace {

constexpr size_t kIdLength = 64;  // SHA-256 in hex: what every runtime here names its containers by

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

std::string ContainerIdFromCgroup(std::string_view cgroup) {
  // The id stands alone in a path component or between a runtime's prefix and ".scope":
  //   /docker/<id>   /system.slice/docker-<id>.scope   /kubepods/…/cri-containerd-<id>.scope
  //   /machine.slice/libpod-<id>.scope
  // The last one wins: a container inside a container is what the process really lives in.
  std::string id;
  for (size_t begin = 0; begin < cgroup.size();) {
    const size_t end = static_cast<size_t>(
        std::find_if_not(cgroup.begin() + static_cast<std::ptrdiff_t>(begin), cgroup.end(), IsHex) - cgroup.begin());
    const bool alone = (begin == 0 || cgroup[begin - 1] == '/' || cgroup[begin - 1] == '-') &&
                       (end == cgroup.size() || cgroup[end] == '/' || cgroup[end] == '.' || cgroup[end] == '\n');
    if (end - begin == kIdLength && alone && !cgroup.substr(0, begin).ends_with("conmon-")) {
      id = std::string(cgroup.substr(begin, kIdLength));
    }
    begin = end + 1;
  }
  return id;
}

}  // namespace flocker
