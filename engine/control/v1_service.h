// Flocker v1's changes, made by the controller; and what its readers see, kept up to date with the controller.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/control/calls.h"
#include "engine/control/runner.h"
#include "engine/rest/api.h"
#include "engine/rest/published.h"

namespace flocker {

class V1Service : public V1Control {
 public:
  // Any thread; what a change needs runs on the controller's.
  V1Service(Runner& runner, Calls& calls, PublishedState& state) : runner_(runner), calls_(calls), state_(state) {}

  void CheckTags(const Tags& tags, Done done) override;
  void Create(const Tags& tags, const CreateBody& body, Done done) override;
  void Move(const Tags& tags, const std::string& id, const MoveBody& body, Done done) override;
  void Delete(const Tags& tags, const std::string& id, Done done) override;
  void AcquireLease(const LeaseBody& body, Done done) override;
  void ReleaseLease(const DatasetId& id, Done done) override;

  // Everything, to begin with. On the controller's thread, as what follows.
  void Begin(const Controller& controller);
  // What was asked is committed: readers see it, and then it is answered.
  void Flushed(Controller& controller);

 private:
  // Readers do not see it yet; the tag covers it.
  void Stage(Controller& controller);
  void StageDataset(const Controller& controller, const DatasetId& id);
  // Nothing when one of the tags is right, or none was given.
  std::optional<V1Result> Mismatch(Controller& controller, const Tags& tags);
  // The dataset that a path names, as long as it can be changed.
  const Dataset* FindOr(Controller& controller, const Tags& tags, const std::string& id, V1Result& failure);
  void AnswerLater(const Done& done, V1Result result) { answers_.emplace_back(done, std::move(result)); }
  // With the dataset's configuration as it is now, staged.
  V1Result Configured(Controller& controller, const DatasetId& id);

  Runner& runner_;
  Calls& calls_;
  PublishedState& state_;
  std::vector<std::pair<Done, V1Result>> answers_;  // the controller's thread
};

}  // namespace flocker
