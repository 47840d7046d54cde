#include "fusefs/agent_link.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "engine/rpc/channel.h"

namespace flocker {
namespace {

// After a stream ended. The channel waits by itself while there is nobody to connect to; this is for an agent that is
// there and ends every stream at once.
constexpr auto kPause = std::chrono::milliseconds(100);

}  // namespace

AgentLink::AgentLink(const std::string& address, rpc::TreeHello hello, Listener& listener)
    : hello_(std::move(hello)), listener_(listener), stub_(rpc::Tree::NewStub(OpenChannel(address))) {}

void AgentLink::Start() {
  thread_ = std::thread([this] { Run(); });
}

void AgentLink::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

bool AgentLink::Send(rpc::TreeUp message) {
  MutexLock lock(mutex_);
  if (!connected_) return false;
  queue_.push_back(std::move(message));
  changed_.NotifyAll();
  return true;
}

bool AgentLink::connected() const {
  MutexLock lock(mutex_);
  return connected_;
}

void AgentLink::Run() {
  while (true) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      context_ = &context;
    }
    Serve(context);
    const auto next = std::chrono::steady_clock::now() + kPause;
    MutexLock lock(mutex_);
    context_ = nullptr;
    while (!stopping_ && changed_.WaitUntil(lock, next)) {
    }
  }
}

void AgentLink::Serve(grpc::ClientContext& context) {
  {
    MutexLock lock(mutex_);
    rpc::TreeUp hello;
    *hello.mutable_hello() = hello_;
    queue_.assign(1, hello);
    ended_ = false;
  }
  const std::unique_ptr<Stream> stream = stub_->Serve(&context);
  std::thread writer([&] { Write(*stream); });
  rpc::TreeDown message;
  while (stream->Read(&message)) Receive(message);
  bool was_connected = false;
  {
    MutexLock lock(mutex_);
    was_connected = std::exchange(connected_, false);
    ended_ = true;
    changed_.NotifyAll();
  }
  context.TryCancel();  // a write that waits for the agent to read
  writer.join();
  const grpc::Status status = stream->Finish();
  if (!was_connected) {
    spdlog::debug("no stream to the agent: {}", status.error_message());
    return;
  }
  spdlog::warn("the agent is away ({}); the tree stays, changes are refused until it is back", status.error_message());
  listener_.OnBroken();
}

void AgentLink::Write(Stream& stream) {
  while (true) {
    rpc::TreeUp message;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !ended_) changed_.Wait(lock);
      if (ended_) return;
      message = std::move(queue_.front());
      queue_.pop_front();
    }
    if (!stream.Write(message)) return;  // the reading side notices the same and ends the stream
  }
}

void AgentLink::Receive(const rpc::TreeDown& message) {
  if (!message.has_welcome()) return listener_.OnMessage(message);
  spdlog::info("connected to the agent of {}", message.welcome().node_name());
  {
    MutexLock lock(mutex_);
    connected_ = true;
  }
  listener_.OnWelcome(message.welcome());
}

}  // namespace flocker
