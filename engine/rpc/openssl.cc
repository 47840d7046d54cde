#include "engine/rpc/openssl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free>>;

BioPtr Reading(const std::string& text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// No terminal is asked for the passphrase of a key that has one.
int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace

std::string OpensslError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : absl::StrCat("OpenSSL's error ", code);
}

absl::StatusOr<X509Ptr> CertificateFromPem(const std::string& pem, const std::string& what) {
  X509Ptr certificate(PEM_read_bio_X509(Reading(pem).get(), nullptr, NoPassphrase, nullptr));
  if (certificate != nullptr) return certificate;
  return Refuse(Cause::kInvalid, absl::StrCat(what, " is no certificate in PEM: ", OpensslError()));
}

absl::StatusOr<KeyPtr> KeyFromPem(const std::string& pem, const std::string& what) {
  KeyPtr key(PEM_read_bio_PrivateKey(Reading(pem).get(), nullptr, NoPassphrase, nullptr));
  if (key != nullptr) return key;
  return Refuse(Cause::kInvalid,
                absl::StrCat(what, " is no private key in PEM without a passphrase: ", OpensslError()));
}

}  // namespace flocker
