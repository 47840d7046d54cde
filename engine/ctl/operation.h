// Carrying out what a command asks of a dataset: with its wait, its progress, and its result as text or JSON.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/ctl/context.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

struct OperationTexts {
  std::string doing;      // "moving db": what is being waited for
  std::string initiated;  // Flocker's sentence, for those who do not wait
  std::string done;       // "moved db to beta": the time it took is put behind it
};

// When the wait is over.
enum class Goal {
  kAttached,   // where it is wanted
  kDestroyed,  // in the trash, or gone
};

// Executes `request` and, if waiting was asked for (or, not being said, standard output is a terminal and
// `waits_by_itself`), blocks until the goal, at most the client's timeout: kTimeout then, and it goes on. `view` is
// what the request was made from.
absl::Status Perform(Context& context, const rpc::ViewReply& view, const rpc::OperationRequest& request, Goal goal,
                     const OperationTexts& texts, bool waits_by_itself = true);

}  // namespace flocker
