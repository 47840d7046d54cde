// OpenSSL's objects, each freed by its owner.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace flocker {

template <auto function>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    function(object);
  }
};

using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;

// This thread's last error in OpenSSL's words, and forgets it: what failed just now.
std::string OpensslError();

// Out of PEM, which may have more behind it. `what` names it in the error.
absl::StatusOr<X509Ptr> CertificateFromPem(const std::string& pem, const std::string& what);
absl::StatusOr<KeyPtr> KeyFromPem(const std::string& pem, const std::string& what);

}  // namespace flocker
