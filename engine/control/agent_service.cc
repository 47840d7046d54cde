#include "engine/control/agent_service.h"

#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/control/event_view.h"
#include "engine/rpc/channel.h"
#include "engine/rpc/credentials.h"

namespace flocker {

// Owned by the service's table until gRPC says that nothing of it is under way any more (OnDone).
class AgentStream : public grpc::ServerBidiReactor<rpc::AgentUp, rpc::AgentDown> {
 public:
  // `caller`: by its certificate; nothing where none is needed.
  AgentStream(AgentService& service, SessionId session, std::optional<Peer> caller, CallerDates dates)
      : service_(service), session_(session), caller_(std::move(caller)), dates_(dates) {}

  void Begin() { StartRead(&incoming_); }

  void Send(const rpc::AgentDown& message) {
    const MutexLock lock(mutex_);
    if (closing_) return;
    if (message.has_welcome()) welcomed_ = true;
    outgoing_.push_back(message);
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
  }

  // Events that the agent lacks go out when there is nothing else to say.
  void TellEvents() {
    const MutexLock lock(mutex_);
    StartEvents();
  }

  void Close() {
    const MutexLock lock(mutex_);
    closing_ = true;
    FinishWhenIdle();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close();
    // An agent is heard every second: its stream ends with its certificate.
    if (const absl::Status valid = dates_.Check(); !valid.ok()) return TurnAway(valid);
    if (incoming_.has_hello()) {
      if (const absl::Status may = CheckNode(incoming_.hello().node()); !may.ok()) return TurnAway(may);
      const MutexLock lock(mutex_);
      told_ = incoming_.hello().last_event();
    }
    service_.runner_.Post(
        [session = session_, message = std::move(incoming_)](Controller& controller, absl::Duration now) {
          controller.OnAgentMessage(session, message, now);
        });
    incoming_ = rpc::AgentUp();
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    const MutexLock lock(mutex_);
    outgoing_.pop_front();
    if (!ok) {
      outgoing_.clear();
      closing_ = true;
    }
    if (!outgoing_.empty()) return StartWrite(&outgoing_.front());
    if (closing_) return FinishWhenIdle();
    StartEvents();
  }

  void OnDone() override {
    service_.runner_.Post(
        [session = session_](Controller& controller, absl::Duration now) { controller.OnAgentGone(session, now); });
    std::shared_ptr<AgentStream> self;  // outlives the lock below
    const MutexLock lock(service_.mutex_);
    const auto it = service_.streams_.find(session_);
    self = it->second;
    service_.streams_.erase(it);
  }

 private:
  // An agent is nobody but the node of its certificate.
  absl::Status CheckNode(const rpc::NodeView& node) const {
    if (!caller_ || caller_->name == node.id()) return absl::OkStatus();
    return Refuse(Cause::kDenied, absl::StrCat("rule 'node': with the certificate ", caller_->CommonName(),
                                               " nobody may be node ", node.id(), " (", node.name(), ")"));
  }

  void TurnAway(const absl::Status& status) {
    spdlog::warn("refused an agent{}: {}", caller_ ? " (" + caller_->CommonName() + ")" : "",
                 std::string(status.message()));
    rpc::AgentDown down;
    *down.mutable_refused() = ToOutcome(status);
    Send(down);
    Close();
  }

  void StartEvents() REQUIRES(mutex_) {
    if (!welcomed_ || closing_ || !outgoing_.empty()) return;
    rpc::AgentDown message;
    *message.mutable_events() = service_.EventsAfter(told_);
    if (message.events().events().empty()) return;
    told_ = EventLog::MarkOf(message.events(), told_);
    outgoing_.push_back(std::move(message));
    StartWrite(&outgoing_.front());
  }

  void FinishWhenIdle() REQUIRES(mutex_) {
    if (!outgoing_.empty() || finished_) return;
    finished_ = true;
    Finish(grpc::Status::OK);
  }

  AgentService& service_;
  const SessionId session_;
  const std::optional<Peer> caller_;
  const CallerDates dates_;
  rpc::AgentUp incoming_;  // only the read under way touches it
  Mutex mutex_;
  std::deque<rpc::AgentDown> outgoing_ GUARDED_BY(mutex_);  // the first is being written
  bool welcomed_ GUARDED_BY(mutex_) = false;
  rpc::EventMark told_ GUARDED_BY(mutex_);  // the last event it was sent, or said it has
  bool closing_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
};

grpc::ServerBidiReactor<rpc::AgentUp, rpc::AgentDown>* AgentService::Connect(grpc::CallbackServerContext* context) {
  std::shared_ptr<AgentStream> stream;
  {
    const MutexLock lock(mutex_);
    stream = std::make_shared<AgentStream>(*this, ++last_session_, CallerOf(*context), CallerDates(*context));
    streams_[last_session_] = stream;
  }
  stream->Begin();
  return stream.get();
}

std::shared_ptr<AgentStream> AgentService::Find(SessionId session) {
  const MutexLock lock(mutex_);
  const auto it = streams_.find(session);
  return it == streams_.end() ? nullptr : it->second;
}

void AgentService::Send(SessionId session, const rpc::AgentDown& message) {
  if (const auto stream = Find(session)) stream->Send(message);
}

void AgentService::Close(SessionId session) {
  if (const auto stream = Find(session)) stream->Close();
}

void AgentService::Announce(const std::vector<Event>& events) {
  rpc::Events views;
  for (const Event& event : events) *views.add_events() = ToView(event);
  {
    const MutexLock lock(events_mutex_);
    events_.Add(views);
  }
  std::vector<std::shared_ptr<AgentStream>> streams;
  {
    const MutexLock lock(mutex_);
    for (const auto& [session, stream] : streams_) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->TellEvents();
}

rpc::Events AgentService::EventsAfter(const rpc::EventMark& has) {
  const MutexLock lock(events_mutex_);
  return events_.After(has);
}

}  // namespace flocker
