// The agent's end of the Tree service, in the hands of a test: it records what flocker-fs asks and says what it is
// told.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/model/ids.h"
#include "engine/rpc/flocker.grpc.pb.h"

namespace flocker::testing {

class TestAgent : private rpc::Tree::Service {
 public:
  // `address` as unix:/path. Begins stopped.
  TestAgent(std::string address, rpc::TreeWelcome welcome);
  ~TestAgent() override { Stop(); }

  void Start();
  void Stop();  // every stream breaks
  bool WaitConnected(absl::Duration timeout = absl::Seconds(10));

  // Whether control is reachable; told at once and on every new stream.
  void SetReachable(bool reachable);
  // What is gated when the next stream begins.
  void SetGated(const std::vector<std::string>& datasets);
  void Changed();

  // The next operation that flocker-fs asks, within the timeout.
  std::optional<rpc::OperationRequest> NextOperation(absl::Duration timeout = absl::Seconds(5));
  void Reply(const std::string& operation, const std::string& cause, const std::string& dataset = "");
  // While set, operations are answered by it and not kept for NextOperation.
  using Answer = std::function<rpc::OperationReply(const rpc::OperationRequest&)>;
  void AnswerWith(Answer answer);

  // Each blocks for flocker-fs's answer; none within the timeout: nullopt.
  std::optional<uint32_t> Gate(const DatasetId& id, absl::Duration grace);
  bool Drop(const DatasetId& id, uint64_t mount_epoch, absl::Duration timeout = absl::Seconds(5));
  void Ungate(const DatasetId& id);

  void Happened(const rpc::Events& events);

  // The answer to whoever asks what the catalogue does not have.
  void Describe(const rpc::Description& description);
  std::vector<rpc::Refusal> refusals();
  std::optional<rpc::TreeHello> hello();

 private:
  using Stream = grpc::ServerReaderWriter<rpc::TreeDown, rpc::TreeUp>;
  grpc::Status Serve(grpc::ServerContext* context, Stream* stream) override;
  void Handle(const rpc::TreeUp& message);
  void Send(const rpc::TreeDown& message);
  bool WaitFor(absl::Duration timeout, const std::function<bool()>& condition);

  const std::string address_;
  std::unique_ptr<grpc::Server> server_;

  Mutex mutex_;
  rpc::TreeWelcome welcome_ GUARDED_BY(mutex_);
  CondVar changed_;
  Stream* stream_ GUARDED_BY(mutex_) = nullptr;
  bool reachable_ GUARDED_BY(mutex_) = true;
  std::optional<rpc::TreeHello> hello_ GUARDED_BY(mutex_);
  std::deque<rpc::OperationRequest> operations_ GUARDED_BY(mutex_);
  Answer answer_ GUARDED_BY(mutex_);
  rpc::Description description_ GUARDED_BY(mutex_);
  std::vector<rpc::Refusal> refusals_ GUARDED_BY(mutex_);
  std::deque<rpc::Gated> gated_ GUARDED_BY(mutex_);
  std::deque<rpc::Dropped> dropped_ GUARDED_BY(mutex_);
};

}  // namespace flocker::testing
