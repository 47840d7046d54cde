#include "engine/rpc/peer_rules.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/model/ids.h"
#include "engine/rpc/openssl.h"

namespace flocker {
namespace {

constexpr std::string_view kControlName = "control-service";
constexpr std::string_view kNodePrefix = "node-";
constexpr std::string_view kUserPrefix = "user-";
constexpr int kSecurityLevel = 2;  // SSL_CTX_set_security_level(3): 112 bits

absl::Status Broken(std::string_view rule, const std::string& why) {
  return Refuse(Cause::kDenied, absl::StrCat("rule '", std::string(rule), "': ", why));
}

std::vector<std::string> Entries(X509_NAME* name, int nid) {
  std::vector<std::string> values;
  for (int at = X509_NAME_get_index_by_NID(name, nid, -1); at >= 0; at = X509_NAME_get_index_by_NID(name, nid, at)) {
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size < 0) continue;
    values.emplace_back(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
    OPENSSL_free(text);
  }
  return values;
}

std::string DateOf(const ASN1_TIME* time) {
  struct tm parts {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable date";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromTM(parts, absl::UTCTimeZone()), absl::UTCTimeZone());
}

absl::Status CheckSignerAndDates(X509* certificate, X509* cluster, absl::Time now) {
  const std::unique_ptr<X509_STORE, OpensslFree<X509_STORE_free>> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, OpensslFree<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  if (store == nullptr || context == nullptr || X509_STORE_add_cert(store.get(), cluster) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr) != 1) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot look at a certificate: ", OpensslError()));
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, absl::ToTimeT(now));
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  const int error = X509_STORE_CTX_get_error(context.get());
  X509* at = X509_STORE_CTX_get_current_cert(context.get());
  const std::string whose = at != nullptr && X509_cmp(at, cluster) == 0 ? "the cluster's own certificate " : "it ";
  if (error == X509_V_ERR_CERT_HAS_EXPIRED && at != nullptr) {
    return Broken("dates", absl::StrCat(whose, "expired at ", DateOf(X509_get0_notAfter(at))));
  }
  if (error == X509_V_ERR_CERT_NOT_YET_VALID && at != nullptr) {
    return Broken("dates", absl::StrCat(whose, "is not valid before ", DateOf(X509_get0_notBefore(at)),
                                        "; are the clocks right?"));
  }
  return Broken("signer",
                absl::StrCat("not signed by this cluster's authority: ", X509_verify_cert_error_string(error)));
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kControl:
      return kControlName;
    case Role::kNode:
      return "node";
    case Role::kUser:
      return "user";
  }
  return "";
}

std::string Peer::CommonName() const {
  switch (role) {
    case Role::kControl:
      return std::string(kControlName);
    case Role::kNode:
      return absl::StrCat(std::string(kNodePrefix), name);
    case Role::kUser:
      return absl::StrCat(std::string(kUserPrefix), name);
  }
  return "";
}

std::optional<Peer> PeerFromCommonName(std::string_view common_name) {
  if (common_name == kControlName) return Peer{Role::kControl, ""};
  if (common_name.starts_with(kNodePrefix)) {
    const auto id = NodeId::Parse(common_name.substr(kNodePrefix.size()));
    if (!id) return std::nullopt;
    return Peer{Role::kNode, id->str()};
  }
  if (common_name.starts_with(kUserPrefix) && common_name.size() > kUserPrefix.size()) {
    return Peer{Role::kUser, std::string(common_name.substr(kUserPrefix.size()))};
  }
  return std::nullopt;
}

absl::StatusOr<Peer> CheckPeer(X509* certificate, X509* cluster, const std::set<Role>& accepted, absl::Time now) {
  RETURN_IF_ERROR(CheckSignerAndDates(certificate, cluster, now));
  const auto units = Entries(X509_get_subject_name(certificate), NID_organizationalUnitName);
  const auto ours = Entries(X509_get_subject_name(cluster), NID_organizationalUnitName);
  if (units.size() != 1 || units != ours) {
    return Broken("cluster", absl::StrCat("its organizational unit is '", absl::StrJoin(units, "', '"),
                                          "', this cluster's '", absl::StrJoin(ours, "', '"), "'"));
  }
  const auto names = Entries(X509_get_subject_name(certificate), NID_commonName);
  const auto peer = names.size() == 1 ? PeerFromCommonName(names[0]) : std::nullopt;
  if (!peer) {
    const auto escaped = [](std::string* out, const std::string& name) {
      absl::StrAppend(out, absl::Utf8SafeCEscape(name));
    };
    return Broken("name", absl::StrCat("its common name '", absl::StrJoin(names, "', '", escaped),
                                       "' is not control-service, node-<UUID> or user-<name>"));
  }
  if (!accepted.contains(peer->role)) {
    const auto word = [](std::string* out, Role role) { absl::StrAppend(out, std::string(RoleName(role))); };
    return Broken("role", absl::StrCat("it is a ", std::string(RoleName(peer->role)),
                                       " certificate; accepted here: ", absl::StrJoin(accepted, ", ", word)));
  }
  // OpenSSL takes a certificate without the extension for one of every use: Flocker's nodes and control have none.
  const bool server = peer->role == Role::kControl;
  if (X509_check_ca(certificate) == 1 ||
      X509_check_purpose(certificate, server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT, 0) != 1) {
    return Broken("use", absl::StrCat("its extensions do not let it be a ", server ? "server's" : "client's"));
  }
  return *peer;
}

absl::Status CheckCall(const Peer& peer, std::string_view path) {
  if (peer.role == Role::kNode && path.starts_with("/flocker.rpc.Agent/")) return absl::OkStatus();
  if (peer.role == Role::kUser && path.starts_with("/flocker.rpc.Cluster/")) return absl::OkStatus();
  return Broken("service", absl::StrCat(peer.CommonName(), " may not call ", std::string(path),
                                        path.starts_with("/flocker.rpc.State/")
                                            ? ": only root may, over the unix socket on control's machine"
                                            : ""));
}

absl::Time EndOf(X509* certificate) {
  struct tm parts {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string DescribeCertificate(X509* certificate) {
  if (certificate == nullptr) return "none";
  const std::unique_ptr<BIO, OpensslFree<BIO_free>> out(BIO_new(BIO_s_mem()));
  // Escaped: whoever made it chose its text, and it goes into a log.
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
  BIO_puts(out.get(), ", serial ");
  i2a_ASN1_INTEGER(out.get(), X509_get0_serialNumber(certificate));
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(size)};
}

}  // namespace flocker
