// What a SCSI status and its sense data mean for the request behind the command (SAM-5 §5.3, SPC-4 §4.5).
#pragma once

#include <cstdint>
#include <string>

#include "engine/lun/wire.h"

namespace flocker::lun {

struct ScsiAnswer {
  int status = 0;     // enum scsi_status, with libiscsi's own for a command that was not answered
  uint8_t key = 0;    // sense key
  uint16_t ascq = 0;  // additional sense code << 8 | qualifier
};

enum class Remedy {
  kNone,           // it succeeded
  kFail,           // `error` is the answer
  kAgain,          // it was not executed: issue it again
  kCheckAndAgain,  // likewise, but first make sure that it still is the same LUN
  kLater,          // the LUN is busy: issue it again after a while
  kHold,           // a full pool looks like this: ask the agent; `error` if it says so
  kUnsupported,  // the LUN does not know the command or a field of it; `error` is the answer when there is no other way
  kCut,          // the session is of no more use, for `loss`
};

struct Judgement {
  Remedy remedy = Remedy::kNone;
  int error = 0;  // errno
  Loss loss = Loss::kConnection;
};

// `writes`: the command changes blocks (WRITE, WRITE SAME, UNMAP).
Judgement Judge(const ScsiAnswer& answer, bool writes);

// "CHECK CONDITION, MEDIUM ERROR 03/0c00", for logs.
std::string Describe(const ScsiAnswer& answer);

}  // namespace flocker::lun
