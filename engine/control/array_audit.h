// The reconciler's eye on the array: what is there, compared with the records. Pure; what is done about a finding is
// the controller's. Array::List tells only of what is ours, by name and pool, so no stranger comes up here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/array/array.h"
#include "engine/model/cluster.h"

namespace flocker {

struct ArrayFinding {
  enum class Kind {
    kStrayExport,     // a target where nobody may log in: to be cut off
    kStrayInitiator,  // somebody may log in, or is, whom no record names: to be fenced
    kLostExport,      // the array does not let the rightful holder in: to be granted anew
    kLostLun,         // a dataset's LUN is not there: for people
    kUnknownLun,      // a LUN that no record names, which may be data of a lost state: for people
  };
  Kind kind;
  DatasetId dataset;
  std::string initiator;  // of kStrayInitiator
  std::string message;
};

// About one dataset; `record` is null when there is none. The caller leaves out whatever the array is being told
// something about at that time.
std::vector<ArrayFinding> CompareWithArray(const Dataset* record, const ArrayEntry& entry);

}  // namespace flocker
