// TLS for a server that is not gRPC's (REST, on Boost.Beast): OpenSSL contexts out of the same files, under the same
// rules, and with changed files without a restart.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/rpc/certificates.h"
#include "engine/rpc/openssl.h"
#include "engine/rpc/refusal_log.h"

namespace flocker {

class TlsContexts {
 public:
  // Fails as LoadIdentity does. `where` names the listener in the log. Clients must show a certificate of one of
  // `accepted` (CheckPeer); a refusal is an alert to the client and a line in the log that names the rule.
  static absl::StatusOr<std::shared_ptr<TlsContexts>> Open(CertificateFiles files, std::set<Role> accepted,
                                                           std::string where);

  // For the next connection: of the files as they are now, or, with a line in the log, as they were when they could
  // last be used. TLS 1.2 or later, client's certificate demanded. Each call adds a reference that the caller owns, so
  // boost::asio::ssl::context(contexts->Get().release()) may own it. The contexts must outlive all their connections.
  // Thread-safe; blocks for three small files when one has changed.
  SslContextPtr Get();

  // Whose connection it is, once its handshake is done.
  static absl::StatusOr<Peer> PeerOf(const SSL* connection);

 private:
  TlsContexts(CertificateFiles files, std::set<Role> accepted, std::string where);
  absl::StatusOr<SslContextPtr> Make();
  std::string Version() const;
  static int Verify(X509_STORE_CTX* context, void* self);

  const CertificateFiles files_;
  const std::set<Role> accepted_;
  const std::string where_;
  ClusterCertificate cluster_;
  RefusalLog refusals_;
  Mutex mutex_;
  SslContextPtr context_ GUARDED_BY(mutex_);
  std::string version_ GUARDED_BY(mutex_);  // of the files that it was made of, or that could not be used
};

}  // namespace flocker
