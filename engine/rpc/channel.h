// The one place where gRPC channels and server ports are made; by what credentials, `credentials` says.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/rpc/credentials.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// `address` is host:port, or unix:/path for a socket on this machine. Never blocks; a peer that is away shows in the
// first call. Keepalive notices a peer that vanished without a word. Without credentials it is not protected: for unix
// sockets.
std::shared_ptr<grpc::Channel> OpenChannel(
    const std::string& address,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials());

// Where and how a server of this process listens.
struct Listening {
  std::vector<std::string> addresses;
  Transport transport;
  std::string group_address;      // unix:/path of one more socket, for what users do; empty: none
  std::string group = "flocker";  // whose that is
};

// Builds and starts a server that listens on all of the addresses; a unix socket is its owner's alone (mode 0600) from
// its first moment, and group_address the group's, too (0660), when it serves. Changes the process's umask for that
// time: call it before threads make files. Unavailable when an address cannot be had; else as ListenerCredentials.
absl::StatusOr<std::unique_ptr<grpc::Server>> StartServer(grpc::ServerBuilder& builder, const Listening& listening);

// A refusal across the wire and back: cause and message survive.
rpc::Outcome ToOutcome(const absl::Status& status);
absl::Status FromOutcome(const rpc::Outcome& outcome);

// A failed call as a status of ours: a peer that cannot be reached is kNoControl.
absl::Status FromGrpc(const grpc::Status& status, const std::string& what);

// The reverse, for handlers: the cause travels in the details.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace flocker
