// Sizes of datasets, in bytes (DESIGN; the minimum and the default are Flocker v1's).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace flocker {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kMinSize = 64 * kMiB;
constexpr uint64_t kDefaultSize = 75 * kGiB;
constexpr uint64_t kMaxSize = 16 * 1024 * 1024 * kMiB;  // 16 TiB, ext4's with 4 KiB blocks and 32-bit block numbers

// `15G`, `512M`, `1.5T`, `67108864`: binary units k m g t with an optional B or iB, either case. The result is rounded
// up to 1 MiB; kInvalid for what is no size, kRange under 64 MiB or over 16 TiB.
absl::StatusOr<uint64_t> ParseSize(std::string_view text);

// The same limits and rounding for a number of bytes.
absl::StatusOr<uint64_t> CheckSize(uint64_t bytes);

// "15.00G", as Flocker's table shows it.
std::string FormatSize(uint64_t bytes);

}  // namespace flocker
