// tgtadm's listings.
#include <cstdint>
#include <string_view>

#include "engine/array/tgt_show.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  flocker::ParseTgtTargets(text).IgnoreError();
  flocker::ParseTgtAccounts(text).IgnoreError();
  return 0;
}
