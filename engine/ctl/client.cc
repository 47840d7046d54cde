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

ClusterClient::ClusterClient(const std::string& address, absl::Duration timeout,
                             const std::shared_ptr<grpc::ChannelCredentials>& credentials)
    : address_(address),
      timeout_(timeout),
      channel_(OpenChannel(address, credentials)),
      stub_(rpc::Cluster::NewStub(channel_)) {}

absl::StatusOr<rpc::ViewReply> ClusterClient::View() {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + kConnectTimeout);
  rpc::ViewReply reply;
  const absl::Status called = FromGrpc(stub_->View(&context, {}, &reply), absl::StrCat("control at ", address_));
  // An address that swallows packets is a control that cannot be reached, as much as one that refuses them.
  if (!called.ok() && (CauseOf(called) == Cause::kNoControl || CauseOf(called) == Cause::kTimeout)) {
    return Refuse(Cause::kNoControl, absl::StrCat(std::string(called.message()),
                                                  "; start flocker-control, or give its address with --control"));
  }
  RETURN_IF_ERROR(called);
  return reply;
}

absl::Status ClusterClient::Execute(rpc::OperationRequest request) {
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
    const absl::Status called =
        FromGrpc(stub_->Execute(&context, request, &reply), absl::StrCat("control at ", address_));
    if (called.ok()) return FromOutcome(reply.outcome());
    if (CauseOf(called) != Cause::kNoControl || !channel_->WaitForConnected(absl::ToChronoTime(deadline))) {
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
  RETURN_IF_ERROR(FromGrpc(rpc::State::NewStub(channel_)->Backup(&context, request, &reply),
                           absl::StrCat("control at ", address_)));
  return reply;
}

absl::StatusOr<rpc::EventView> ClusterClient::Why(const std::string& name) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Now() + timeout_);
  rpc::WhyRequest request;
  request.set_name(name);
  rpc::EventView event;
  RETURN_IF_ERROR(FromGrpc(stub_->Why(&context, request, &event), absl::StrCat("control at ", address_)));
  return event;
}

absl::Status ClusterClient::Events(uint64_t from_seq, bool follow,
                                   const std::function<void(const rpc::EventView&)>& on_event) {
  grpc::ClientContext context;
  if (!follow) SetDeadline(context, absl::Now() + timeout_);
  rpc::EventsRequest request;
  request.set_from_seq(from_seq);
  request.set_follow(follow);
  const auto reader = stub_->Events(&context, request);
  rpc::EventView event;
  while (reader->Read(&event)) on_event(event);
  return FromGrpc(reader->Finish(), absl::StrCat("control at ", address_));
}

}  // namespace flocker
