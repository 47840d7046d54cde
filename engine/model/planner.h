// What to do next about one dataset: a pure function of what is known. Whoever runs it commits `commit` first, then
// issues `action`; every action may be issued again at any time. The table of arrows is in this folder's README.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/model/cluster.h"
#include "engine/model/dataset.h"

namespace flocker {

enum class ActionKind {
  kArrayCreate,   // make the LUN
  kArrayGrant,    // grow the LUN if it is to, let placement.grant in
  kArrayRenew,    // fence placement.previous, then the same
  kArrayRevoke,   // withdraw placement.grant after a proven release
  kArrayFence,    // cut placement.grant's holder off; done only when its session is gone
  kArrayDestroy,  // delete the LUN
  kAgentAttach,   // tell placement.node to attach, or to log in again
  kAgentRelease,  // tell placement.node to let go
};
std::string_view ActionName(ActionKind kind);
constexpr bool IsArrayAction(ActionKind kind) { return kind <= ActionKind::kArrayDestroy; }

// Everything else an action needs is in the dataset's record.
struct Action {
  ActionKind kind;
  DatasetId dataset;
  uint64_t epoch = 0;
  bool operator==(const Action&) const = default;
};

// Randomness for a grant, drawn by the caller for every call, so that the functions here stay pure.
struct Fresh {
  std::string secret;  // a CHAP secret: 16 characters nobody can guess
};

struct Step {
  std::optional<Dataset> commit;  // the record as it must be on disk before anything else happens
  std::optional<Action> action;
};

// Nothing to commit and no action: the dataset is where it should be, or must wait for a node.
Step NextStep(const Dataset& dataset, const Cluster& cluster, const Fresh& fresh);

// True when the record's wish is that its node lets go of it.
bool MustLeave(const Dataset& dataset);

// The record as it becomes when its node has to log in anew: the grant it has is fenced, the next one follows. `why`:
// as its error, until that is done; may be empty.
Dataset BeginRenewal(Dataset dataset, const Fresh& fresh, const std::string& why);

// The next grant of a dataset to a node: epoch, initiator name, CHAP user and secret.
Grant NextGrant(const Dataset& dataset, const NodeId& node, const Fresh& fresh);

// What a fence needs of a grant that only the array remembers, by its initiator's name: epoch and CHAP user with it.
// Epoch 0 for a name that NextGrant does not make.
Grant GrantOfInitiator(const DatasetId& id, std::string_view initiator);

}  // namespace flocker
