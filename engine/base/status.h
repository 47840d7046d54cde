// Errors are absl::Status values whose message says what was tried, on what, and what to do next. A refusal that a user
// must be able to tell apart carries a Cause beside its code; fusefs turns it into an errno, ctl into an exit code.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace flocker {

enum class Cause {
  kBusy,         // in use; nothing was changed
  kExists,       // the name is taken somewhere in the cluster
  kNotFound,     // no such dataset or node
  kInvalid,      // bad name, size or flag
  kRange,        // a number or text beyond what is allowed
  kNoSpace,      // not admitted, or the pool is full
  kNodeDown,     // the node concerned is not connected
  kElsewhere,    // the dataset is on another node
  kNoControl,    // the control service cannot be reached, so nothing can be changed
  kForbidden,    // not allowed here, to anybody
  kDenied,       // not allowed to this caller
  kInProgress,   // took longer than op_timeout and goes on
  kTimeout,      // a wait ran out
  kStale,        // a handle of an earlier attachment
  kInterrupted,  // the caller gave up and the operation was truly withdrawn
  kIo,           // the device or the array failed
};

// The cause's word, as logs, events and the wire show it ("busy", "no-space"), and back.
std::string_view CauseName(Cause cause);
std::optional<Cause> CauseFromName(std::string_view name);

// A refusal with its cause.
absl::Status Refuse(Cause cause, std::string_view message);

// The cause a status carries; for one without, the nearest by its code. Call only with !status.ok().
Cause CauseOf(const absl::Status& status);

// "<what>: <strerror>" with the code absl gives that errno, remembering the errno for ErrnoOf.
absl::Status ErrnoStatus(int error, std::string_view what);

// The errno that ErrnoStatus put in; 0 when there is none.
int ErrnoOf(const absl::Status& status);

// The same status with "<context>: " before its message; cause and errno stay.
absl::Status Annotate(const absl::Status& status, std::string_view context);

#define FLOCKER_STATUS_CONCAT_(a, b) a##b
#define FLOCKER_STATUS_CONCAT(a, b) FLOCKER_STATUS_CONCAT_(a, b)
// NOLINTBEGIN(bugprone-macro-parentheses): `lhs` is a declaration.
#define RETURN_IF_ERROR(expr)                                         \
  do {                                                                \
    if (absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)
#define ASSIGN_OR_RETURN(lhs, expr) ASSIGN_OR_RETURN_(FLOCKER_STATUS_CONCAT(status_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                      \
  if (!tmp.ok()) return tmp.status();     \
  lhs = *std::move(tmp)
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace flocker
