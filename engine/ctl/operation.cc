#include "engine/ctl/operation.h"

#include <chrono>
#include <future>
#include <iostream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/clock.h"
#include "engine/base/status.h"
#include "engine/ctl/event_follower.h"
#include "engine/ctl/json_text.h"
#include "engine/ctl/progress.h"
#include "engine/model/dataset.h"
#include "engine/model/size.h"

namespace flocker {
namespace {

// Which dataset it is about; empty for one that is yet to be made.
std::string SubjectOf(const rpc::OperationRequest& request) {
  switch (request.kind_case()) {
    case rpc::OperationRequest::kRename:
      return request.rename().dataset_id();
    case rpc::OperationRequest::kDestroy:
      return request.destroy().dataset_id();
    case rpc::OperationRequest::kRestore:
      return request.restore().dataset_id();
    case rpc::OperationRequest::kChange:
      return request.change().dataset_id();
    default:
      return "";
  }
}

// Nothing when its record is gone. An older control answers with all of them.
const rpc::DatasetView* Find(const rpc::ViewReply& view, const std::string& id) {
  for (const rpc::DatasetView& dataset : view.datasets()) {
    if (dataset.id() == id) return &dataset;
  }
  return nullptr;
}

absl::StatusOr<bool> AtGoal(const rpc::DatasetView* dataset, Goal goal, const rpc::OperationRequest& request) {
  if (goal == Goal::kDestroyed) {
    if (dataset == nullptr) return true;
    const auto phase = PhaseFromName(dataset->phase());
    return phase == Phase::kTrashed || phase == Phase::kPurging;
  }
  if (dataset == nullptr || dataset->deleted()) {
    return Refuse(Cause::kNotFound, "somebody destroyed the dataset meanwhile; see flockerctl events");
  }
  if (dataset->size() < request.change().size()) {
    return Refuse(Cause::kIo, absl::StrCat("it stays at ", FormatSize(dataset->size()),
                                           ": the array did not make its LUN larger; flockerctl events says why"));
  }
  return PhaseFromName(dataset->phase()) == Phase::kAttached && dataset->node_id() == dataset->desired_node_id();
}

// One operation from the question until its goal.
class AwaitedOperation {
 public:
  AwaitedOperation(ClusterClient& client, const rpc::OperationRequest& request, Goal goal, Progress& progress)
      : client_(client), request_(request), goal_(goal), progress_(progress), subject_(SubjectOf(request)) {}

  // The dataset's id.
  absl::StatusOr<std::string> Run(uint64_t last_event) {
    EventFollower follower(client_, last_event + 1);
    std::promise<absl::StatusOr<rpc::OperationReply>> answer;
    answer_ = answer.get_future();
    const std::jthread asker([&] {
      answer.set_value(client_.Execute(request_, true));
      follower.Wake();
    });
    const absl::Status reached = follower.Await([this] { return Reached(); }, started_ + client_.timeout());
    if (!reached.ok() && CauseOf(reached) == Cause::kTimeout) {
      return Refuse(Cause::kTimeout,
                    absl::StrCat("not done within ", absl::FormatDuration(client_.timeout()), " (", step_,
                                 "); it goes on, see flockerctl watch, or wait longer with --timeout"));
    }
    RETURN_IF_ERROR(reached);
    return subject_;
  }

  absl::Duration elapsed() const { return SteadyNow() - started_; }

 private:
  absl::StatusOr<bool> Reached() {
    if (answer_.valid() && answer_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      ASSIGN_OR_RETURN(const rpc::OperationReply reply, answer_.get());
      subject_ = reply.dataset_id();
    }
    const bool answered = !answer_.valid();
    bool done = false;
    if (!subject_.empty()) {
      const auto view = client_.View(subject_);
      if (view.ok()) {
        const rpc::DatasetView* dataset = Find(*view, subject_);
        if (dataset != nullptr) step_ = StepText(*dataset);
        if (answered) {
          ASSIGN_OR_RETURN(done, AtGoal(dataset, goal_, request_));
        }
      } else if (CauseOf(view.status()) == Cause::kNoControl) {
        step_ = "control cannot be reached";  // it may be back before the timeout
      } else {
        return view.status();
      }
    }
    progress_.Show(step_, elapsed());
    return done;
  }

  ClusterClient& client_;
  const rpc::OperationRequest& request_;
  const Goal goal_;
  Progress& progress_;
  const absl::Time started_ = SteadyNow();
  std::string subject_;
  std::string step_ = "control is asked";
  std::future<absl::StatusOr<rpc::OperationReply>> answer_;
};

}  // namespace

absl::Status Perform(Context& context, const rpc::ViewReply& view, const rpc::OperationRequest& request, Goal goal,
                     const OperationTexts& texts, bool waits_by_itself) {
  const bool json = context.arguments.json;
  std::string text = texts.initiated;
  std::string id;
  if (context.arguments.wait.value_or(waits_by_itself && context.terminal.interactive)) {
    std::ostream nowhere(nullptr);  // a program that reads JSON reads errors as JSON, too
    Progress progress(texts.doing, context.terminal.progress ? TerminalColumns() : 0,
                      json && !context.terminal.progress ? nowhere : std::cerr);
    AwaitedOperation operation(context.client, request, goal, progress);
    ASSIGN_OR_RETURN(id, operation.Run(view.last_event()));
    text = absl::StrFormat("%s in %.2fs", texts.done, absl::ToDoubleSeconds(operation.elapsed()));
  } else {
    ASSIGN_OR_RETURN(const rpc::OperationReply reply, context.client.Execute(request));
    id = reply.dataset_id();
  }
  if (!json) {
    std::cout << text << "\n";
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const rpc::ViewReply now, context.client.View(id));
  const rpc::DatasetView* dataset = Find(now, id);
  std::cout << (dataset == nullptr ? GoneJson(id) : DatasetJson(*dataset)) << "\n";
  return absl::OkStatus();
}

}  // namespace flocker
