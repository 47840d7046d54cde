// The agent's one stream to control: kept open for ever, heartbeats both ways, operations of the tree carried over a
// reconnect under their own ids.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/rpc/credentials.h"
#include "engine/rpc/flocker.grpc.pb.h"

namespace flocker {

class ControlLink {
 public:
  // Called on the link's thread, one at a time.
  struct Events {
    std::function<rpc::AgentHello()> hello;  // what to say first on a new stream
    std::function<void(bool reachable)> reachable;
    std::function<void(const rpc::AgentDown&)> message;  // everything but heartbeats
  };

  ControlLink(const std::string& address, const Transport& transport, Events events);
  ~ControlLink();
  ControlLink(const ControlLink&) = delete;
  ControlLink& operator=(const ControlLink&) = delete;

  // Queued for the present stream; without one it is dropped, for the exchange at the next connect says it again.
  void Send(const rpc::AgentUp& message);
  // Like Send, but sent again on a new stream until its reply came or `operation_timeout` passed. False when control
  // cannot be reached: nothing was sent.
  bool Execute(const rpc::OperationRequest& request);
  bool reachable() const;

 private:
  using Stream = grpc::ClientReaderWriter<rpc::AgentUp, rpc::AgentDown>;
  void Run();
  absl::Status Connect(grpc::ClientContext& context);
  void RunStream(Stream& stream, grpc::ClientContext& context);
  void WriteQueue(Stream& stream, grpc::ClientContext& context);
  void Handle(const rpc::AgentDown& message);
  void SetReachable(bool reachable);

  const std::string address_;
  const Transport transport_;
  const Events events_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<rpc::AgentUp> queue_ GUARDED_BY(mutex_);
  struct Pending {
    rpc::OperationRequest request;
    absl::Time since;
  };
  std::map<std::string, Pending> pending_ GUARDED_BY(mutex_);
  bool streaming_ GUARDED_BY(mutex_) = false;  // a stream exists; queue_ is drained
  bool reachable_ GUARDED_BY(mutex_) = false;  // control answered on it
  bool stopping_ GUARDED_BY(mutex_) = false;
  absl::Time heard_ GUARDED_BY(mutex_);
  absl::Duration heartbeat_timeout_ GUARDED_BY(mutex_) = absl::Seconds(5);
  grpc::ClientContext* context_ GUARDED_BY(mutex_) = nullptr;
  std::thread thread_;
};

}  // namespace flocker
