// gRPC's credentials out of a machine's certificate files, and what a peer that showed a certificate may call.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/rpc/certificates.h"

namespace flocker {

// How a process is reached, or reaches another.
struct Transport {
  std::string certificates;  // the directory of its certificate files; empty: it has none
  bool insecure = false;     // without certificates it may speak over a network all the same
};

// Is it a unix socket's; is it one that only processes of this machine reach (127.0.0.0/8, ::1, localhost, or unix)?
bool IsUnixAddress(const std::string& address);
bool IsLocalAddress(const std::string& address);

// kForbidden when speaking to or at `address` would let strangers in or be read by them: it is not of this machine, and
// there are neither certificates nor `insecure`.
absl::Status CheckTransport(const Transport& transport, const std::string& address);

// For a channel to `address`: TLS with the files as they are now, where certificates are given and it is no unix
// socket; a server that is not this cluster's control is refused with the rule that failed. Fails as LoadIdentity does
// and as CheckTransport.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(const Transport& transport,
                                                                            const std::string& address, Role role,
                                                                            const std::string& user = "user");

// Whether ListenerCredentials would succeed now.
absl::Status CheckListener(const Transport& transport, const std::string& address);

// For a listener of flocker-control's. TLS 1.2 or later, both sides with certificates; the files are looked at every
// second, and a connection begins with what they were then. Each call is held to CheckPeer and CheckCall, on a
// connection that lasts, too. Refusals are lines in the log. Fails as LoadIdentity does and as CheckTransport.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ListenerCredentials(const Transport& transport,
                                                                             const std::string& address);

// For a unix socket that is open to a group: whoever reaches it may call what a user may.
std::shared_ptr<grpc::ServerCredentials> GroupCredentials();

// Who calls, by the certificate; nothing where none is needed.
std::optional<Peer> CallerOf(const grpc::ServerContextBase& context);

}  // namespace flocker
