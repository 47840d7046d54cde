#include "engine/agent/tree_service.h"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"
#include "engine/volume/mountinfo.h"

namespace flocker {
namespace {

constexpr absl::Duration kAnswerTimeout = absl::Seconds(5);
// Messages that a flocker-fs may leave unread: news are a few each second. It comes back when it is alive.
constexpr size_t kMostQueued = 20'000;

std::string GateKey(const std::string& id) { return absl::StrCat("gate/", id); }
std::string DropKey(const std::string& id, uint64_t epoch) { return absl::StrCat("drop/", id, "/", epoch); }

}  // namespace

grpc::Status TreeService::Serve(grpc::ServerContext* context, Stream* stream) {
  rpc::TreeUp message;
  if (!stream->Read(&message) || !message.has_hello()) {
    return ToGrpc(Refuse(Cause::kInvalid, "a tree's stream begins with its hello"));
  }
  {
    const MutexLock lock(mutex_);
    if (context_ != nullptr) context_->TryCancel();  // an older flocker-fs; the newest is the one that serves
    stream_ = stream;
    ++streams_;
    context_ = context;
    device_ = message.hello().fuse_device();
    pid_ = message.hello().pid();
    queue_.clear();
    rpc::TreeDown welcome;
    *welcome.mutable_welcome() = welcome_;
    for (const DatasetId& id : gated_) welcome.mutable_welcome()->add_gated(id.str());
    Queue(std::move(welcome));
    QueueEvents();
    changed_.NotifyAll();
  }
  events_.serves(message.hello().pid());
  spdlog::info("flocker-fs (pid {}) serves {}", message.hello().pid(), message.hello().mountpoint());
  std::thread writer([&] { WriteQueue(*stream); });
  ControlReachable(events_.control_reachable());
  while (stream->Read(&message)) Handle(message);
  {
    const MutexLock lock(mutex_);
    if (stream_ == stream) {
      stream_ = nullptr;
      context_ = nullptr;
      queue_.clear();
      changed_.NotifyAll();
    }
  }
  context->TryCancel();  // a write that waits for it to read
  writer.join();
  return grpc::Status::OK;
}

void TreeService::WriteQueue(Stream& stream) {
  while (true) {
    rpc::TreeDown message;
    {
      MutexLock lock(mutex_);
      while (stream_ == &stream && queue_.empty()) changed_.Wait(lock);
      if (stream_ != &stream) return;
      message = std::move(queue_.front());
      queue_.pop_front();
    }
    if (!stream.Write(message)) return;  // its reader sees the same, and ends the stream
  }
}

void TreeService::Handle(const rpc::TreeUp& message) {
  switch (message.kind_case()) {
    case rpc::TreeUp::kOperation: {
      if (events_.execute(message.operation())) return;
      rpc::OperationReply reply;
      reply.set_id(message.operation().id());
      *reply.mutable_outcome() = ToOutcome(Refuse(
          Cause::kNoControl, "the control service cannot be reached, so nothing can be changed; see flocker-control"));
      return Reply(reply);
    }
    case rpc::TreeUp::kGated: {
      const MutexLock lock(mutex_);
      answers_[GateKey(message.gated().dataset_id())] = message.gated().open_handles();
      changed_.NotifyAll();
      return;
    }
    case rpc::TreeUp::kDropped: {
      const MutexLock lock(mutex_);
      answers_[DropKey(message.dropped().dataset_id(), message.dropped().mount_epoch())] = 0;
      changed_.NotifyAll();
      return;
    }
    case rpc::TreeUp::kRefusal:
      return events_.refusal(message.refusal());
    case rpc::TreeUp::kDescribe: {
      const rpc::DescribeRequest& asked = message.describe();
      rpc::TreeDown down;
      if (const auto id = DatasetId::Parse(asked.dataset_id())) {
        *down.mutable_description() = events_.describe(*id, asked.holders());
      }
      down.mutable_description()->set_request_id(asked.request_id());
      return Send(down);
    }
    default:
      return;
  }
}

void TreeService::Send(const rpc::TreeDown& message) {
  const MutexLock lock(mutex_);
  if (stream_ != nullptr) Queue(message);
}

void TreeService::Queue(rpc::TreeDown message) {
  queue_.push_back(std::move(message));
  changed_.NotifyAll();
  if (queue_.size() < kMostQueued) return;
  spdlog::error("flocker-fs (pid {}) does not read what it is told; its stream is ended", pid_);
  queue_.clear();
  context_->TryCancel();
}

void TreeService::QueueEvents() {
  rpc::EventMark told;
  while (true) {
    rpc::TreeDown down;
    *down.mutable_events() = log_.After(told);
    if (down.events().events().empty()) return;
    told = EventLog::MarkOf(down.events(), told);
    Queue(std::move(down));
  }
}

void TreeService::Happened(const rpc::Events& events) {
  const MutexLock lock(mutex_);
  rpc::TreeDown down;
  *down.mutable_events() = log_.Add(events);
  if (stream_ != nullptr && !down.events().events().empty()) Queue(std::move(down));
}

bool TreeService::serving() const {
  const MutexLock lock(mutex_);
  return stream_ != nullptr;
}

rpc::EventMark TreeService::last_event() const {
  const MutexLock lock(mutex_);
  return log_.last();
}

absl::StatusOr<std::optional<uint32_t>> TreeService::Ask(const rpc::TreeDown& message, const std::string& key,
                                                         absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(timeout);
  uint64_t asked = 0;  // on that stream
  {
    const MutexLock lock(mutex_);
    answers_.erase(key);
  }
  while (true) {
    {
      MutexLock lock(mutex_);
      if (const auto it = answers_.find(key); it != answers_.end()) {
        const uint32_t answer = it->second;
        answers_.erase(it);
        return std::optional<uint32_t>(answer);
      }
      if (stream_ == nullptr && !Mounted()) return std::optional<uint32_t>();
      if (stream_ == nullptr || asked == streams_) {
        if (changed_.WaitUntil(lock, deadline)) continue;
        return absl::DeadlineExceededError(
            absl::StrCat("flocker-fs at ", mountpoint_, " did not answer within ", absl::FormatDuration(timeout)));
      }
      // The first, or a successor of one that died before it answered: what was open stays open in it.
      asked = streams_;
    }
    Send(message);
  }
}

bool TreeService::Mounted() const {
  const auto mount = FindMount(mountpoint_);
  return mount.ok() && mount->has_value();
}

absl::StatusOr<uint32_t> TreeService::Gate(const DatasetId& id, absl::Duration grace) {
  {
    const MutexLock lock(mutex_);
    gated_.insert(id);
  }
  // A flocker-fs that outlived the last agent, or follows one that died, finds this agent in a moment. Until then
  // nobody knows what is open through it, and its own descriptor looks like a user's.
  rpc::TreeDown down;
  down.mutable_gate()->set_dataset_id(id.str());
  down.mutable_gate()->set_grace_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(grace)));
  ASSIGN_OR_RETURN(const std::optional<uint32_t> handles, Ask(down, GateKey(id.str()), grace + kAnswerTimeout));
  return handles.value_or(0);
}

absl::Status TreeService::DropDescriptors(const DatasetId& id, uint64_t mount_epoch) {
  rpc::TreeDown down;
  down.mutable_drop()->set_dataset_id(id.str());
  down.mutable_drop()->set_mount_epoch(mount_epoch);
  return Ask(down, DropKey(id.str(), mount_epoch), kAnswerTimeout).status();
}

void TreeService::Ungate(const DatasetId& id) {
  {
    const MutexLock lock(mutex_);
    gated_.erase(id);
  }
  rpc::TreeDown down;
  down.mutable_ungate()->set_dataset_id(id.str());
  Send(down);
}

void TreeService::Reply(const rpc::OperationReply& reply) {
  rpc::TreeDown down;
  *down.mutable_reply() = reply;
  Send(down);
}

void TreeService::CatalogChanged(uint64_t version) {
  rpc::TreeDown down;
  down.mutable_changed()->set_version(version);
  Send(down);
}

void TreeService::ControlReachable(bool reachable) {
  rpc::TreeDown down;
  down.mutable_control()->set_reachable(reachable);
  Send(down);
}

dev_t TreeService::device() const {
  const MutexLock lock(mutex_);
  return device_;
}

std::set<pid_t> TreeService::own_processes() const {
  const MutexLock lock(mutex_);
  return pid_ != 0 ? std::set<pid_t>{pid_} : std::set<pid_t>{};
}

}  // namespace flocker
