// The Cluster service: what flockerctl asks.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/control/calls.h"
#include "engine/control/runner.h"
#include "engine/rpc/flocker.grpc.pb.h"
#include "engine/store/store.h"

namespace flocker {

class EventStream;

class ClusterService : public rpc::Cluster::CallbackService {
 public:
  ClusterService(Runner& runner, Calls& calls, Store& store) : runner_(runner), calls_(calls), store_(store) {}

  grpc::ServerUnaryReactor* Execute(grpc::CallbackServerContext* context, const rpc::OperationRequest* request,
                                    rpc::OperationReply* reply) override;
  grpc::ServerUnaryReactor* View(grpc::CallbackServerContext* context, const rpc::ViewRequest* request,
                                 rpc::ViewReply* reply) override;
  grpc::ServerUnaryReactor* Why(grpc::CallbackServerContext* context, const rpc::WhyRequest* request,
                                rpc::EventView* reply) override;
  grpc::ServerWriteReactor<rpc::EventView>* Events(grpc::CallbackServerContext* context,
                                                   const rpc::EventsRequest* request) override;
  grpc::ServerUnaryReactor* AcquireLease(grpc::CallbackServerContext* context, const rpc::LeaseRequest* request,
                                         rpc::LeaseView* reply) override;
  grpc::ServerUnaryReactor* ReleaseLease(grpc::CallbackServerContext* context, const rpc::ReleaseRequest* request,
                                         rpc::LeaseView* reply) override;

  // What was asked since the last call is committed: it is answered. On the controller's thread.
  void Flushed();

  // There may be new events: streams that follow look again.
  void EventsChanged();
  // Ends every stream that follows, so that the server can shut down.
  void Stop();

 private:
  friend class EventStream;

  Runner& runner_;
  Calls& calls_;
  Store& store_;
  Mutex mutex_;
  std::set<std::shared_ptr<EventStream>> followers_ GUARDED_BY(mutex_);
  std::vector<std::function<void()>> answers_;  // the controller's thread
  bool stopped_ GUARDED_BY(mutex_) = false;
};

}  // namespace flocker
