// The table of the record codec: every record's keys in its JSON text, one line a key. codec.cc walks it for writing (T
// is const then) and for reading alike; a change here is a change of kRecordVersion: what is new since then is visited
// with Since.
#pragma once

#include <concepts>
#include <type_traits>

#include "engine/model/dataset.h"
#include "engine/model/event.h"
#include "engine/model/lease.h"

namespace flocker::codec {

template <class T, class Record>
concept Like = std::same_as<std::remove_const_t<T>, Record>;

template <class Visitor>
void Fields(Visitor& visit, Like<Grant> auto& grant) {
  visit("epoch", grant.epoch);
  visit("node", grant.node);
  visit("initiator", grant.initiator);
  visit("user", grant.user);
  visit.Secret("secret", grant.secret);
}

template <class Visitor>
void Fields(Visitor& visit, Like<LunAddress> auto& address) {
  visit("portal", address.portal);
  visit("target", address.target);
  visit("lun", address.lun);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Desired> auto& desired) {
  visit("node", desired.node);
  visit("name", desired.name);
  visit("deleted", desired.deleted);
  visit("purge", desired.purge);
  visit("force", desired.force);
  visit.Since(4, "leave", desired.leave);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Placement> auto& placement) {
  visit("node", placement.node);
  visit("phase", placement.phase);
  visit("epoch", placement.epoch);
  visit("mount_epoch", placement.mount_epoch);
  visit("granted", placement.granted);
  visit("grant", placement.grant);
  visit("previous", placement.previous);
  visit("address", placement.address);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Operation> auto& operation) {
  visit("id", operation.id);
  visit("kind", operation.kind);
  visit("done", operation.done);
  visit("cause", operation.cause);
  visit("message", operation.message);
  visit.Since(4, "with", operation.with);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Dataset> auto& dataset) {
  visit("id", dataset.id);
  visit("name", dataset.name);
  visit("metadata", dataset.metadata);
  visit("size", dataset.size);
  visit("created_ms", dataset.created_ms);
  visit("array", dataset.array);
  visit("pool", dataset.pool);
  visit("formatted", dataset.formatted);
  visit("block_size", dataset.block_size);
  visit("protect", dataset.protect);
  visit("root_uid", dataset.root_uid);
  visit("root_gid", dataset.root_gid);
  visit("root_mode", dataset.root_mode);
  visit("desired", dataset.desired);
  visit("placement", dataset.placement);
  visit("operation", dataset.operation);
  visit("earlier", dataset.earlier);
  visit("error", dataset.error);
  visit("trashed_ms", dataset.trashed_ms);
  visit.Since(3, "trashed_clock_ms", dataset.trashed_clock_ms);
  visit.Since(4, "grows_from", dataset.grows_from);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Node> auto& node) {
  visit("id", node.id);
  visit("name", node.name);
  visit("address", node.address);
  visit("boot_id", node.boot_id);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Lease> auto& lease) {
  visit("dataset", lease.dataset);
  visit("node", lease.node);
  visit("expires_ms", lease.expires_ms);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Wish> auto& wish) {
  visit("dataset", wish.dataset);
  visit("node", wish.node);
  visit("since_ms", wish.since_ms);
}

template <class Visitor>
void Fields(Visitor& visit, Like<StepTime> auto& step) {
  visit("step", step.step);
  visit("us", step.duration_us);
}

template <class Visitor>
void Fields(Visitor& visit, Like<Event> auto& event) {
  visit("seq", event.seq);
  visit("time_ms", event.time_ms);
  visit("dataset", event.dataset);
  visit("name", event.name);
  visit("node", event.node);
  visit("epoch", event.epoch);
  visit("kind", event.kind);
  visit("message", event.message);
  visit("timeline", event.timeline);
  visit("cause", event.cause);
}

}  // namespace flocker::codec
