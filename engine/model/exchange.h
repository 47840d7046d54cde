// Two datasets of different nodes change places, both or neither. Their records are bound by their operation: one id,
// kind "exchange", each with the other's id in `with`. Pure.
//
//   both in place --committed--> one leaves (Desired::leave) --let go--> the other leaves too --let go--> changed, done
//                                    | busy: refused                          | busy: refused
//                                    v                                        v
//                        the other was never touched               the first goes home
// While one of the nodes counts as down, both stay where they were.
#pragma once

#include <vector>

#include "engine/model/cluster.h"
#include "engine/model/dataset.h"

namespace flocker {

// What an exchange needs next, to be committed at once: the records that change, none when a node has to let go first,
// or when the dataset is in no exchange.
std::vector<Dataset> AdvanceExchange(const Cluster& cluster, const Dataset& dataset);

// The records as they become, their operation done: names and nodes change hands.
void ChangePlaces(Dataset& one, Dataset& two);

}  // namespace flocker
