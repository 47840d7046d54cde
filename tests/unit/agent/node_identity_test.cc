#include "engine/agent/node_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/ctl/authority.h"
#include "engine/rpc/certificates.h"
#include "tests/harness/scratch.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;

constexpr char kControl[] = "array.example:4524";
constexpr char kAlpha[] = "a1fa0000-1a2b-4c3d-8e4f-5a6b7c8d9e0f";
constexpr char kBeta[] = "be7a0000-1a2b-4c3d-8e4f-5a6b7c8d9e0f";

class NodeIdentity : public ::testing::Test {
 protected:
  void PutCertificateOf(const std::string& id) const {
    const KeyedCertificate made = *authority_.Issue({Role::kNode, id}, {}, valid_);
    const CertificateFiles files = FilesIn(directory_.path(), Role::kNode);
    EXPECT_TRUE(ReplaceFile(files.cluster, authority_.Pem()->certificate, 0600).ok());
    EXPECT_TRUE(ReplaceFile(files.key, made.key, 0600).ok());
    EXPECT_TRUE(ReplaceFile(files.certificate, made.certificate, 0600).ok());
  }
  absl::Status Settle(const std::string& control = kControl, bool insecure = false) const {
    return SettleNodeId(root_.path(), control, {.certificates = directory_.path(), .insecure = insecure});
  }
  std::string Id() const { return ReadFile(root_ / "node").value_or(""); }

  const Validity valid_{absl::Now() - absl::Minutes(1), absl::Now() + absl::Hours(1)};
  const Authority authority_ = *Authority::Make("mycluster", valid_);
  const testing::ScratchDir directory_;
  const testing::ScratchDir root_;
};

TEST_F(NodeIdentity, IsTheCertificatesFromTheFirstStartOn) {
  EXPECT_EQ(CauseOf(Settle()), Cause::kInvalid) << "there is no certificate";
  EXPECT_EQ(Id(), "");
  PutCertificateOf(kAlpha);
  EXPECT_TRUE(Settle().ok());
  EXPECT_EQ(Id(), std::string(kAlpha) + "\n");
  EXPECT_TRUE(Settle().ok());
}

TEST_F(NodeIdentity, OfAKnownNodeStaysAndAnothersCertificateIsRefused) {
  PutCertificateOf(kAlpha);
  ASSERT_TRUE(Settle().ok());
  PutCertificateOf(kBeta);
  EXPECT_EQ(CauseOf(Settle()), Cause::kDenied);
  EXPECT_THAT(std::string(Settle().message()), HasSubstr(std::string("flockerctl ca node --id ") + kAlpha));
  std::filesystem::remove(directory_ / "node.crt");
  EXPECT_TRUE(Settle().ok()) << "what it holds must be looked after";
  EXPECT_EQ(Id(), std::string(kAlpha) + "\n");
}

TEST_F(NodeIdentity, IsDrawnByTheJournalWhereNoCertificateIsUsed) {
  EXPECT_TRUE(Settle("unix:/run/flocker/control.sock").ok());
  EXPECT_TRUE(Settle(kControl, /*insecure=*/true).ok());
  EXPECT_EQ(Id(), "");
}

}  // namespace
}  // namespace flocker
