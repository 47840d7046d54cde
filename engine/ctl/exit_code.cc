#include "engine/ctl/exit_code.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

struct ExitCodeRow {
  Cause cause;
  int code;
};

// Scripts depend on these numbers: add, never change. 2 is also a wrong command line, as everywhere.
constexpr std::array<ExitCodeRow, 16> kExitCodes = {{
    {Cause::kIo, 1},
    {Cause::kInvalid, 2},
    {Cause::kNotFound, 3},
    {Cause::kExists, 4},
    {Cause::kBusy, 5},
    {Cause::kNoSpace, 6},
    {Cause::kNodeDown, 7},
    {Cause::kElsewhere, 8},
    {Cause::kNoControl, 9},
    {Cause::kForbidden, 10},
    {Cause::kDenied, 11},
    {Cause::kInProgress, 12},
    {Cause::kTimeout, 13},
    {Cause::kStale, 14},
    {Cause::kInterrupted, 15},
    {Cause::kRange, 16},
}};

}  // namespace

int ExitCode(const absl::Status& status) {
  if (status.ok()) return 0;
  for (const ExitCodeRow& row : kExitCodes) {
    if (row.cause == CauseOf(status)) return row.code;
  }
  return 1;
}

std::string ExitCodeTable() {
  std::string text = "Exit codes: 0 done";
  for (const ExitCodeRow& row : kExitCodes) {
    absl::StrAppend(&text, ", ", row.code, " ", std::string(CauseName(row.cause)));
  }
  return text;
}

}  // namespace flocker
