// Why somebody was refused: said once in the log and once to the cluster, however often they ask; when very many are,
// not of each (the errno is always theirs).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/model/ids.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

class Refusals {
 public:
  // `send` takes a Refusal up to the agent, or drops it when the agent is away; it must not block.
  explicit Refusals(std::function<void(const rpc::Refusal&)> send) : send_(std::move(send)) {}

  // Who was refused: a dataset, or the name of one that does not exist.
  struct Subject {
    DatasetId dataset;
    std::string name;
  };
  // A refusal of this daemon's own: the cluster has not heard of it. The same one again within a second is not told.
  void Here(const Subject& subject, const absl::Status& why) EXCLUDES(mutex_);
  // A refusal that control or the agent answered: they know.
  void Answered(const Subject& subject, const absl::Status& why) EXCLUDES(mutex_);

 private:
  bool Fresh(const Subject& subject, const absl::Status& why) EXCLUDES(mutex_);

  const std::function<void(const rpc::Refusal&)> send_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, absl::Time> told_ GUARDED_BY(mutex_);
  double allowance_ GUARDED_BY(mutex_) = 0;  // how many may be told now
  absl::Time counted_ GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t untold_ GUARDED_BY(mutex_) = 0;
};

}  // namespace flocker
