// Datasets, nodes, events, leases and wishes as JSON text: what the store keeps and what lies beside a LUN.
//
// Every text carries "version" (kRecordVersion). Reading is strict, because a guessed record may cost data: a missing,
// unknown or wrongly typed key is an InvalidArgument that names it, and so is a version this program does not know.
// A string that is not UTF-8 is kept verbatim, as {"base64": "…"}.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/dataset.h"
#include "engine/model/event.h"
#include "engine/model/lease.h"

namespace flocker {

// Grows whenever a key is added, removed or changes its meaning.
constexpr int kRecordVersion = 4;
constexpr int kOldestRecord = 2;  // that is still read: what it lacks has its default then

// The record beside a LUN can be read by the array's administrators: there the CHAP secrets are left empty.
enum class Secrets { kKeep, kOmit };

std::string ToJson(const Dataset& dataset, Secrets secrets = Secrets::kKeep);
std::string ToJson(const Node& node);
std::string ToJson(const Event& event);
std::string ToJson(const Lease& lease);
std::string ToJson(const Wish& wish);

absl::StatusOr<Dataset> DatasetFromJson(std::string_view text);
absl::StatusOr<Node> NodeFromJson(std::string_view text);
absl::StatusOr<Event> EventFromJson(std::string_view text);
absl::StatusOr<Lease> LeaseFromJson(std::string_view text);
absl::StatusOr<Wish> WishFromJson(std::string_view text);

}  // namespace flocker
