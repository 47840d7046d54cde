#include "engine/ctl/certificate_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

std::string Pem(const std::string& name, EVP_PKEY* key, EVP_PKEY* signer, absl::Duration from, absl::Duration to) {
  const std::unique_ptr<X509, Free> certificate(X509_new());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), absl::ToInt64Seconds(from));
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), absl::ToInt64Seconds(to));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_pubkey(certificate.get(), key);
  X509_sign(certificate.get(), signer, EVP_sha256());
  const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate.get());
  char* text = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

class Certificates : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& content, mode_t mode = 0600) {
    ASSERT_TRUE(ReplaceFile(absl::StrCat(dir_.path(), "/", name), content, mode).ok());
  }
  void WriteNode(absl::Duration from, absl::Duration to) {
    Write("cluster.crt", Pem("mycluster", authority_.get(), authority_.get(), -absl::Hours(1), absl::Hours(24 * 365)));
    Write("node.crt", Pem("node-x", key_.get(), authority_.get(), from, to));
  }
  Check Of(const std::string& subject) {
    for (const Check& check : CheckCertificates(dir_.path(), absl::Now())) {
      if (check.subject == subject) return check;
    }
    ADD_FAILURE() << "nothing is said of " << subject;
    return {};
  }

  testing::ScratchDir dir_;
  Key authority_{EVP_EC_gen("P-256")};
  Key key_{EVP_EC_gen("P-256")};
};

TEST_F(Certificates, AreMissed) {
  EXPECT_EQ(Of("certificates").verdict, Verdict::kBad);
  EXPECT_EQ(CheckCertificates(dir_.path() + "/none", absl::Now())[0].verdict, Verdict::kBad);
}

TEST_F(Certificates, ThatAreValidAreNamedWithTheirEnd) {
  WriteNode(-absl::Hours(1), absl::Hours(24 * 365));
  EXPECT_EQ(Of("certificate node.crt").verdict, Verdict::kGood);
  EXPECT_THAT(Of("certificate node.crt").found, HasSubstr("node-x, valid to 2"));
}

TEST_F(Certificates, ThatAreExpiredOrEndSoonOrBeginLaterAreFound) {
  WriteNode(-absl::Hours(2), -absl::Hours(1));
  EXPECT_THAT(Of("certificate node.crt").found, HasSubstr("expired"));
  WriteNode(-absl::Hours(2), absl::Hours(24));
  EXPECT_EQ(Of("certificate node.crt").verdict, Verdict::kWarning);
  WriteNode(absl::Hours(1), absl::Hours(24));
  EXPECT_THAT(Of("certificate node.crt").found, HasSubstr("not valid yet"));
}

TEST_F(Certificates, OfAnotherClusterAreFound) {
  WriteNode(-absl::Hours(1), absl::Hours(24 * 365));
  const Key stranger(EVP_EC_gen("P-256"));
  Write("node.crt", Pem("node-x", key_.get(), stranger.get(), -absl::Hours(1), absl::Hours(24 * 365)));
  EXPECT_THAT(Of("certificate node.crt").found, HasSubstr("not signed"));
}

TEST_F(Certificates, KeysThatOthersMayReadAreFound) {
  Write("node.key", "secret", 0640);
  EXPECT_THAT(Of("key node.key").found, HasSubstr("0640"));
  EXPECT_THAT(Of("key node.key").remedy, HasSubstr("chmod 600"));
  Write("node.key", "secret", 0600);
  EXPECT_EQ(Of("key node.key").verdict, Verdict::kGood);
  EXPECT_EQ(Of("certificate cluster.crt").verdict, Verdict::kBad);
}

}  // namespace
}  // namespace flocker
