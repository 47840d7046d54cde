#include "engine/rpc/credentials.h"

#include <grpc/grpc_security_constants.h>
#include <grpc/support/log.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/rpc/refusal_log.h"

namespace flocker {
namespace {

constexpr unsigned kLookAtFiles = 1;  // seconds, as short as gRPC can

std::string Text(grpc::string_ref text) { return {text.data(), text.size()}; }

// The peer behind a certificate in PEM, by the cluster's certificate as it is now.
absl::StatusOr<Peer> CheckPem(ClusterCertificate& cluster, const std::string& pem, const std::set<Role>& accepted,
                              std::string* described) {
  if (pem.empty()) return Refuse(Cause::kDenied, "rule 'signer': it showed no certificate");
  ASSIGN_OR_RETURN(const X509Ptr certificate, CertificateFromPem(pem, "what it showed"));
  *described = DescribeCertificate(certificate.get());
  ASSIGN_OR_RETURN(const std::shared_ptr<X509> signer, cluster.Get());
  return CheckPeer(certificate.get(), signer.get(), accepted, CertificateNow());
}

// Called once a handshake has proved that the peer has its certificate's key. It is the only judge of the certificate:
// OpenSSL's own verdict inside gRPC would say nothing but "verify failed".
class Verifier : public grpc::experimental::ExternalCertificateVerifier {
 public:
  Verifier(const std::string& cluster_file, std::set<Role> accepted, std::string where)
      : cluster_(cluster_file), accepted_(std::move(accepted)), where_(std::move(where)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    std::string described = "none";
    const auto peer = CheckPem(cluster_, Text(request->peer_cert()), accepted_, &described);
    if (peer.ok()) return true;
    refusals_.Say(absl::StrCat(where_, " refused the certificate ", described, ": ", peer.status().message()));
    *status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(peer.status().message()));
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  ClusterCertificate cluster_;
  const std::set<Role> accepted_;
  const std::string where_;
  RefusalLog refusals_;
};

std::string PathOf(const grpc::AuthMetadataProcessor::InputMetadata& metadata) {
  const auto path = metadata.find(":path");
  return path == metadata.end() ? "" : Text(path->second);
}

grpc::Status Refused(RefusalLog& log, const std::string& where, const std::string& who, const absl::Status& status) {
  log.Say(absl::StrCat(where, " refused a call of ", who, ": ", status.message()));
  return {grpc::StatusCode::PERMISSION_DENIED, std::string(status.message())};
}

// Before every call: a certificate that ran out since the connection was made is worth nothing any more.
class CallRule : public grpc::AuthMetadataProcessor {
 public:
  CallRule(const std::string& cluster_file, std::string where) : cluster_(cluster_file), where_(std::move(where)) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const auto shown = context->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
    std::string described = "none";
    const auto peer = CheckPem(cluster_, shown.empty() ? "" : Text(shown[0]), {Role::kNode, Role::kUser}, &described);
    if (!peer.ok()) return Refused(refusals_, where_, described, peer.status());
    const absl::Status may = CheckCall(*peer, PathOf(metadata));
    return may.ok() ? grpc::Status::OK : Refused(refusals_, where_, described, may);
  }

 private:
  ClusterCertificate cluster_;
  const std::string where_;
  RefusalLog refusals_;
};

class GroupRule : public grpc::AuthMetadataProcessor {
 public:
  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext*, OutputMetadata*, OutputMetadata*) override {
    const absl::Status may = CheckCall({Role::kUser, "of the socket's group"}, PathOf(metadata));
    return may.ok() ? grpc::Status::OK : Refused(refusals_, "the unix socket", "its group", may);
  }

 private:
  RefusalLog refusals_;
};

// What gRPC has to say (why a handshake failed before there was a certificate to judge) belongs into our log.
void LogAsOurs(gpr_log_func_args* line) {
  static RefusalLog refusals;
  if (line->severity == GPR_LOG_SEVERITY_ERROR) {
    refusals.Say(absl::StrCat("gRPC: ", line->message));
  } else {
    spdlog::debug("gRPC: {}", line->message);
  }
}

}  // namespace

bool IsUnixAddress(const std::string& address) { return absl::StartsWith(address, "unix:"); }

bool UsesCertificates(const Transport& transport, const std::string& address) {
  return !transport.insecure && !IsUnixAddress(address);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(const Transport& transport,
                                                                            const std::string& address, Role role,
                                                                            const std::string& user) {
  if (!UsesCertificates(transport, address)) return grpc::InsecureChannelCredentials();
  const CertificateFiles files = FilesIn(transport.certificates, role, user);
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(files, CertificateNow()));
  gpr_set_log_function(LogAsOurs);
  using grpc::experimental::StaticDataCertificateProvider;
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<StaticDataCertificateProvider>(
      identity.cluster, std::vector<grpc::experimental::IdentityKeyCertPair>{{identity.key, identity.certificate}}));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);  // the verifier does, and says which rule failed
  options.set_check_call_host(false);      // control is known by its role, whatever its address
  options.set_certificate_verifier(grpc::experimental::ExternalCertificateVerifier::Create<Verifier>(
      files.cluster, std::set<Role>{Role::kControl}, absl::StrCat("the way to ", address)));
  return grpc::experimental::TlsCredentials(options);
}

absl::Status CheckListener(const Transport& transport, const std::string& address) {
  if (!UsesCertificates(transport, address)) return absl::OkStatus();
  return LoadIdentity(FilesIn(transport.certificates, Role::kControl), CertificateNow()).status();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ListenerCredentials(const Transport& transport,
                                                                             const std::string& address) {
  RETURN_IF_ERROR(CheckListener(transport, address));
  if (!UsesCertificates(transport, address)) {
    if (!IsUnixAddress(address)) {
      spdlog::warn("{} is insecure: whoever reaches it is let in, and everything can be read on its way", address);
    }
    return grpc::InsecureServerCredentials();
  }
  const CertificateFiles files = FilesIn(transport.certificates, Role::kControl);
  gpr_set_log_function(LogAsOurs);
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(files.key, files.certificate, files.cluster,
                                                                           kLookAtFiles));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(grpc::experimental::ExternalCertificateVerifier::Create<Verifier>(
      files.cluster, std::set<Role>{Role::kNode, Role::kUser}, address));
  auto credentials = grpc::experimental::TlsServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<CallRule>(files.cluster, address));
  return credentials;
}

std::shared_ptr<grpc::ServerCredentials> GroupCredentials() {
  auto credentials = grpc::experimental::LocalServerCredentials(UDS);
  credentials->SetAuthMetadataProcessor(std::make_shared<GroupRule>());
  return credentials;
}

std::optional<Peer> CallerOf(const grpc::ServerContextBase& context) {
  const auto authenticated = context.auth_context();
  if (authenticated == nullptr) return std::nullopt;
  const auto names = authenticated->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  return names.size() == 1 ? PeerFromCommonName(Text(names[0])) : std::nullopt;
}

CallerDates::CallerDates(const grpc::ServerContextBase& context) {
  const auto authenticated = context.auth_context();
  if (authenticated == nullptr) return;
  const auto shown = authenticated->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (shown.empty()) return;
  const auto certificate = CertificateFromPem(Text(shown[0]), "what the caller showed");
  end_ = certificate.ok() ? EndOf(certificate->get()) : absl::InfinitePast();
}

absl::Status CallerDates::Check() const {
  if (CertificateNow() < end_) return absl::OkStatus();
  return Refuse(Cause::kDenied, absl::StrCat("rule 'dates': its certificate expired at ",
                                             absl::FormatTime(absl::RFC3339_sec, end_, absl::UTCTimeZone())));
}

}  // namespace flocker
