// An agent's journal entries.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/agent/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto attachment = flocker::AttachmentFromText(std::string(reinterpret_cast<const char*>(data), size));
  if (!attachment.ok()) return 0;
  const auto again = flocker::AttachmentFromText(flocker::ToText(*attachment));
  if (!again.ok() || again->id != attachment->id || again->epoch != attachment->epoch) std::abort();
  return 0;
}
