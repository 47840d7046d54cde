#include "engine/model/size.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"

namespace flocker {

absl::StatusOr<uint64_t> CheckSize(uint64_t bytes) {
  if (bytes < kMinSize) {
    return Refuse(Cause::kRange, absl::StrCat("a size of ", bytes, " bytes is under the minimum of 64M"));
  }
  if (bytes > kMaxSize) {
    return Refuse(Cause::kRange, absl::StrCat("a size of ", bytes, " bytes is over the maximum of 16T"));
  }
  return (bytes + kMiB - 1) / kMiB * kMiB;
}

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  const auto malformed = [&] {
    return Refuse(Cause::kInvalid, absl::StrCat("'", absl::CHexEscape(std::string(text.substr(0, 64))),
                                                "' is not a size; write for example 512M or 15G"));
  };
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string unit(text.substr(digits));
  absl::AsciiStrToLower(&unit);
  double scale = 1;
  if (!unit.empty() && unit != "b") {
    const size_t power = std::string_view("kmgt").find(unit[0]);
    const std::string rest = unit.substr(1);
    if (power == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib")) return malformed();
    scale = std::ldexp(1.0, static_cast<int>(10 * (power + 1)));
  }
  double number = 0;
  // Digits before a point, so that neither "." nor a sign nor an exponent gets through.
  if (digits == 0 || text[0] == '.' || !absl::SimpleAtod(std::string(text.substr(0, digits)), &number)) {
    return malformed();
  }
  const double bytes = number * scale;
  return CheckSize(bytes > static_cast<double>(kMaxSize) ? kMaxSize + 1 : static_cast<uint64_t>(std::ceil(bytes)));
}

std::string FormatSize(uint64_t bytes) {
  return absl::StrFormat("%.2fG", static_cast<double>(bytes) / static_cast<double>(kGiB));
}

}  // namespace flocker
