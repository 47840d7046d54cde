// flockerctl's end of the Cluster service.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/rpc/flocker.grpc.pb.h"

namespace flocker {

class ClusterClient {
 public:
  // `address` and `credentials` as OpenChannel takes them. `timeout` bounds every call but a followed event stream.
  ClusterClient(const std::string& address, absl::Duration timeout,
                const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials());

  // Everything control knows. kNoControl when it cannot be reached within two seconds.
  absl::StatusOr<rpc::ViewReply> View();

  // Blocks until control answers the operation. When the connection breaks in between, the same operation id is asked
  // again until the timeout: control executes it once, and restarts under us are nothing a user must see.
  // kTimeout says that it may still happen.
  absl::Status Execute(rpc::OperationRequest request);

  // One more backup of control's state, in a directory of control's machine.
  absl::StatusOr<rpc::BackupReply> Backup(const std::string& directory);

  // The last refusal that concerned the dataset.
  absl::StatusOr<rpc::EventView> Why(const std::string& name);

  // Hands on every event from number `from_seq`; with `follow` until the stream breaks.
  absl::Status Events(uint64_t from_seq, bool follow, const std::function<void(const rpc::EventView&)>& on_event);

 private:
  const std::string address_;
  const absl::Duration timeout_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<rpc::Cluster::Stub> stub_;
};

}  // namespace flocker
