#include "engine/control/cluster_service.h"

#include <cmath>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/control/event_view.h"
#include "engine/rpc/channel.h"
#include "engine/rpc/credentials.h"

namespace flocker {
namespace {

constexpr size_t kEventsAtOnce = 256;

}  // namespace

// Owned by the service's set until OnDone.
class EventStream : public grpc::ServerWriteReactor<rpc::EventView> {
 public:
  EventStream(ClusterService& service, uint64_t from, bool follow, CallerDates dates)
      : service_(service), dates_(dates), next_(from), follow_(follow) {}

  // Sends what is there unless a write is under way, whose end does the same.
  void Pump() {
    const MutexLock lock(mutex_);
    if (!writing_) Continue();
  }

  void Stop() {
    const MutexLock lock(mutex_);
    follow_ = false;
    if (!writing_) End(grpc::Status::OK);
  }

  void OnCancel() override { Stop(); }

  void OnWriteDone(bool ok) override {
    const MutexLock lock(mutex_);
    writing_ = false;
    ready_.pop_front();
    if (!ok) return End(grpc::Status::CANCELLED);
    Continue();
  }

  void OnDone() override {
    std::shared_ptr<EventStream> self;  // outlives the lock below
    const MutexLock lock(service_.mutex_);
    for (const auto& follower : service_.followers_) {
      if (follower.get() == this) self = follower;
    }
    service_.followers_.erase(self);
  }

 private:
  void Continue() REQUIRES(mutex_) {
    if (ended_) return;
    // Nothing more is told once its certificate is over.
    if (const absl::Status valid = dates_.Check(); !valid.ok()) return End(ToGrpc(valid));
    if (ready_.empty()) {
      const auto events = service_.store_.Events(next_, kEventsAtOnce);
      if (!events.ok()) return End(ToGrpc(events.status()));
      for (const Event& event : *events) {
        ready_.push_back(ToView(event));
        next_ = event.seq + 1;
      }
    }
    if (!ready_.empty()) {
      writing_ = true;
      return StartWrite(&ready_.front());
    }
    if (!follow_) End(grpc::Status::OK);
  }

  void End(const grpc::Status& status) REQUIRES(mutex_) {
    if (ended_) return;
    ended_ = true;
    Finish(status);
  }

  ClusterService& service_;
  const CallerDates dates_;
  Mutex mutex_;
  std::deque<rpc::EventView> ready_ GUARDED_BY(mutex_);  // the first is being written while writing_
  uint64_t next_ GUARDED_BY(mutex_);
  bool follow_ GUARDED_BY(mutex_);
  bool writing_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
};

grpc::ServerUnaryReactor* ClusterService::Execute(grpc::CallbackServerContext* context,
                                                  const rpc::OperationRequest* request, rpc::OperationReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const uint64_t call = calls_.Add([reactor, reply](const rpc::OperationReply& answer) {
    *reply = answer;
    reactor->Finish(grpc::Status::OK);
  });
  runner_.Post([call, request = *request](Controller& controller, absl::Duration now) {
    controller.OnOperation(request, {.session = 0, .call = call}, now);
  });
  return reactor;
}

grpc::ServerUnaryReactor* ClusterService::View(grpc::CallbackServerContext* context, const rpc::ViewRequest* request,
                                               rpc::ViewReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  runner_.Post([reactor, reply, request = *request](Controller& controller, absl::Duration now) {
    *reply = controller.View(now, request);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* ClusterService::Why(grpc::CallbackServerContext* context, const rpc::WhyRequest* request,
                                              rpc::EventView* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  runner_.Post([reactor, reply, name = request->name()](Controller& controller, absl::Duration) {
    const auto event = controller.Why(name);
    if (event.ok()) *reply = ToView(*event);
    reactor->Finish(ToGrpc(event.status()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* ClusterService::AcquireLease(grpc::CallbackServerContext* context,
                                                       const rpc::LeaseRequest* request, rpc::LeaseView* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  runner_.Post([this, reactor, reply, asked = *request](Controller& controller, absl::Duration now) {
    const auto id = DatasetId::Parse(asked.dataset_id());
    const auto node = NodeId::Parse(asked.node_id());
    if (!id || !node || std::isnan(asked.seconds())) {
      return reactor->Finish(ToGrpc(Refuse(Cause::kInvalid, "a lease needs the UUIDs of a dataset and of a node")));
    }
    const std::optional<absl::Duration> keep =
        asked.has_seconds() ? std::optional(absl::Seconds(asked.seconds())) : std::nullopt;
    const auto renewed = controller.AcquireLease(*id, *node, keep, now);
    if (renewed.ok()) {
      *reply = ToView(*controller.cluster().LeaseOf(*id), controller.LeaseEnd(*id), now);
      reply->set_renewed(*renewed);
    }
    answers_.emplace_back([reactor, status = ToGrpc(renewed.status())] { reactor->Finish(status); });
  });
  return reactor;
}

grpc::ServerUnaryReactor* ClusterService::ReleaseLease(grpc::CallbackServerContext* context,
                                                       const rpc::ReleaseRequest* request, rpc::LeaseView* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  runner_.Post([this, reactor, reply, text = request->dataset_id()](Controller& controller, absl::Duration now) {
    const DatasetId id = DatasetId::Parse(text).value_or(DatasetId());
    const auto end = controller.LeaseEnd(id);
    const auto released = controller.ReleaseLease(id);
    if (released.ok()) *reply = ToView(*released, end, now);
    answers_.emplace_back([reactor, status = ToGrpc(released.status())] { reactor->Finish(status); });
  });
  return reactor;
}

void ClusterService::Flushed() {
  for (const auto& answer : std::exchange(answers_, {})) answer();
}

grpc::ServerWriteReactor<rpc::EventView>* ClusterService::Events(grpc::CallbackServerContext* context,
                                                                 const rpc::EventsRequest* request) {
  bool follow = request->follow();
  std::shared_ptr<EventStream> stream;
  {
    const MutexLock lock(mutex_);
    if (stopped_) follow = false;
    stream = std::make_shared<EventStream>(*this, request->from_seq(), follow, CallerDates(*context));
    followers_.insert(stream);
  }
  stream->Pump();
  return stream.get();
}

void ClusterService::EventsChanged() {
  std::vector<std::shared_ptr<EventStream>> followers;
  {
    const MutexLock lock(mutex_);
    followers.assign(followers_.begin(), followers_.end());
  }
  for (const auto& follower : followers) follower->Pump();
}

void ClusterService::Stop() {
  std::vector<std::shared_ptr<EventStream>> followers;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    followers.assign(followers_.begin(), followers_.end());
  }
  for (const auto& follower : followers) follower->Stop();
}

}  // namespace flocker
