#include "tests/bench/simulated_agents.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <climits>
#include <deque>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/mutex.h"
#include "engine/rpc/channel.h"
#include "engine/rpc/flocker.pb.h"
#include "tests/bench/bench_cluster.h"
#include "tests/harness/wait.h"

namespace flocker::bench {
namespace {

constexpr char kMethod[] = "/flocker.rpc.Agent/Connect";
constexpr absl::Duration kHeartbeat = absl::Seconds(1);
std::shared_ptr<grpc::Channel> OwnChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(INT_MAX);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// Of an encoded AgentDown that is a view, the version up to which it tells (0 for a packed one); nothing: it is none.
// Read off its beginning, since a thousand agents that decode everything on one machine would measure themselves.
std::optional<uint64_t> ViewIn(std::string_view encoded) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(encoded.data()),
                                            static_cast<int>(encoded.size()));
  const int kind = WireFormatLite::GetTagFieldNumber(in.ReadTag());
  if (kind == rpc::AgentDown::kPackedViewFieldNumber) return 0;
  uint32_t size = 0;
  if (kind != rpc::AgentDown::kViewFieldNumber || !in.ReadVarint32(&size)) return std::nullopt;
  uint64_t number = 0;  // fields come in their order
  for (uint32_t tag = in.ReadTag(); in.ReadVarint64(&number); tag = in.ReadTag()) {
    if (WireFormatLite::GetTagFieldNumber(tag) == rpc::ViewDelta::kToFieldNumber) return number;
  }
  return std::nullopt;
}

grpc::ByteBuffer Encode(const rpc::AgentUp& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

}  // namespace

class SimulatedAgent : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  SimulatedAgent(const std::string& address, int number, int per_node) : stub_(OwnChannel(address)) {
    stub_.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    rpc::AgentUp up;
    rpc::AgentHello& hello = *up.mutable_hello();
    hello.mutable_node()->set_id(NodeNumber(number).str());
    hello.mutable_node()->set_name(NodeName(number));
    hello.mutable_node()->set_address("10.0.0.1");
    hello.set_packed_views(true);
    for (int i = 0; i < per_node; ++i) {
      rpc::Held& held = *hello.add_held();
      held.set_dataset_id(DatasetNumber(number * per_node + i).str());
      held.set_epoch(1);
      held.set_mount_epoch(1);
      held.set_mounted(true);
    }
    Send(up);
    StartRead(&incoming_);
    StartCall();
  }
  ~SimulatedAgent() override {
    context_.TryCancel();
    MutexLock lock(mutex_);
    while (!done_) changed_.Wait(lock);
  }

  void Send(const rpc::AgentUp& message) {
    const MutexLock lock(mutex_);
    if (done_) return;
    outgoing_.push_back(Encode(message));
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
  }
  bool informed() const { return informed_; }
  absl::Status status() const {
    const MutexLock lock(mutex_);
    return done_ ? absl::UnavailableError(absl::StrCat("a stream ended: ", why_)) : absl::OkStatus();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    Handle();
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    const MutexLock lock(mutex_);
    outgoing_.pop_front();
    if (!ok) outgoing_.clear();
    if (!outgoing_.empty()) StartWrite(&outgoing_.front());
  }
  void OnDone(const grpc::Status& status) override {
    const MutexLock lock(mutex_);
    why_ = status.error_message();
    done_ = true;
    changed_.NotifyAll();
  }

 private:
  void Handle() {
    grpc::Slice slice;
    rpc::AgentDown message;
    if (!incoming_.DumpToSingleSlice(&slice).ok()) return context_.TryCancel();
    if (const auto shown = ViewIn({reinterpret_cast<const char*>(slice.begin()), slice.size()})) {
      informed_ = true;
      if (*shown == 0) return;
      rpc::AgentUp up;
      up.mutable_heartbeat()->set_view_version(*shown);
      return Send(up);
    }
    if (!message.ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) return context_.TryCancel();
    switch (message.kind_case()) {
      case rpc::AgentDown::kAttach:
        return Report(message.attach().dataset_id(), message.attach().epoch(), rpc::Report::ATTACHED);
      case rpc::AgentDown::kRelease:
        return Report(message.release().dataset_id(), message.release().epoch(), rpc::Report::RELEASED);
      default:
        return;
    }
  }
  void Report(const std::string& dataset, uint64_t epoch, rpc::Report::Kind kind) {
    rpc::AgentUp up;
    up.mutable_report()->set_dataset_id(dataset);
    up.mutable_report()->set_epoch(epoch);
    up.mutable_report()->set_kind(kind);
    Send(up);
  }

  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  std::atomic<bool> informed_ = false;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<grpc::ByteBuffer> outgoing_ GUARDED_BY(mutex_);  // the first is being written
  bool done_ GUARDED_BY(mutex_) = false;
  std::string why_ GUARDED_BY(mutex_);
};

SimulatedAgents::SimulatedAgents(const std::string& address, int nodes, int per_node) {
  for (int n = 0; n < nodes; ++n) agents_.push_back(std::make_unique<SimulatedAgent>(address, n, per_node));
  heart_ = std::thread([this] { Beat(); });
}

SimulatedAgents::~SimulatedAgents() {
  stopping_ = true;
  heart_.join();
}

void SimulatedAgents::Beat() {
  rpc::AgentUp beat;
  beat.mutable_heartbeat();
  while (!stopping_) {
    for (const auto& agent : agents_) agent->Send(beat);
    testing::Eventually(kHeartbeat, [&] { return stopping_.load(); });
  }
}

absl::Status SimulatedAgents::WaitInformed(absl::Duration timeout) {
  const bool all = testing::Eventually(timeout, [&] {
    return !status().ok() ||
           std::all_of(agents_.begin(), agents_.end(), [](const auto& agent) { return agent->informed(); });
  });
  if (const absl::Status ended = status(); !ended.ok()) return ended;
  return all ? absl::OkStatus() : absl::DeadlineExceededError("some agents were not told of the whole cluster");
}

absl::Status SimulatedAgents::status() const {
  for (const auto& agent : agents_) {
    if (const absl::Status ended = agent->status(); !ended.ok()) return ended;
  }
  return absl::OkStatus();
}

}  // namespace flocker::bench
