#include "engine/ctl/authority.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/ids.h"

namespace flocker {
namespace {

constexpr int kSerialBytes = 16;

absl::Status Failed(const std::string& what) {
  return absl::InternalError(absl::StrCat("cannot make a certificate: ", what, ": ", OpensslError()));
}

absl::Status Sign(X509* certificate, EVP_PKEY* key) {
  return X509_sign(certificate, key, EVP_sha256()) != 0 ? absl::OkStatus() : Failed("signature");
}

absl::Status SetSerial(X509* certificate) {
  std::array<unsigned char, kSerialBytes> bytes{};
  if (RAND_bytes(bytes.data(), kSerialBytes) != 1) return Failed("serial number");
  const std::unique_ptr<BIGNUM, OpensslFree<BN_free>> number(BN_bin2bn(bytes.data(), kSerialBytes, nullptr));
  if (BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) return Failed("serial number");
  return absl::OkStatus();
}

absl::Status AddName(X509_NAME* name, int nid, const std::string& text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, bytes, static_cast<int>(text.size()), -1, 0) == 1) {
    return absl::OkStatus();
  }
  return Refuse(Cause::kInvalid, absl::StrCat("'", text, "' cannot be a name in a certificate: ", OpensslError()));
}

absl::Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& text) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, text.c_str()));
  if (extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1) return absl::OkStatus();
  return Refuse(Cause::kInvalid, absl::StrCat("'", text, "' cannot be in a certificate: ", OpensslError()));
}

// Everything of it but its extensions and signature.
absl::StatusOr<X509Ptr> Draft(const std::string& common_name, const std::string& unit, EVP_PKEY* key,
                              const Validity& validity) {
  X509Ptr certificate(X509_new());
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(validity.from)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(validity.to)) == nullptr ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return Failed("draft");
  }
  RETURN_IF_ERROR(SetSerial(certificate.get()));
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  RETURN_IF_ERROR(AddName(subject, NID_commonName, common_name));
  RETURN_IF_ERROR(AddName(subject, NID_organizationalUnitName, unit));
  return certificate;
}

// subjectAltName's text for a host: nothing that could be more than one name gets into it.
absl::StatusOr<std::string> AlternativeName(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  if (inet_pton(AF_INET, host.c_str(), address.data()) == 1 || inet_pton(AF_INET6, host.c_str(), address.data()) == 1) {
    return absl::StrCat("IP:", host);
  }
  for (const char c : host) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.') {
      return Refuse(Cause::kInvalid, absl::StrCat("'", host, "' is neither a host's name nor an address"));
    }
  }
  if (host.empty()) return Refuse(Cause::kInvalid, "a host's name cannot be empty");
  return absl::StrCat("DNS:", host);
}

absl::StatusOr<KeyedCertificate> ToPem(X509* certificate, EVP_PKEY* key) {
  const std::unique_ptr<BIO, OpensslFree<BIO_free>> out(BIO_new(BIO_s_mem()));
  const std::unique_ptr<BIO, OpensslFree<BIO_free>> secret(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_X509(out.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(secret.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("PEM");
  }
  const auto text = [](BIO* bio) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio, &bytes);
    return std::string(bytes, static_cast<size_t>(size));
  };
  return KeyedCertificate{text(out.get()), text(secret.get())};
}

std::string UnitOf(X509* certificate) {
  std::array<char, 256> unit{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_organizationalUnitName, unit.data(), unit.size());
  return unit.data();
}

}  // namespace

absl::StatusOr<Authority> Authority::Make(const std::string& name, const Validity& validity) {
  if (name.empty() || PeerFromCommonName(name)) {
    return Refuse(Cause::kInvalid, absl::StrCat("'", name, "' cannot be a cluster's name"));
  }
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("key");
  const std::string unit = NodeId::FromRandomHex(RandomHex(16)).str();
  ASSIGN_OR_RETURN(X509Ptr certificate, Draft(name, unit, key.get(), validity));
  X509* self = certificate.get();
  if (X509_set_issuer_name(self, X509_get_subject_name(self)) != 1) return Failed("issuer");
  RETURN_IF_ERROR(AddExtension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  RETURN_IF_ERROR(AddExtension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign"));
  RETURN_IF_ERROR(AddExtension(self, self, NID_subject_key_identifier, "hash"));
  RETURN_IF_ERROR(Sign(self, key.get()));
  return Authority(std::move(certificate), std::move(key));
}

absl::StatusOr<Authority> Authority::Load(const std::string& certificate_file, const std::string& key_file) {
  ASSIGN_OR_RETURN(const std::string certificate_text, ReadFile(certificate_file));
  ASSIGN_OR_RETURN(const std::string key_text, ReadFile(key_file));
  ASSIGN_OR_RETURN(X509Ptr certificate, CertificateFromPem(certificate_text, certificate_file));
  ASSIGN_OR_RETURN(KeyPtr key, KeyFromPem(key_text, key_file));
  if (X509_check_ca(certificate.get()) != 1) {
    return Refuse(Cause::kInvalid, absl::StrCat(certificate_file, " is no authority's certificate"));
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Refuse(Cause::kInvalid, absl::StrCat(key_file, " is not the key of ", certificate_file));
  }
  return Authority(std::move(certificate), std::move(key));
}

absl::StatusOr<KeyedCertificate> Authority::Issue(const Peer& peer, const std::vector<std::string>& hosts,
                                                  const Validity& validity) const {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("key");
  ASSIGN_OR_RETURN(const X509Ptr certificate,
                   Draft(peer.CommonName(), UnitOf(certificate_.get()), key.get(), validity));
  X509* issued = certificate.get();
  X509* issuer = certificate_.get();
  if (X509_set_issuer_name(issued, X509_get_subject_name(issuer)) != 1) return Failed("issuer");
  const bool server = peer.role == Role::kControl;
  RETURN_IF_ERROR(AddExtension(issued, issuer, NID_basic_constraints, "critical,CA:FALSE"));
  RETURN_IF_ERROR(AddExtension(issued, issuer, NID_key_usage, "critical,digitalSignature"));
  RETURN_IF_ERROR(AddExtension(issued, issuer, NID_ext_key_usage, server ? "serverAuth" : "clientAuth"));
  RETURN_IF_ERROR(AddExtension(issued, issuer, NID_subject_key_identifier, "hash"));
  RETURN_IF_ERROR(AddExtension(issued, issuer, NID_authority_key_identifier, "keyid"));
  if (server) {
    std::string names = absl::StrCat("DNS:", std::string(RoleName(Role::kControl)));
    for (const std::string& host : hosts) {
      ASSIGN_OR_RETURN(const std::string name, AlternativeName(host));
      absl::StrAppend(&names, ",", name);
    }
    RETURN_IF_ERROR(AddExtension(issued, issuer, NID_subject_alt_name, names));
  }
  RETURN_IF_ERROR(Sign(issued, key_.get()));
  return ToPem(issued, key.get());
}

absl::StatusOr<KeyedCertificate> Authority::Pem() const { return ToPem(certificate_.get(), key_.get()); }

}  // namespace flocker
