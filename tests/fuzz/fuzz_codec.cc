// Records of the store and beside a LUN: what is read writes back to the same value.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/model/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto dataset = flocker::DatasetFromJson(text); dataset.ok()) {
    const auto again = flocker::DatasetFromJson(flocker::ToJson(*dataset));
    if (!again.ok() || !(*again == *dataset)) std::abort();
  }
  if (const auto node = flocker::NodeFromJson(text); node.ok()) {
    const auto again = flocker::NodeFromJson(flocker::ToJson(*node));
    if (!again.ok() || !(*again == *node)) std::abort();
  }
  if (const auto event = flocker::EventFromJson(text); event.ok()) {
    const auto again = flocker::EventFromJson(flocker::ToJson(*event));
    if (!again.ok() || !(*again == *event)) std::abort();
  }
  if (const auto lease = flocker::LeaseFromJson(text); lease.ok()) {
    const auto again = flocker::LeaseFromJson(flocker::ToJson(*lease));
    if (!again.ok() || !(*again == *lease)) std::abort();
  }
  if (const auto wish = flocker::WishFromJson(text); wish.ok()) {
    const auto again = flocker::WishFromJson(flocker::ToJson(*wish));
    if (!again.ok() || !(*again == *wish)) std::abort();
  }
  return 0;
}
