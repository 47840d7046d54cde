#include "engine/ctl/client.h"

#include <unistd.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/ids.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(2);

// Each call needs a context of its own (grpc's client_context.h).
void SetDeadline(grpc::ClientContext& context, absl::Time deadline) {
  context.set_deadline(absl::ToChronoTime(deadline));
}

}  // namespace

void Cancellation::Cancel() {
  const MutexLock lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool Cancellation::cancelled() {
  const MutexLock lock(mutex_);
  return cancelled_;
}

bool Cancellation::Attach(grpc::ClientContext* context) {
  const MutexLock lock(mutex_);
  context_ = context;
  return !cancelled_;
}

// Without credentials gRPC makes a channel on which every call fails at once.
ClusterClient::ClusterClient(const std::string& address, absl::Duration timeout,
                             const absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>& credentials)
    : address_(address),
      timeout_(timeout),
      credentials_(credentials.status()),
      channel_(OpenChannel(address, credentials.value_or(nullptr))),
      stub_(rpc::Cluster::NewStub(channel_)) {}

absl::Status ClusterClient::Called(const grpc::Status& status) const {
  RETURN_IF_ERROR(credentials_);
  return FromGrpc(status, absl::StrCat("control at ", address_));
}

absl::StatusOr<rpc::ViewReply> ClusterClient::View(const std::string& dataset_id) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + kConnectTimeout);
  rpc::ViewRequest request;
  request.set_dataset_id(dataset_id);
  rpc::ViewReply reply;
  const absl::Status called = Called(stub_->View(&context, request, &reply));
  // An address that swallows packets is a control that cannot be reached, as much as one that refuses them.
  if (!called.ok() && (CauseOf(called) == Cause::kNoControl || CauseOf(called) == Cause::kTimeout)) {
    return Refuse(Cause::kNoControl, absl::StrCat(std::string(called.message()),
                                                  "; start flocker-control, or give its address with --control"));
  }
  RETURN_IF_ERROR(called);
  return reply;
}

absl::StatusOr<rpc::OperationReply> ClusterClient::Execute(rpc::OperationRequest request, bool to_its_end) {
  request.set_id(DatasetId::FromRandomHex(RandomHex(16)).str());
  request.mutable_caller()->set_uid(getuid());
  request.mutable_caller()->set_gid(getgid());
  request.mutable_caller()->set_pid(getpid());
  request.mutable_caller()->set_via("flockerctl");
  const absl::Time deadline = absl::Now() + timeout_;
  while (true) {
    grpc::ClientContext context;
    SetDeadline(context, deadline);
    rpc::OperationReply reply;
    const absl::Status called = Called(stub_->Execute(&context, request, &reply));
    if (called.ok()) {
      const absl::Status outcome = FromOutcome(reply.outcome());
      if (outcome.ok()) return reply;
      if (!to_its_end || CauseOf(outcome) != Cause::kInProgress) return outcome;
    } else if (CauseOf(called) != Cause::kNoControl || !channel_->WaitForConnected(absl::ToChronoTime(deadline))) {
      return Annotate(called, "the operation may still happen, see flockerctl ls");
    }
  }
}

absl::StatusOr<rpc::BackupReply> ClusterClient::Backup(const std::string& directory) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + timeout_);
  rpc::BackupRequest request;
  request.set_directory(directory);
  rpc::BackupReply reply;
  RETURN_IF_ERROR(Called(rpc::State::NewStub(channel_)->Backup(&context, request, &reply)));
  return reply;
}

absl::StatusOr<rpc::LeaseView> ClusterClient::AcquireLease(const rpc::LeaseRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + timeout_);
  rpc::LeaseView lease;
  RETURN_IF_ERROR(FromGrpc(stub_->AcquireLease(&context, request, &lease), absl::StrCat("control at ", address_)));
  return lease;
}

absl::StatusOr<rpc::LeaseView> ClusterClient::ReleaseLease(const std::string& dataset_id) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + timeout_);
  rpc::ReleaseRequest request;
  request.set_dataset_id(dataset_id);
  rpc::LeaseView lease;
  RETURN_IF_ERROR(FromGrpc(stub_->ReleaseLease(&context, request, &lease), absl::StrCat("control at ", address_)));
  return lease;
}

absl::StatusOr<rpc::EventView> ClusterClient::Why(const std::string& name) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + timeout_);
  rpc::WhyRequest request;
  request.set_name(name);
  rpc::EventView event;
  RETURN_IF_ERROR(Called(stub_->Why(&context, request, &event)));
  return event;
}

absl::Status ClusterClient::Events(uint64_t from_seq, const OnEvent& on_event) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + timeout_);
  rpc::EventsRequest request;
  request.set_from_seq(from_seq);
  const auto reader = stub_->Events(&context, request);
  rpc::EventView event;
  while (reader->Read(&event)) on_event(event);
  return Called(reader->Finish());
}

absl::Status ClusterClient::Follow(uint64_t from_seq, const OnEvent& on_event, Cancellation& cancellation) {
  rpc::EventsRequest request;
  request.set_from_seq(from_seq);
  request.set_follow(true);
  while (true) {
    grpc::ClientContext context;
    if (!cancellation.Attach(&context)) return absl::OkStatus();
    const auto reader = stub_->Events(&context, request);
    rpc::EventView event;
    while (reader->Read(&event)) {
      on_event(event);
      request.set_from_seq(event.seq() + 1);
    }
    absl::Status ended = Called(reader->Finish());
    if (!cancellation.Attach(nullptr)) return absl::OkStatus();
    if (!ended.ok() && CauseOf(ended) != Cause::kNoControl) return ended;
    // A control that ends takes its connection with it a moment later.
    channel_->WaitForStateChange(GRPC_CHANNEL_READY, absl::ToChronoTime(absl::Now() + kConnectTimeout));
    channel_->WaitForConnected(absl::ToChronoTime(absl::Now() + kConnectTimeout));
  }
}

}  // namespace flocker
