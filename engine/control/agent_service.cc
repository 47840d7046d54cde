#include "engine/control/agent_service.h"

#include <deque>
#include <utility>

namespace flocker {

// Owned by the service's table until gRPC says that nothing of it is under way any more (OnDone).
class AgentStream : public grpc::ServerBidiReactor<rpc::AgentUp, rpc::AgentDown> {
 public:
  AgentStream(AgentService& service, SessionId session) : service_(service), session_(session) {}

  void Begin() { StartRead(&incoming_); }

  void Send(const rpc::AgentDown& message) {
    const MutexLock lock(mutex_);
    if (closing_) return;
    outgoing_.push_back(message);
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
  }

  void Close() {
    const MutexLock lock(mutex_);
    closing_ = true;
    FinishWhenIdle();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Close();
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
    if (closing_) FinishWhenIdle();
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
  void FinishWhenIdle() REQUIRES(mutex_) {
    if (!outgoing_.empty() || finished_) return;
    finished_ = true;
    Finish(grpc::Status::OK);
  }

  AgentService& service_;
  const SessionId session_;
  rpc::AgentUp incoming_;  // only the read under way touches it
  Mutex mutex_;
  std::deque<rpc::AgentDown> outgoing_ GUARDED_BY(mutex_);  // the first is being written
  bool closing_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
};

grpc::ServerBidiReactor<rpc::AgentUp, rpc::AgentDown>* AgentService::Connect(grpc::CallbackServerContext*) {
  std::shared_ptr<AgentStream> stream;
  {
    const MutexLock lock(mutex_);
    stream = std::make_shared<AgentStream>(*this, ++last_session_);
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

}  // namespace flocker
