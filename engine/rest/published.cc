#include "engine/rest/published.h"

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/nil_generator.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

using nlohmann::json;

std::string Dump(const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); }

std::array<uint64_t, 2> HashOf(const std::string& text) {
  if (text.empty()) return {};
  const boost::uuids::uuid hash = boost::uuids::name_generator_sha1(boost::uuids::nil_uuid())(text);
  return {boost::endian::load_big_u64(hash.data), boost::endian::load_big_u64(hash.data + 8)};
}

std::optional<uint64_t> ShownSize(const DatasetFacts& facts) {
  const uint64_t size = facts.dataset->size;
  if (!facts.asked_size) return size;
  if (*facts.asked_size == 0) return size == kDefaultSize ? std::nullopt : std::optional(size);
  const auto rounded = CheckSize(*facts.asked_size);
  return rounded.ok() && *rounded == size ? *facts.asked_size : size;  // else it has grown since
}

std::string ConfigurationText(const DatasetFacts& facts) {
  const Dataset& dataset = *facts.dataset;
  std::optional<NodeId> primary = dataset.desired.node;
  if (facts.wish != nullptr && facts.wish->node) primary = facts.wish->node;
  const bool deleted = dataset.desired.deleted || (facts.wish != nullptr && !facts.wish->node);
  json value = {{"dataset_id", dataset.id.str()}, {"deleted", deleted}, {"metadata", json::object()}};
  for (const auto& [key, text] : dataset.metadata) value["metadata"][key] = text;
  if (primary) value["primary"] = primary->str();
  if (const auto size = ShownSize(facts)) value["maximum_size"] = *size;
  return Dump(value);
}

// Whether there is a volume, as v1 lists those.
bool HasVolume(Phase phase) {
  return phase != Phase::kProvisioning && phase != Phase::kTrashed && phase != Phase::kPurging;
}

// A renewal is not seen: what was mounted stays so. `mounted_epoch`: of the attachment that was seen mounted last.
bool IsMounted(const Dataset& dataset, uint64_t& mounted_epoch) {
  const Placement& placement = dataset.placement;
  if (placement.phase == Phase::kAttached) mounted_epoch = placement.mount_epoch;
  const bool may_be = placement.phase == Phase::kAttached || placement.phase == Phase::kRenewing ||
                      placement.phase == Phase::kDetaching;
  return may_be && mounted_epoch == placement.mount_epoch;
}

std::string StateText(const Dataset& dataset, const Cluster& cluster, uint64_t& mounted_epoch) {
  if (!HasVolume(dataset.placement.phase)) return {};
  const uint64_t size = dataset.grows_from != 0 ? dataset.grows_from : dataset.size;
  json value = {{"dataset_id", dataset.id.str()}, {"maximum_size", size}};
  if (IsMounted(dataset, mounted_epoch) && cluster.LivenessOf(*dataset.placement.node) != Liveness::kDown) {
    value["primary"] = dataset.placement.node->str();
    value["path"] = absl::StrCat("/flocker/", dataset.id.str());
  }
  return Dump(value);
}

}  // namespace

void PublishedState::StageDataset(const DatasetId& id, const DatasetFacts& facts, const Cluster& cluster) {
  Staged& staged = staged_[id];
  News now{.id = id};
  std::string tagged;  // what the tag covers
  if (facts.dataset != nullptr) {
    now.configuration = ConfigurationText(facts);
    now.state = StateText(*facts.dataset, cluster, staged.mounted_epoch);
    tagged = now.configuration;
  }
  if (facts.lease != nullptr) {
    now.lease = {.begin = absl::StrCat(R"({"dataset_id":")", id.str(), R"(","node_uuid":")", facts.lease->node.str(),
                                       R"(","expires":)"),
                 .end = facts.lease_end};
    absl::StrAppend(&tagged, now.lease.begin, facts.lease->expires_ms.value_or(-1));
  }
  const Hash hash = HashOf(tagged);
  for (size_t i = 0; i < hash.size(); ++i) tag_[i] += hash[i] - staged.hash[i];  // modulo 2^64
  staged.hash = hash;
  const News& before = staged.shown;
  if (now.configuration != before.configuration || now.state != before.state || now.lease.begin != before.lease.begin ||
      now.lease.end != before.lease.end) {
    news_.push_back(now);
  }
  staged.shown = std::move(now);
  if (facts.dataset == nullptr && facts.lease == nullptr) staged_.erase(id);
}

void PublishedState::StageNodes(const Cluster& cluster) {
  json nodes = json::array();
  staged_eras_.clear();
  for (const auto& [id, node] : cluster.nodes()) {
    if (cluster.LivenessOf(id) == Liveness::kDown) continue;
    nodes.push_back({{"uuid", id.str()}, {"host", node.address}});
    staged_eras_.emplace(node.boot_id, id);
  }
  staged_nodes_ = Dump(nodes);
  nodes_changed_ = true;
}

std::string PublishedState::StagedTag() const { return absl::StrFormat("%016x%016x", tag_[0], tag_[1]); }

std::optional<std::string> PublishedState::StagedConfiguration(const DatasetId& id) const {
  const auto it = staged_.find(id);
  if (it == staged_.end() || it->second.shown.configuration.empty()) return std::nullopt;
  return it->second.shown.configuration;
}

void PublishedState::Publish() {
  const MutexLock lock(mutex_);
  for (const News& news : std::exchange(news_, {})) {
    configurations_.Set(news.id, news.configuration);
    states_.Set(news.id, news.state);
    if (news.lease.begin.empty()) {
      leases_.erase(news.id);
    } else {
      leases_[news.id] = news.lease;
    }
  }
  published_tag_ = StagedTag();
  if (!std::exchange(nodes_changed_, false)) return;
  nodes_ = std::make_shared<const std::string>(staged_nodes_);
  eras_ = staged_eras_;
}

PublishedState::Configuration PublishedState::Datasets() {
  const MutexLock lock(mutex_);
  return {.text = configurations_.Joined(), .tag = published_tag_};
}

PublishedState::Text PublishedState::States() {
  const MutexLock lock(mutex_);
  return states_.Joined();
}

PublishedState::Text PublishedState::Nodes() {
  const MutexLock lock(mutex_);
  return nodes_;
}

std::string PublishedState::Leases(absl::Duration now) {
  const MutexLock lock(mutex_);
  std::string text = "[";
  for (const auto& [id, lease] : leases_) {
    if (text.size() > 1) text += ",";
    absl::StrAppend(&text, lease.begin,
                    lease.end ? absl::StrFormat("%.3f", absl::ToDoubleSeconds(*lease.end - now)) : "null", "}");
  }
  return text + "]";
}

std::optional<NodeId> PublishedState::NodeOfEra(const std::string& era) {
  const MutexLock lock(mutex_);
  const auto it = eras_.find(era);
  if (it == eras_.end()) return std::nullopt;
  return it->second;
}

void PublishedState::List::Set(const DatasetId& id, const std::string& text) {
  const auto it = parts_.find(id);
  if (it == parts_.end() ? text.empty() : it->second == text) return;
  if (text.empty()) {
    parts_.erase(it);
  } else {
    parts_[id] = text;
  }
  joined_.reset();
}

PublishedState::Text PublishedState::List::Joined() {
  if (joined_ != nullptr) return joined_;
  size_t size = 2;
  for (const auto& [id, part] : parts_) size += part.size() + 1;
  std::string text;
  text.reserve(size);
  text += '[';
  for (const auto& [id, part] : parts_) {
    if (text.size() > 1) text += ',';
    text += part;
  }
  text += ']';
  joined_ = std::make_shared<const std::string>(std::move(text));
  return joined_;
}

}  // namespace flocker
