#include "tests/integration/fusefs/test_agent.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "engine/rpc/channel.h"

namespace flocker::testing {

TestAgent::TestAgent(std::string address, rpc::TreeWelcome welcome)
    : address_(std::move(address)), welcome_(std::move(welcome)) {}

void TestAgent::Start() {
  grpc::ServerBuilder builder;
  builder.RegisterService(this);
  auto server = StartServer(builder, {.addresses = {address_}});
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
}

void TestAgent::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

grpc::Status TestAgent::Serve(grpc::ServerContext*, Stream* stream) {
  rpc::TreeUp message;
  if (!stream->Read(&message)) return grpc::Status::OK;
  rpc::TreeDown down;
  {
    MutexLock lock(mutex_);
    hello_ = message.hello();
    *down.mutable_welcome() = welcome_;
    stream->Write(down);
    down.mutable_control()->set_reachable(reachable_);
    stream->Write(down);
    stream_ = stream;
    changed_.NotifyAll();
  }
  while (stream->Read(&message)) Handle(message);
  MutexLock lock(mutex_);
  if (stream_ == stream) stream_ = nullptr;
  changed_.NotifyAll();
  return grpc::Status::OK;
}

void TestAgent::Handle(const rpc::TreeUp& message) {
  rpc::TreeDown down;
  {
    MutexLock lock(mutex_);
    switch (message.kind_case()) {
      case rpc::TreeUp::kOperation:
        if (answer_) {
          *down.mutable_reply() = answer_(message.operation());
        } else {
          operations_.push_back(message.operation());
        }
        break;
      case rpc::TreeUp::kGated:
        gated_.push_back(message.gated());
        break;
      case rpc::TreeUp::kDropped:
        dropped_.push_back(message.dropped());
        break;
      case rpc::TreeUp::kRefusal:
        refusals_.push_back(message.refusal());
        break;
      case rpc::TreeUp::kDescribe:
        *down.mutable_description() = description_;
        down.mutable_description()->set_request_id(message.describe().request_id());
        if (!message.describe().holders()) down.mutable_description()->clear_holders();
        break;
      default:
        break;
    }
    changed_.NotifyAll();
  }
  if (down.kind_case() != rpc::TreeDown::KIND_NOT_SET) Send(down);
}

void TestAgent::Send(const rpc::TreeDown& message) {
  MutexLock lock(mutex_);
  if (stream_ != nullptr) stream_->Write(message);
}

bool TestAgent::WaitFor(absl::Duration timeout, const std::function<bool()>& condition) NO_THREAD_SAFETY_ANALYSIS {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  MutexLock lock(mutex_);
  while (!condition()) {
    if (!changed_.WaitUntil(lock, deadline)) return condition();
  }
  return true;
}

bool TestAgent::WaitConnected(absl::Duration timeout) {
  return WaitFor(timeout, [this]() NO_THREAD_SAFETY_ANALYSIS { return stream_ != nullptr; });
}

void TestAgent::SetReachable(bool reachable) {
  {
    MutexLock lock(mutex_);
    reachable_ = reachable;
  }
  rpc::TreeDown down;
  down.mutable_control()->set_reachable(reachable);
  Send(down);
}

void TestAgent::SetGated(const std::vector<std::string>& datasets) {
  MutexLock lock(mutex_);
  welcome_.mutable_gated()->Assign(datasets.begin(), datasets.end());
}

void TestAgent::Changed() {
  rpc::TreeDown down;
  down.mutable_changed()->set_version(0);
  Send(down);
}

std::optional<rpc::OperationRequest> TestAgent::NextOperation(absl::Duration timeout) {
  if (!WaitFor(timeout, [this]() NO_THREAD_SAFETY_ANALYSIS { return !operations_.empty(); })) return std::nullopt;
  MutexLock lock(mutex_);
  rpc::OperationRequest operation = operations_.front();
  operations_.pop_front();
  return operation;
}

void TestAgent::Reply(const std::string& operation, const std::string& cause, const std::string& dataset) {
  rpc::TreeDown down;
  down.mutable_reply()->set_id(operation);
  down.mutable_reply()->mutable_outcome()->set_cause(cause);
  down.mutable_reply()->mutable_outcome()->set_message("as the test said");
  down.mutable_reply()->set_dataset_id(dataset);
  Send(down);
}

void TestAgent::AnswerWith(Answer answer) {
  MutexLock lock(mutex_);
  answer_ = std::move(answer);
}

std::optional<uint32_t> TestAgent::Gate(const DatasetId& id, absl::Duration grace) {
  rpc::TreeDown down;
  down.mutable_gate()->set_dataset_id(id.str());
  down.mutable_gate()->set_grace_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(grace)));
  Send(down);
  if (!WaitFor(grace + absl::Seconds(5), [this]() NO_THREAD_SAFETY_ANALYSIS { return !gated_.empty(); })) {
    return std::nullopt;
  }
  MutexLock lock(mutex_);
  const uint32_t handles = gated_.front().open_handles();
  gated_.pop_front();
  return handles;
}

bool TestAgent::Drop(const DatasetId& id, uint64_t mount_epoch, absl::Duration timeout) {
  rpc::TreeDown down;
  down.mutable_drop()->set_dataset_id(id.str());
  down.mutable_drop()->set_mount_epoch(mount_epoch);
  Send(down);
  if (!WaitFor(timeout, [this]() NO_THREAD_SAFETY_ANALYSIS { return !dropped_.empty(); })) return false;
  MutexLock lock(mutex_);
  dropped_.pop_front();
  return true;
}

void TestAgent::Ungate(const DatasetId& id) {
  rpc::TreeDown down;
  down.mutable_ungate()->set_dataset_id(id.str());
  Send(down);
}

void TestAgent::Happened(const rpc::Events& events) {
  rpc::TreeDown down;
  *down.mutable_events() = events;
  Send(down);
}

void TestAgent::Describe(const rpc::Description& description) {
  MutexLock lock(mutex_);
  description_ = description;
}

std::vector<rpc::Refusal> TestAgent::refusals() {
  MutexLock lock(mutex_);
  return refusals_;
}

std::optional<rpc::TreeHello> TestAgent::hello() {
  MutexLock lock(mutex_);
  return hello_;
}

}  // namespace flocker::testing
