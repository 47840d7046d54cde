// flockerctl's end of the Cluster service.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/rpc/flocker.grpc.pb.h"

namespace flocker {

// Ends a call from another thread.
class Cancellation {
 public:
  void Cancel();
  bool cancelled();

 private:
  friend class ClusterClient;
  // False when it was cancelled before. `context` until the next Attach; nullptr: none.
  bool Attach(grpc::ClientContext* context);

  Mutex mutex_;
  grpc::ClientContext* context_ GUARDED_BY(mutex_) = nullptr;
  bool cancelled_ GUARDED_BY(mutex_) = false;
};

class ClusterClient {
 public:
  using OnEvent = std::function<void(const rpc::EventView&)>;

  // `address` as OpenChannel takes it. `timeout` bounds every call but a followed event stream. Without credentials
  // every call fails as they did.
  ClusterClient(const std::string& address, absl::Duration timeout,
                const absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>& credentials =
                    grpc::InsecureChannelCredentials());

  const std::string& address() const { return address_; }
  absl::Duration timeout() const { return timeout_; }

  // Everything control knows; of the datasets only `dataset_id`, unless that is empty. kNoControl when it cannot be
  // reached within two seconds.
  absl::StatusOr<rpc::ViewReply> View(const std::string& dataset_id = "");

  // Blocks until control answers the operation, to which an id and its caller are given. When the connection breaks in
  // between, the same id is asked again until the timeout: control executes it once, and restarts under us are nothing
  // a user must see. With `to_its_end` so is an answer that it takes longer; kTimeout says that it may still happen.
  absl::StatusOr<rpc::OperationReply> Execute(rpc::OperationRequest request, bool to_its_end = false);

  // One more backup of control's state, in a directory of control's machine.
  absl::StatusOr<rpc::BackupReply> Backup(const std::string& directory);

  // The lease as it is now. kExists when another node has it. Asking again renews it.
  absl::StatusOr<rpc::LeaseView> AcquireLease(const rpc::LeaseRequest& request);
  // The lease as it was; kNotFound.
  absl::StatusOr<rpc::LeaseView> ReleaseLease(const std::string& dataset_id);

  // The last refusal that concerned the dataset.
  absl::StatusOr<rpc::EventView> Why(const std::string& name);

  // Hands on every event from number `from_seq` to the newest.
  absl::Status Events(uint64_t from_seq, const OnEvent& on_event);

  // The same and every later one, until it is cancelled: a stream that breaks, as when control is started anew, is
  // opened again behind the last event. Returns an error that trying again cannot end.
  absl::Status Follow(uint64_t from_seq, const OnEvent& on_event, Cancellation& cancellation);

 private:
  absl::Status Called(const grpc::Status& status) const;

  const std::string address_;
  const absl::Duration timeout_;
  const absl::Status credentials_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<rpc::Cluster::Stub> stub_;
};

}  // namespace flocker
