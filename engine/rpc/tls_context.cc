#include "engine/rpc/tls_context.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"

namespace flocker {

TlsContexts::TlsContexts(CertificateFiles files, std::set<Role> accepted, std::string where)
    : files_(std::move(files)), accepted_(std::move(accepted)), where_(std::move(where)), cluster_(files_.cluster) {}

absl::StatusOr<std::shared_ptr<TlsContexts>> TlsContexts::Open(CertificateFiles files, std::set<Role> accepted,
                                                               std::string where) {
  std::shared_ptr<TlsContexts> contexts(new TlsContexts(std::move(files), std::move(accepted), std::move(where)));
  const MutexLock lock(contexts->mutex_);
  contexts->version_ = contexts->Version();
  ASSIGN_OR_RETURN(contexts->context_, contexts->Make());
  return contexts;
}

std::string TlsContexts::Version() const {
  return absl::StrCat(FileVersion(files_.cluster), " ", FileVersion(files_.certificate), " ", FileVersion(files_.key));
}

SslContextPtr TlsContexts::Get() {
  const MutexLock lock(mutex_);
  if (const std::string version = Version(); version != version_) {
    auto made = Make();
    if (made.ok()) {
      context_ = *std::move(made);
      spdlog::info("{} has new certificates", where_);
    } else {
      spdlog::error("{} goes on with the certificates it has: {}", where_, std::string(made.status().message()));
    }
    version_ = version;
  }
  SSL_CTX_up_ref(context_.get());
  return SslContextPtr(context_.get());
}

absl::StatusOr<SslContextPtr> TlsContexts::Make() {
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(files_, CertificateNow()));
  ASSIGN_OR_RETURN(const X509Ptr certificate, CertificateFromPem(identity.certificate, files_.certificate));
  ASSIGN_OR_RETURN(const X509Ptr cluster, CertificateFromPem(identity.cluster, files_.cluster));
  ASSIGN_OR_RETURN(const KeyPtr key, KeyFromPem(identity.key, files_.key));
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 ||
      SSL_CTX_add_client_CA(context.get(), cluster.get()) != 1) {
    return absl::InternalError(absl::StrCat("cannot make a TLS context of ", files_.certificate, ": ", OpensslError()));
  }
  // Every handshake shows its certificate anew: none rests on a session of before it was withdrawn or ran out.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), &TlsContexts::Verify, this);
  return context;
}

int TlsContexts::Verify(X509_STORE_CTX* context, void* self) {
  auto& contexts = *static_cast<TlsContexts*>(self);
  X509* certificate = X509_STORE_CTX_get0_cert(context);
  const auto cluster = contexts.cluster_.Get();
  const absl::Status checked =
      cluster.ok() ? CheckPeer(certificate, cluster->get(), contexts.accepted_, CertificateNow()).status()
                   : cluster.status();
  if (checked.ok()) return 1;
  contexts.refusals_.Say(absl::StrCat(contexts.where_, " refused the certificate ", DescribeCertificate(certificate),
                                      ": ", checked.message()));
  X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

absl::StatusOr<Peer> TlsContexts::PeerOf(const SSL* connection) {
  std::array<char, 256> name{};
  X509* certificate = SSL_get0_peer_certificate(connection);
  if (certificate != nullptr) {
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name.data(), name.size());
  }
  const auto peer = PeerFromCommonName(name.data());
  if (!peer) return Refuse(Cause::kDenied, "the connection has no certificate of a role");
  return *peer;
}

}  // namespace flocker
