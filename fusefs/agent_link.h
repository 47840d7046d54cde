// The stream to this machine's agent (service Tree).
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/rpc/flocker.grpc.pb.h"

namespace flocker {

// Keeps one stream to the agent, for ever: when it breaks, the next one is tried with the channel's own backoff.
class AgentLink {
 public:
  // All calls come from one thread and must not block.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A stream stands; the agent's first word on it. Send works from here on.
    virtual void OnWelcome(const rpc::TreeWelcome& welcome) = 0;
    virtual void OnMessage(const rpc::TreeDown& message) = 0;
    // A stream that had a welcome is gone, and with it what was sent and not yet answered.
    virtual void OnBroken() = 0;
  };

  // `address` as for OpenChannel. `hello` opens every stream.
  AgentLink(const std::string& address, rpc::TreeHello hello, Listener& listener);
  ~AgentLink() { Stop(); }
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  void Start();
  void Stop();

  // Queues the message for the present stream; false when there is none. Never blocks.
  bool Send(rpc::TreeUp message) EXCLUDES(mutex_);
  bool connected() const EXCLUDES(mutex_);

 private:
  using Stream = grpc::ClientReaderWriter<rpc::TreeUp, rpc::TreeDown>;
  void Run();
  void Serve(grpc::ClientContext& context);
  void Write(Stream& stream);  // a thread per stream: writing blocks while the agent does not read
  void Receive(const rpc::TreeDown& message);

  const rpc::TreeHello hello_;
  Listener& listener_;
  const std::unique_ptr<rpc::Tree::Stub> stub_;
  std::thread thread_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool connected_ GUARDED_BY(mutex_) = false;  // welcomed on the present stream
  bool ended_ GUARDED_BY(mutex_) = false;      // the present stream takes no more
  std::deque<rpc::TreeUp> queue_ GUARDED_BY(mutex_);
  grpc::ClientContext* context_ GUARDED_BY(mutex_) = nullptr;  // of the present stream, for Stop
};

}  // namespace flocker
