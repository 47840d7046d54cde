// What a user writes to flocker.*: a flags byte, a name, a NUL, a value; without a NUL it is to be removed.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "engine/model/names.h"
#include "engine/model/size.h"
#include "fusefs/attributes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t end = text.find('\0');
  const auto value = end == std::string_view::npos ? std::nullopt : std::optional(text.substr(end + 1));
  const auto wish = flocker::ParseChange(text.substr(0, end), value, data[0] & 3);
  if (!wish.ok()) return 0;
  // Whatever gets through asks for something, and is text that a record can hold.
  if (wish->size == 0 && !wish->protect && wish->metadata.empty() && wish->removed.empty()) std::abort();
  if (wish->size != 0 && (wish->size < flocker::kMinSize || wish->size > flocker::kMaxSize)) std::abort();
  for (const auto& [key, text_of_it] : wish->metadata) {
    if (key.empty() || !flocker::CountCharacters(key) || !flocker::CountCharacters(text_of_it)) std::abort();
  }
  return 0;
}
