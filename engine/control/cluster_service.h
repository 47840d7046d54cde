// The Cluster service: what flockerctl asks.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <set>

#include "engine/base/mutex.h"
#include "engine/control/runner.h"
#include "engine/rpc/flocker.grpc.pb.h"
#include "engine/store/store.h"

namespace flocker {

class EventStream;

class ClusterService : public rpc::Cluster::CallbackService {
 public:
  ClusterService(Runner& runner, Store& store) : runner_(runner), store_(store) {}

  grpc::ServerUnaryReactor* Execute(grpc::CallbackServerContext* context, const rpc::OperationRequest* request,
                                    rpc::OperationReply* reply) override;
  grpc::ServerUnaryReactor* View(grpc::CallbackServerContext* context, const rpc::ViewRequest* request,
                                 rpc::ViewReply* reply) override;
  grpc::ServerUnaryReactor* Why(grpc::CallbackServerContext* context, const rpc::WhyRequest* request,
                                rpc::EventView* reply) override;
  grpc::ServerWriteReactor<rpc::EventView>* Events(grpc::CallbackServerContext* context,
                                                   const rpc::EventsRequest* request) override;

  // Answers the Execute that waits under this number.
  void Reply(uint64_t call, const rpc::OperationReply& reply);
  // There may be new events: streams that follow look again.
  void EventsChanged();
  // Ends every stream that follows, so that the server can shut down.
  void Stop();

 private:
  friend class EventStream;
  struct Call {
    grpc::ServerUnaryReactor* reactor;
    rpc::OperationReply* reply;
  };

  Runner& runner_;
  Store& store_;
  Mutex mutex_;
  std::map<uint64_t, Call> calls_ GUARDED_BY(mutex_);
  uint64_t last_call_ GUARDED_BY(mutex_) = 0;
  std::set<std::shared_ptr<EventStream>> followers_ GUARDED_BY(mutex_);
  bool stopped_ GUARDED_BY(mutex_) = false;
};

}  // namespace flocker
