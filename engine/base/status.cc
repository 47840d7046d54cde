#include "engine/base/status.h"

#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

constexpr char kCausePayload[] = "flocker/cause";
constexpr char kErrnoPayload[] = "flocker/errno";

struct CauseRow {
  Cause cause;
  std::string_view name;
  absl::StatusCode code;
};

// The first row of a code is what CauseOf answers for a status of that code without a cause.
constexpr std::array<CauseRow, 16> kCauses = {{
    {Cause::kBusy, "busy", absl::StatusCode::kFailedPrecondition},
    {Cause::kExists, "exists", absl::StatusCode::kAlreadyExists},
    {Cause::kNotFound, "not-found", absl::StatusCode::kNotFound},
    {Cause::kInvalid, "invalid", absl::StatusCode::kInvalidArgument},
    {Cause::kRange, "range", absl::StatusCode::kInvalidArgument},
    {Cause::kNoSpace, "no-space", absl::StatusCode::kResourceExhausted},
    {Cause::kNodeDown, "node-down", absl::StatusCode::kUnavailable},
    {Cause::kElsewhere, "elsewhere", absl::StatusCode::kOutOfRange},
    {Cause::kNoControl, "no-control", absl::StatusCode::kUnavailable},
    {Cause::kForbidden, "forbidden", absl::StatusCode::kPermissionDenied},
    {Cause::kDenied, "denied", absl::StatusCode::kPermissionDenied},
    {Cause::kInProgress, "in-progress", absl::StatusCode::kDeadlineExceeded},
    {Cause::kTimeout, "timeout", absl::StatusCode::kDeadlineExceeded},
    {Cause::kStale, "stale", absl::StatusCode::kAborted},
    {Cause::kInterrupted, "interrupted", absl::StatusCode::kCancelled},
    {Cause::kIo, "io", absl::StatusCode::kInternal},
}};

std::string_view View(const std::string& s) { return s; }

std::string Payload(const absl::Status& status, const char* key) {
  const auto payload = status.GetPayload(key);
  return payload ? std::string(*payload) : std::string();
}

}  // namespace

std::string_view CauseName(Cause cause) {
  for (const CauseRow& row : kCauses) {
    if (row.cause == cause) return row.name;
  }
  return "io";
}

std::optional<Cause> CauseFromName(std::string_view name) {
  for (const CauseRow& row : kCauses) {
    if (row.name == name) return row.cause;
  }
  return std::nullopt;
}

absl::Status Refuse(Cause cause, std::string_view message) {
  absl::StatusCode code = absl::StatusCode::kInternal;
  for (const CauseRow& row : kCauses) {
    if (row.cause == cause) code = row.code;
  }
  absl::Status status(code, absl::string_view(message.data(), message.size()));
  const std::string_view name = CauseName(cause);
  status.SetPayload(kCausePayload, absl::Cord(absl::string_view(name.data(), name.size())));
  return status;
}

Cause CauseOf(const absl::Status& status) {
  if (const auto cause = CauseFromName(View(Payload(status, kCausePayload)))) return *cause;
  for (const CauseRow& row : kCauses) {
    if (row.code == status.code()) return row.cause;
  }
  return Cause::kIo;
}

absl::Status ErrnoStatus(int error, std::string_view what) {
  absl::Status status = absl::ErrnoToStatus(error, absl::string_view(what.data(), what.size()));
  status.SetPayload(kErrnoPayload, absl::Cord(absl::StrCat(error)));
  return status;
}

int ErrnoOf(const absl::Status& status) {
  int error = 0;
  return absl::SimpleAtoi(Payload(status, kErrnoPayload), &error) ? error : 0;
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(),
                         absl::StrCat(absl::string_view(context.data(), context.size()), ": ", status.message()));
  status.ForEachPayload([&](absl::string_view key, const absl::Cord& value) { annotated.SetPayload(key, value); });
  return annotated;
}

}  // namespace flocker
