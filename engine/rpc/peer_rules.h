// Who a certificate says its holder is, and the rules by which we believe it: Flocker's (flocker/ca/_validation.py and
// _ca.py: the common name tells the role, the organizational unit the cluster), and one place for gRPC and REST alike.
#pragma once

#include <openssl/x509.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace flocker {

enum class Role {
  kControl,  // common name "control-service"
  kNode,     // "node-<the node's UUID>"
  kUser,     // "user-<name>"
};

// The role's word in messages: "control-service", "node", "user".
std::string_view RoleName(Role role);

struct Peer {
  Role role;
  std::string name;  // the node's UUID in lower case, the user's name; of control nothing

  std::string CommonName() const;
  friend bool operator==(const Peer&, const Peer&) = default;
};

// Nothing for a name of no role.
std::optional<Peer> PeerFromCommonName(std::string_view common_name);

// Whose certificate it is, if the cluster whose own certificate is `cluster` knows it and its role is one of
// `accepted`. Pure: it depends on its arguments alone. Else kDenied, and the message begins with the rule that failed:
//   signer   signed by the cluster's key, with nothing weaker than RSA 2048 and SHA-256
//   dates    it and the cluster's own are valid at `now`
//   cluster  its organizational unit, the cluster's UUID, is the cluster's
//   name     it has one common name, and that is of a role
//   role     the role is one of `accepted`
//   use      it may be used as its role does: a server's as control, a client's else, and never an authority's
absl::StatusOr<Peer> CheckPeer(X509* certificate, X509* cluster, const std::set<Role>& accepted, absl::Time now);

// What a peer may call over gRPC (DESIGN §3): a node the Agent service, a user the Cluster service. `path` is gRPC's,
// "/<package>.<service>/<method>". The rule is called `service`. What nobody may, root does over the unix socket.
absl::Status CheckCall(const Peer& peer, std::string_view path);

// When it ceases to be valid; the infinite past for a date that cannot be read.
absl::Time EndOf(X509* certificate);

// A certificate's subject and serial number in a line, for logs. Of nullptr: "none".
std::string DescribeCertificate(X509* certificate);

}  // namespace flocker
