// The body of a call of Docker's, and the options in it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/docker/request.h"
#include "engine/model/size.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto request = flocker::docker::ParseVolumeRequest(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!request.ok()) return 0;
  if (request->name.empty()) std::abort();
  const auto options = flocker::docker::ReadOptions(request->options, flocker::docker::DefaultProfiles());
  if (!options.ok()) return 0;
  if (options->size != 0 && (options->size < flocker::kMinSize || options->size > flocker::kMaxSize)) std::abort();
  if (options->metadata.contains("name") || options->metadata.contains("size")) std::abort();
  return 0;
}
