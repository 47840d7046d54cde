// What a user types: names, sizes, ids.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/model/ids.h"
#include "engine/model/names.h"
#include "engine/model/size.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (flocker::CheckName(text).ok() &&
      (text.empty() || text.size() > 128 || text.find('/') != text.npos || text.find('\0') != text.npos)) {
    std::abort();
  }
  const auto bytes = flocker::ParseSize(text);
  if (bytes.ok() && (*bytes < flocker::kMinSize || *bytes > flocker::kMaxSize || *bytes % flocker::kMiB != 0)) {
    std::abort();
  }
  const auto id = flocker::DatasetId::Parse(text);
  if (id && flocker::DatasetId::Parse(id->str()) != id) std::abort();
  return 0;
}
