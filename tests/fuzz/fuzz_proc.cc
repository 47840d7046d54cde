// Texts out of /proc that other processes have a hand in: mountinfo and cgroup.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/base/cgroup.h"
#include "engine/volume/mountinfo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  flocker::ParseMountInfo(text).IgnoreError();
  const std::string container = flocker::ContainerIdFromCgroup(text);
  if (!container.empty() && container.size() != 64) std::abort();
  return 0;
}
