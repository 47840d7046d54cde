// gRPC's credentials out of a machine's certificate files, and what a peer that showed a certificate may call.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/rpc/certificates.h"

namespace flocker {

// How a process is reached, or reaches another, when that is not by a unix socket.
struct Transport {
  std::string certificates = kCertificateDirectory;
  bool insecure = false;  // without them: anybody may listen or take part
};

bool IsUnixAddress(const std::string& address);

// Whether what goes to or comes from `address` is to be protected by certificates: not a unix socket's, nor if
// insecure.
bool UsesCertificates(const Transport& transport, const std::string& address);

// For a channel to `address`: TLS with the files as they are now, if it uses certificates; a server that is not this
// cluster's control is refused with the rule that failed. Fails as LoadIdentity does.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(const Transport& transport,
                                                                            const std::string& address, Role role,
                                                                            const std::string& user = "user");

// Whether ListenerCredentials would succeed now.
absl::Status CheckListener(const Transport& transport, const std::string& address);

// For a listener of flocker-control's. TLS 1.2 or later, both sides with certificates; the files are looked at every
// second, and a connection begins with what they were then. Each call is held to CheckPeer and CheckCall, on a
// connection that lasts, too. Refusals are lines in the log. Fails as LoadIdentity does.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ListenerCredentials(const Transport& transport,
                                                                             const std::string& address);

// For a unix socket that is open to a group: whoever reaches it may call what a user may.
std::shared_ptr<grpc::ServerCredentials> GroupCredentials();

// Who calls, by the certificate; nothing where none is needed.
std::optional<Peer> CallerOf(const grpc::ServerContextBase& context);

// Whether the caller's certificate is still valid, for a call that lasts: by what it showed when its connection began.
class CallerDates {
 public:
  explicit CallerDates(const grpc::ServerContextBase& context);
  // OK where no certificate is needed; else kDenied, by the rule `dates`, from its notAfter on.
  absl::Status Check() const;

 private:
  absl::Time end_ = absl::InfiniteFuture();
};

}  // namespace flocker
