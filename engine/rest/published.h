// The cluster as Flocker v1's API shows it, as JSON text: made anew where something changed, put together once per
// change and only when somebody reads, however many do.
//
// The controller stages what it changes and publishes it once that is on disk; readers see what is published. The tag
// covers all that is configured (datasets, leases), is the same for the same configuration, also after a restart, and
// costs what changed: it is the sum of its parts' hashes.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/model/cluster.h"

namespace flocker {

// What the API shows of a dataset besides its record.
struct DatasetFacts {
  const Dataset* dataset = nullptr;    // nothing: it is gone
  const Wish* wish = nullptr;          // that it is promised to follow
  std::optional<uint64_t> asked_size;  // Controller::AskedSizeOf
  const Lease* lease = nullptr;
  std::optional<absl::Duration> lease_end;
};

class PublishedState {
 public:
  using Text = std::shared_ptr<const std::string>;

  // The controller's thread.
  void StageDataset(const DatasetId& id, const DatasetFacts& facts, const Cluster& cluster);
  void StageNodes(const Cluster& cluster);
  // Of what is staged, as readers see it once it is published.
  std::string StagedTag() const;
  std::optional<std::string> StagedConfiguration(const DatasetId& id) const;
  void Publish() EXCLUDES(mutex_);

  // Any thread; they never wait for the controller.
  struct Configuration {
    Text text;
    std::string tag;
  };
  Configuration Datasets() EXCLUDES(mutex_);
  Text States() EXCLUDES(mutex_);
  Text Nodes() EXCLUDES(mutex_);
  // `now` by the clock of DatasetFacts::lease_end.
  std::string Leases(absl::Duration now) EXCLUDES(mutex_);
  // The node that runs under this boot id.
  std::optional<NodeId> NodeOfEra(const std::string& era) EXCLUDES(mutex_);

 private:
  using Hash = std::array<uint64_t, 2>;
  struct LeaseText {
    std::string begin;  // empty: there is none
    std::optional<absl::Duration> end;
  };
  struct News {
    DatasetId id;
    std::string configuration;  // empty: not shown
    std::string state;          // the same
    LeaseText lease;
  };
  struct Staged {
    News shown;
    uint64_t mounted_epoch = 0;  // the attachment that was seen mounted
    Hash hash{};
  };
  // A JSON list out of its parts.
  class List {
   public:
    void Set(const DatasetId& id, const std::string& text);
    Text Joined();

   private:
    std::map<DatasetId, std::string> parts_;
    Text joined_;
  };

  // The controller's thread.
  std::map<DatasetId, Staged> staged_;
  Hash tag_{};
  std::vector<News> news_;  // not published yet
  bool nodes_changed_ = false;
  std::string staged_nodes_ = "[]";
  std::map<std::string, NodeId> staged_eras_;

  Mutex mutex_;
  List configurations_ GUARDED_BY(mutex_);
  List states_ GUARDED_BY(mutex_);
  std::map<DatasetId, LeaseText> leases_ GUARDED_BY(mutex_);
  Text nodes_ GUARDED_BY(mutex_) = std::make_shared<const std::string>("[]");
  std::map<std::string, NodeId> eras_ GUARDED_BY(mutex_);
  std::string published_tag_ GUARDED_BY(mutex_);
};

}  // namespace flocker
