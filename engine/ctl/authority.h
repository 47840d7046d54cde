// The cluster's certificate authority, as Flocker's flocker-ca was (flocker/ca/_ca.py): names and subjects are its
// own, so both accept each other's certificates. Ours have ECDSA P-256 keys where its had RSA 4096, whose handshakes
// cost far more.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/rpc/openssl.h"
#include "engine/rpc/peer_rules.h"

namespace flocker {

// In PEM, as files hold it.
struct KeyedCertificate {
  std::string certificate;
  std::string key;
};

struct Validity {
  absl::Time from;
  absl::Time to;
};

class Authority {
 public:
  // A new one: common name `name`, organizational unit a new UUID, the cluster's. kInvalid for a name that is empty,
  // too long or would be a role's.
  static absl::StatusOr<Authority> Make(const std::string& name, const Validity& validity);
  // Of the files cluster.crt and cluster.key. kInvalid when they are not an authority's certificate and its key.
  static absl::StatusOr<Authority> Load(const std::string& certificate_file, const std::string& key_file);

  // A certificate for the peer with a new key. `hosts`: control's names and addresses, under which clients of REST find
  // it; "control-service" is added. kInvalid for what cannot be in a certificate.
  absl::StatusOr<KeyedCertificate> Issue(const Peer& peer, const std::vector<std::string>& hosts,
                                         const Validity& validity) const;

  // Its own.
  absl::StatusOr<KeyedCertificate> Pem() const;

 private:
  Authority(X509Ptr certificate, KeyPtr key) : certificate_(std::move(certificate)), key_(std::move(key)) {}

  X509Ptr certificate_;
  KeyPtr key_;
};

}  // namespace flocker
