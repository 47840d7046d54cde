#include "engine/rpc/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/ctl/authority.h"
#include "engine/rpc/credentials.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Certificates : public ::testing::Test {
 protected:
  Certificates() {
    EXPECT_TRUE(ReplaceFile(files_.cluster, authority_.Pem()->certificate).ok());
    Put(*authority_.Issue({Role::kUser, "ada"}, {}, valid_));
  }
  void Put(const KeyedCertificate& keyed) const {
    EXPECT_TRUE(ReplaceFile(files_.key, keyed.key).ok());
    EXPECT_TRUE(ReplaceFile(files_.certificate, keyed.certificate).ok());
  }
  std::string Verdict(Cause cause) const {
    const auto identity = LoadIdentity(files_, absl::Now());
    if (identity.ok()) return identity->peer.CommonName();
    EXPECT_EQ(CauseOf(identity.status()), cause);
    return std::string(identity.status().message());
  }

  const Validity valid_{absl::Now() - absl::Minutes(1), absl::Now() + absl::Hours(1)};
  const Authority authority_ = *Authority::Make("mycluster", valid_);
  const testing::ScratchDir directory_;
  const CertificateFiles files_ = FilesIn(directory_.path(), Role::kUser, "ada");
};

TEST_F(Certificates, AreLoadedByFlockersNames) {
  EXPECT_EQ(Verdict(Cause::kIo), "user-ada");
  EXPECT_EQ(files_.certificate, directory_ / "ada.crt");
  EXPECT_EQ(FilesIn("/etc/flocker", Role::kControl).key, "/etc/flocker/control-service.key");
  EXPECT_EQ(FilesIn("/etc/flocker", Role::kNode).certificate, "/etc/flocker/node.crt");
  EXPECT_EQ(FilesIn("/etc/flocker", Role::kUser).certificate, "/etc/flocker/user.crt");
}

TEST_F(Certificates, WhatIsWrongWithThemIsSaid) {
  const KeyedCertificate good = *authority_.Issue({Role::kUser, "ada"}, {}, valid_);
  ASSERT_EQ(chmod(files_.key.c_str(), 0640), 0);
  EXPECT_THAT(Verdict(Cause::kInvalid), HasSubstr("chmod 600 " + files_.key));
  Put({good.certificate, authority_.Issue({Role::kUser, "ada"}, {}, valid_)->key});
  EXPECT_THAT(Verdict(Cause::kInvalid), HasSubstr("is not the key of"));
  Put({good.certificate, "no key"});
  EXPECT_THAT(Verdict(Cause::kInvalid), StartsWith(files_.key + " is no private key"));
  Put({"", good.key});
  EXPECT_THAT(Verdict(Cause::kInvalid), StartsWith(files_.certificate + " is no certificate"));
  Put(*authority_.Issue({Role::kNode, "bf5d33ee-1a2b-4c3d-8e4f-5a6b7c8d9e0f"}, {}, valid_));
  EXPECT_THAT(Verdict(Cause::kDenied), StartsWith(files_.certificate + ": rule 'role'"));
  Put(*authority_.Issue({Role::kUser, "ada"}, {}, {valid_.from - absl::Hours(1), valid_.from}));
  EXPECT_THAT(Verdict(Cause::kDenied), StartsWith(files_.certificate + ": rule 'dates'"));
  std::filesystem::remove(files_.certificate);
  EXPECT_THAT(Verdict(Cause::kInvalid), HasSubstr("flockerctl ca"));
}

TEST_F(Certificates, TheClustersIsReadAgainWhenItChanges) {
  ClusterCertificate cluster(files_.cluster);
  const auto first = cluster.Get();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(cluster.Get()->get(), first->get());
  ASSERT_TRUE(ReplaceFile(files_.cluster, Authority::Make("other", valid_)->Pem()->certificate).ok());
  const auto second = cluster.Get();
  ASSERT_TRUE(second.ok());
  EXPECT_NE(X509_cmp(first->get(), second->get()), 0);
  std::filesystem::remove(files_.cluster);
  EXPECT_EQ(CauseOf(cluster.Get().status()), Cause::kInvalid);
}

TEST(Transports, OnlyUnixSocketsAndInsecureOnesUseNoCertificates) {
  EXPECT_FALSE(UsesCertificates({}, "unix:/run/flocker/control.sock"));
  for (const char* address : {"127.0.0.1:4524", "0.0.0.0:4524", "[::1]:4524", "control.example:4524", "*:4524"}) {
    EXPECT_TRUE(UsesCertificates({}, address)) << address;
    EXPECT_FALSE(UsesCertificates({.insecure = true}, address)) << address;
  }
}

}  // namespace
}  // namespace flocker
