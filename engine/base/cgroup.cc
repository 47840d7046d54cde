#include "engine/base/cgroup.h"

#include <algorithm>
#include <cstddef>

namespace flocker {
namespace {

constexpr size_t kIdLength = 64;  // SHA-256 in hex: what every runtime here names its containers by

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

struct Named {
  size_t containers = 0;  // how many the path leads through
  std::string_view last;  // the innermost one's id
};

// The id stands alone in a path component or between a runtime's prefix and ".scope":
//   /docker/<id>   /system.slice/docker-<id>.scope   /kubepods/…/cri-containerd-<id>.scope
//   /machine.slice/libpod-<id>.scope   /kubepods-pod1.slice:cri-containerd:<id>
// A container inside a container is what the process really lives in: the last one.
Named LookAt(std::string_view path) {
  Named found;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = static_cast<size_t>(
        std::find_if_not(path.begin() + static_cast<std::ptrdiff_t>(begin), path.end(), IsHex) - path.begin());
    const bool alone = begin > 0 && std::string_view("/-:").find(path[begin - 1]) != std::string_view::npos &&
                       (end == path.size() || path[end] == '/' || path[end] == '.');
    if (end - begin == kIdLength && alone && !path.substr(0, begin).ends_with("conmon-")) {
      ++found.containers;
      found.last = path.substr(begin, kIdLength);
    }
    begin = end + 1;
  }
  return found;
}

}  // namespace

std::string ContainerIdFromCgroup(std::string_view cgroup) {
  // One line for each hierarchy of version 1, one more for version 2. An inner container need not be in all of them.
  Named innermost;
  while (!cgroup.empty()) {
    const size_t end = std::min(cgroup.find('\n'), cgroup.size());
    const Named found = LookAt(cgroup.substr(0, end));
    if (found.containers > innermost.containers) innermost = found;
    cgroup.remove_prefix(std::min(end + 1, cgroup.size()));
  }
  return std::string(innermost.last);
}

}  // namespace flocker
