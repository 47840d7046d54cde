#include "engine/control/cluster_service.h"

#include <deque>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/control/event_view.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

constexpr size_t kEventsAtOnce = 256;

}  // namespace

// Owned by the service's set until OnDone.
class EventStream : public grpc::ServerWriteReactor<rpc::EventView> {
 public:
  EventStream(ClusterService& service, uint64_t from, bool follow) : service_(service), next_(from), follow_(follow) {}

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
  uint64_t call = 0;
  {
    const MutexLock lock(mutex_);
    call = ++last_call_;
    calls_[call] = {.reactor = reactor, .reply = reply};
  }
  runner_.Post([call, request = *request](Controller& controller, absl::Duration now) {
    controller.OnOperation(request, {.session = 0, .call = call}, now);
  });
  return reactor;
}

void ClusterService::Reply(uint64_t call, const rpc::OperationReply& reply) {
  Call waiting{};
  {
    const MutexLock lock(mutex_);
    const auto it = calls_.find(call);
    if (it == calls_.end()) return;
    waiting = it->second;
    calls_.erase(it);
  }
  *waiting.reply = reply;
  waiting.reactor->Finish(grpc::Status::OK);
}

grpc::ServerUnaryReactor* ClusterService::View(grpc::CallbackServerContext* context, const rpc::ViewRequest* request,
                                               rpc::ViewReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  runner_.Post([reactor, reply, request = *request](Controller& controller, absl::Duration) {
    *reply = controller.View(request);
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

grpc::ServerWriteReactor<rpc::EventView>* ClusterService::Events(grpc::CallbackServerContext*,
                                                                 const rpc::EventsRequest* request) {
  bool follow = request->follow();
  std::shared_ptr<EventStream> stream;
  {
    const MutexLock lock(mutex_);
    if (stopped_) follow = false;
    stream = std::make_shared<EventStream>(*this, request->from_seq(), follow);
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
