#include "engine/control/agent_service.h"

#include <climits>
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

namespace {

using Encoded = std::shared_ptr<const std::string>;

Encoded Encode(const rpc::AgentDown& message) {
  return std::make_shared<const std::string>(message.SerializeAsString());
}

// Holds on to the bytes instead of copying them.
grpc::ByteBuffer ToBuffer(const Encoded& encoded) {
  auto* const share = new Encoded(encoded);  // NOLINT(cppcoreguidelines-owning-memory): gRPC's until it lets go
  const grpc::Slice slice(
      const_cast<char*>(encoded->data()), encoded->size(),  // gRPC only reads it
      [](void* held) { delete static_cast<Encoded*>(held); }, share);
  return {&slice, 1};
}

bool Decode(const grpc::ByteBuffer& buffer, rpc::AgentUp& message) {
  grpc::Slice slice;
  return buffer.DumpToSingleSlice(&slice).ok() && slice.size() <= INT_MAX &&
         message.ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

}  // namespace

// Owned by the service's table until gRPC says that nothing of it is under way any more (OnDone).
class AgentStream : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // `caller`: by its certificate; nothing where none is needed.
  AgentStream(AgentService& service, SessionId session, std::optional<Peer> caller, CallerDates dates)
      : service_(service), session_(session), caller_(std::move(caller)), dates_(dates) {}

  void Begin() { StartRead(&incoming_); }

  void Send(const rpc::AgentDown& message) {
    const MutexLock lock(mutex_);
    if (message.has_welcome()) welcomed_ = true;
    Queue(Encode(message));
  }
  void Send(const Encoded& message) {
    const MutexLock lock(mutex_);
    Queue(message);
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
    rpc::AgentUp message;
    if (!Decode(incoming_, message)) return TurnAway(absl::InvalidArgumentError("what it sent is no message of ours"));
    if (message.has_hello()) {
      if (const absl::Status may = CheckNode(message.hello().node()); !may.ok()) return TurnAway(may);
      const MutexLock lock(mutex_);
      told_ = message.hello().last_event();
    }
    service_.runner_.Post(
        [session = session_, message = std::move(message)](Controller& controller, absl::Duration now) {
          controller.OnAgentMessage(session, message, now);
        });
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    const MutexLock lock(mutex_);
    outgoing_.pop_front();
    if (!ok) {
      outgoing_.clear();
      closing_ = true;
    }
    if (!outgoing_.empty()) return WriteFirst();
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
    AgentService::EncodedEvents lacking = service_.EventsAfter(told_);
    if (lacking.message == nullptr) return;
    told_ = lacking.to;
    Queue(std::move(lacking.message));
  }

  void Queue(Encoded message) REQUIRES(mutex_) {
    if (closing_) return;
    outgoing_.push_back(std::move(message));
    if (outgoing_.size() == 1) WriteFirst();
  }
  void WriteFirst() REQUIRES(mutex_) {
    writing_ = ToBuffer(outgoing_.front());
    StartWrite(&writing_);
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
  grpc::ByteBuffer incoming_;  // only the read under way touches it
  Mutex mutex_;
  std::deque<Encoded> outgoing_ GUARDED_BY(mutex_);  // the first is being written
  grpc::ByteBuffer writing_ GUARDED_BY(mutex_);
  bool welcomed_ GUARDED_BY(mutex_) = false;
  rpc::EventMark told_ GUARDED_BY(mutex_);  // the last event it was sent, or said it has
  bool closing_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
};

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* AgentService::Connect(
    grpc::CallbackServerContext* context) {
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

void AgentService::Send(SessionId session, std::shared_ptr<const std::string> encoded) {
  if (const auto stream = Find(session)) stream->Send(encoded);
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
    last_answer_ = {};
  }
  std::vector<std::shared_ptr<AgentStream>> streams;
  {
    const MutexLock lock(mutex_);
    for (const auto& [session, stream] : streams_) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->TellEvents();
}

AgentService::EncodedEvents AgentService::EventsAfter(const rpc::EventMark& has) {
  const MutexLock lock(events_mutex_);
  if (last_answer_.message == nullptr || last_asked_.seq() != has.seq() || last_asked_.time_ms() != has.time_ms()) {
    rpc::AgentDown message;
    *message.mutable_events() = events_.After(has);
    if (message.events().events().empty()) return {};
    last_asked_ = has;
    last_answer_ = {Encode(message), EventLog::MarkOf(message.events(), has)};
  }
  return last_answer_;
}

}  // namespace flocker
