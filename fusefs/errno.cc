#include "fusefs/errno.h"

#include <cerrno>

namespace flocker {

int CauseErrno(Cause cause) {
  switch (cause) {
    case Cause::kBusy:
      return EBUSY;
    case Cause::kExists:
      return EEXIST;
    case Cause::kNotFound:
      return ENOENT;
    case Cause::kInvalid:
      return EINVAL;
    case Cause::kRange:
      return ERANGE;
    case Cause::kNoSpace:
      return ENOSPC;
    case Cause::kNodeDown:
      return EHOSTDOWN;
    case Cause::kElsewhere:
      return EREMOTE;
    case Cause::kNoControl:
      return EROFS;
    case Cause::kForbidden:
      return EPERM;
    case Cause::kDenied:
      return EACCES;
    case Cause::kInProgress:
      return EINPROGRESS;
    case Cause::kTimeout:
      return ETIMEDOUT;
    case Cause::kStale:
      return ESTALE;
    case Cause::kInterrupted:
      return EINTR;
    case Cause::kIo:
      return EIO;
  }
  return EIO;
}

int StatusErrno(const absl::Status& status) {
  if (status.ok()) return 0;
  const int remembered = ErrnoOf(status);
  return remembered != 0 ? remembered : CauseErrno(CauseOf(status));
}

}  // namespace flocker
