#include "engine/rpc/channel.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr int kKeepaliveMs = 2000;
constexpr int kHandshakeMs = 20'000;   // a stranger that says nothing holds a descriptor no longer
constexpr int kMaxMessage = 64 << 20;  // a full view of 100,000 datasets

absl::Status GiveToGroup(const std::string& unix_address, const std::string& name) {
  errno = 0;
  const struct group* group = getgrnam(name.c_str());
  if (group == nullptr) {
    return ErrnoStatus(errno == 0 ? ENOENT : errno,
                       absl::StrCat("cannot find the group ", name, "; groupadd makes it"));
  }
  const std::string path = unix_address.substr(sizeof "unix:" - 1);
  if (chown(path.c_str(), 0, group->gr_gid) != 0 || chmod(path.c_str(), 0660) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot give ", path, " to the group ", name));
  }
  return absl::OkStatus();
}

}  // namespace

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);  // what an attempt may take, on a busy machine too
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

absl::StatusOr<std::unique_ptr<grpc::Server>> StartServer(grpc::ServerBuilder& builder, const Listening& listening) {
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 2);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  for (const std::string& address : listening.addresses) {
    ASSIGN_OR_RETURN(const auto credentials, ListenerCredentials(listening.transport, address));
    builder.AddListeningPort(address, credentials);
  }
  if (!listening.group_address.empty()) builder.AddListeningPort(listening.group_address, GroupCredentials());
  const mode_t before = umask(0177);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  umask(before);
  if (server == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", absl::StrJoin(listening.addresses, ", "), " ",
                                               listening.group_address, ": does another process?"));
  }
  if (!listening.group_address.empty()) RETURN_IF_ERROR(GiveToGroup(listening.group_address, listening.group));
  return server;
}

rpc::Outcome ToOutcome(const absl::Status& status) {
  rpc::Outcome outcome;
  if (status.ok()) return outcome;
  outcome.set_cause(std::string(CauseName(CauseOf(status))));
  outcome.set_message(std::string(status.message()));
  return outcome;
}

absl::Status FromOutcome(const rpc::Outcome& outcome) {
  if (outcome.cause().empty()) return absl::OkStatus();
  return Refuse(CauseFromName(outcome.cause()).value_or(Cause::kIo), outcome.message());
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat(what, ": ", status.error_message());
  if (const auto cause = CauseFromName(status.error_details())) return Refuse(*cause, message);
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return Refuse(Cause::kNoControl, message);
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return Refuse(Cause::kDenied, message);
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Refuse(Cause::kTimeout, message);
    default:
      return Refuse(Cause::kIo, message);
  }
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, std::string(status.message()),
                      std::string(CauseName(CauseOf(status))));
}

}  // namespace flocker
