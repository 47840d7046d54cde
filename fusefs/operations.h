// What the agent was asked and has not answered yet.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/model/ids.h"
#include "engine/rpc/flocker.pb.h"
#include "fusefs/deadlines.h"
#include "fusefs/request.h"

namespace flocker {

//     Submit -> sent -- reply: refused ------------------------------> done(cause)
//                | ^--- the stream broke: sent again, same id, on the next one
//                +----- reply: success -> settling -- the catalogue shows it,
//                |                             |      or settle_timeout ---> done(dataset)
//                +----- op_timeout ------------------------------------> done(EINPROGRESS); the operation goes on
//
// Settling is what makes `mkdir x && ls x` work: control's answer and the catalogue's news come on two ways.
// An operation that was sent cannot be withdrawn, so an interrupted caller waits on. And it is noted at its request: a
// successor asks for the same again, under the same id, which the cluster does once (Noted). Whatever was asked before
// may be done, so it is not refused for want of an agent or of control: it is asked again until somebody knows.
class Operations {
 public:
  struct Options {
    absl::Duration op_timeout = absl::Seconds(10);
    absl::Duration settle_timeout = absl::Seconds(2);
  };
  // `send` queues a message to the agent, false when it is away; it must neither block nor call back.
  using Send = std::function<bool(rpc::TreeUp)>;
  Operations(const Options& options, Send send, Deadlines& deadlines);

  using Done = absl::AnyInvocable<void(Request, absl::StatusOr<DatasetId>)>;
  struct Operation {
    rpc::OperationRequest request;                  // its id is made here, or the noted one
    std::function<bool(const DatasetId&)> settled;  // does the catalogue show it? Must not call back
    Done done;                                      // runs once, on any thread
  };
  void Submit(Request request, Operation operation) EXCLUDES(mutex_);
  // What a predecessor had asked for at this request.
  static std::optional<rpc::OperationRequest> Noted(const Request& request);

  // Asks the agent for what the catalogue does not have. `answer` runs once, unless the agent is away (EAGAIN) or takes
  // longer than op_timeout (ETIMEDOUT); it must not call back.
  using Describe = absl::AnyInvocable<void(Request, const rpc::Description&)>;
  void Ask(Request request, const DatasetId& dataset, bool holders, Describe answer) EXCLUDES(mutex_);

  void OnReply(const rpc::OperationReply& reply) EXCLUDES(mutex_);
  void OnDescription(const rpc::Description& description) EXCLUDES(mutex_);
  // The stream is gone: operations wait for the next one, questions do not.
  void OnBroken() EXCLUDES(mutex_);
  // Sends what is not: when a new stream stands, and again and again while control is away.
  void Resend() EXCLUDES(mutex_);
  void CatalogChanged() EXCLUDES(mutex_);
  // Answers EINPROGRESS to all who wait. For the end.
  void Clear() EXCLUDES(mutex_);

 private:
  struct Pending {
    Request request;
    Operation operation;
    bool sent = false;    // on the present stream, and not refused for want of control
    bool before = false;  // it was asked for before: on an earlier stream, or by a predecessor
    bool settling = false;
    DatasetId dataset;  // while settling
  };
  struct Question {
    Request request;
    Describe answer;
  };
  void Expire(const std::string& id) EXCLUDES(mutex_);
  void Settle(const std::string& id) EXCLUDES(mutex_);
  static void Finish(Pending pending, absl::StatusOr<DatasetId> outcome);

  const Options options_;
  const Send send_;
  Deadlines& deadlines_;

  Mutex mutex_;  // held over send_, so that nothing is sent that was taken out
  absl::flat_hash_map<std::string, Pending> pending_ GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Question> questions_ GUARDED_BY(mutex_);
};

}  // namespace flocker
