// The Agent service: streams in, each a reactor of gRPC's callback API, so that a thousand agents need no thousand
// threads.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/control/runner.h"
#include "engine/model/event.h"
#include "engine/rpc/event_log.h"
#include "engine/rpc/flocker.grpc.pb.h"

namespace flocker {

class AgentStream;

class AgentService : public rpc::Agent::WithRawCallbackMethod_Connect<rpc::Agent::Service> {
 public:
  explicit AgentService(Runner& runner) : runner_(runner) {}

  // Raw: what many agents are told is encoded once, and is in memory once however many have yet to take it.
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(grpc::CallbackServerContext* context) override;

  // Queued; order is kept. To a session that is gone: nothing.
  void Send(SessionId session, const rpc::AgentDown& message);
  void Send(SessionId session, std::shared_ptr<const std::string> encoded);
  // After what was sent.
  void Close(SessionId session);
  // Events that are on disk. Every agent that was welcomed gets them, and those it missed before, behind its work.
  void Announce(const std::vector<Event>& events);

 private:
  friend class AgentStream;
  std::shared_ptr<AgentStream> Find(SessionId session);
  // Events of one message, and where somebody stands who got it.
  struct EncodedEvents {
    std::shared_ptr<const std::string> message;  // null: there are none
    rpc::EventMark to;
  };
  EncodedEvents EventsAfter(const rpc::EventMark& has) EXCLUDES(events_mutex_);

  Runner& runner_;
  Mutex mutex_;
  std::map<SessionId, std::shared_ptr<AgentStream>> streams_ GUARDED_BY(mutex_);
  SessionId last_session_ GUARDED_BY(mutex_) = 0;
  Mutex events_mutex_;  // taken after a stream's own
  EventLog events_ GUARDED_BY(events_mutex_);
  // The last answer of EventsAfter, which most streams ask for alike, and what it was asked for.
  EncodedEvents last_answer_ GUARDED_BY(events_mutex_);
  rpc::EventMark last_asked_ GUARDED_BY(events_mutex_);
};

}  // namespace flocker
