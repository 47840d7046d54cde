#include "engine/agent/control_link.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

constexpr absl::Duration kOperationTimeout = absl::Seconds(10);
constexpr auto kReconnectPause = std::chrono::milliseconds(100);
constexpr auto kReconnectMax = std::chrono::milliseconds(1000);

}  // namespace

ControlLink::ControlLink(const std::string& address, const Transport& transport, Events events)
    : address_(address), transport_(transport), events_(std::move(events)), thread_([this] { Run(); }) {}

ControlLink::~ControlLink() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
    wake_.NotifyAll();
  }
  thread_.join();
}

void ControlLink::Send(const rpc::AgentUp& message) {
  const MutexLock lock(mutex_);
  if (!streaming_) return;
  queue_.push_back(message);
  wake_.NotifyAll();
}

bool ControlLink::Execute(const rpc::OperationRequest& request) {
  const MutexLock lock(mutex_);
  if (!reachable_) return false;
  pending_[request.id()] = {.request = request, .since = SteadyNow()};
  rpc::AgentUp up;
  *up.mutable_operation() = request;
  queue_.push_back(std::move(up));
  wake_.NotifyAll();
  return true;
}

bool ControlLink::reachable() const {
  const MutexLock lock(mutex_);
  return reachable_;
}

void ControlLink::SetReachable(bool reachable) {
  {
    const MutexLock lock(mutex_);
    if (std::exchange(reachable_, reachable) == reachable) return;
  }
  events_.reachable(reachable);
}

void ControlLink::Run() {
  auto pause = kReconnectPause;
  std::string why_away;
  while (true) {
    grpc::ClientContext context;
    {
      const MutexLock lock(mutex_);
      if (stopping_) return;
      context_ = &context;
      queue_.clear();
      streaming_ = true;
      heard_ = SteadyNow();
    }
    const absl::Status status = Connect(context);
    const bool was_reachable = reachable();
    {
      const MutexLock lock(mutex_);
      context_ = nullptr;
      streaming_ = false;
      queue_.clear();
    }
    SetReachable(false);
    if (was_reachable) pause = kReconnectPause;
    if (was_reachable || status.message() != why_away) {
      why_away = std::string(status.message());
      spdlog::warn("control at {} is away: {}", address_, why_away);
    }
    MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + pause;
    while (!stopping_ && wake_.WaitUntil(lock, deadline)) {
    }
    pause = std::min<std::chrono::milliseconds>(pause * 2, kReconnectMax);
  }
}

// Returns why the stream ended.
absl::Status ControlLink::Connect(grpc::ClientContext& context) {
  ASSIGN_OR_RETURN(const auto credentials, ClientCredentials(transport_, address_, Role::kNode));
  // A channel of its own each time: gRPC would hold a failed one back for its backoff. It has the certificates of now.
  const auto stub = rpc::Agent::NewStub(OpenChannel(address_, credentials));
  context.set_wait_for_ready(false);
  const std::unique_ptr<Stream> stream = stub->Connect(&context);
  RunStream(*stream, context);
  return FromGrpc(stream->Finish(), "the stream");
}

void ControlLink::RunStream(Stream& stream, grpc::ClientContext& context) {
  rpc::AgentUp up;
  *up.mutable_hello() = events_.hello();
  if (!stream.Write(up)) return;
  std::thread writer([&] { WriteQueue(stream, context); });
  rpc::AgentDown down;
  while (stream.Read(&down)) Handle(down);
  {
    const MutexLock lock(mutex_);
    streaming_ = false;
    wake_.NotifyAll();
  }
  writer.join();
}

// Writes what is queued, and a heartbeat when there is nothing; gives the stream up when control is silent.
void ControlLink::WriteQueue(Stream& stream, grpc::ClientContext& context) {
  absl::Time next_heartbeat = SteadyNow();
  while (true) {
    rpc::AgentUp up;
    {
      MutexLock lock(mutex_);
      while (streaming_ && queue_.empty() && SteadyNow() < next_heartbeat) {
        const absl::Duration left = next_heartbeat - SteadyNow();
        wake_.WaitUntil(
            lock, std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(left) + std::chrono::milliseconds(1));
      }
      if (!streaming_) return;
      if (SteadyNow() - heard_ > heartbeat_timeout_) {
        spdlog::warn("control at {} is silent", address_);
        context.TryCancel();
        return;
      }
      if (queue_.empty()) {
        up.mutable_heartbeat();
        next_heartbeat = SteadyNow() + heartbeat_timeout_ / 5;
        std::erase_if(pending_, [](const auto& item) { return SteadyNow() - item.second.since > kOperationTimeout; });
      } else {
        up = std::move(queue_.front());
        queue_.pop_front();
      }
    }
    if (!stream.Write(up)) return;
  }
}

void ControlLink::Handle(const rpc::AgentDown& message) {
  {
    const MutexLock lock(mutex_);
    heard_ = SteadyNow();
    if (message.has_welcome()) heartbeat_timeout_ = absl::Seconds(message.welcome().heartbeat_timeout());
    if (message.has_reply()) pending_.erase(message.reply().id());
  }
  switch (message.kind_case()) {
    case rpc::AgentDown::kWelcome: {
      spdlog::info("control at {} knows this node as {}", address_, message.welcome().node().name());
      SetReachable(true);
      events_.message(message);
      const MutexLock lock(mutex_);
      for (const auto& [id, operation] : pending_) {
        rpc::AgentUp up;
        *up.mutable_operation() = operation.request;
        queue_.push_back(std::move(up));
      }
      wake_.NotifyAll();
      return;
    }
    case rpc::AgentDown::kRefused:
      spdlog::error("control at {} refuses this agent: {}", address_, message.refused().message());
      return;
    case rpc::AgentDown::kHeartbeat:
      return;
    default:
      events_.message(message);
  }
}

}  // namespace flocker
