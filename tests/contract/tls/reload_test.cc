// Certificates are replaced under a running control, and old protocols are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/rpc/channel.h"
#include "tests/contract/tls/handshake.h"
#include "tests/contract/tls/world.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

class Reload : public ::testing::Test {
 protected:
  std::string Served() const {
    const auto hello = Shake(world_.port(), {.keyed = ada_});
    return hello.ok() ? hello->serial : std::string(hello.status().message());
  }
  ::testing::AssertionResult Serves(const KeyedCertificate& keyed) const {
    return Eventually(absl::Seconds(10), [&] { return Served() == SerialOf(keyed.certificate); });
  }

  TlsWorld world_;
  const std::string cluster_ = world_.authority().Pem()->certificate;
  const KeyedCertificate ada_ = world_.Issue({Role::kUser, "ada"});
};

TEST_F(Reload, ControlServesItsNewCertificateAndOldConnectionsLast) {
  const auto channel = world_.Channel(ada_);
  ASSERT_TRUE(View(channel).ok());
  const KeyedCertificate renewed = world_.Issue({Role::kControl, ""});
  ASSERT_NE(Served(), SerialOf(renewed.certificate));
  PutFiles(world_.control_files(), cluster_, renewed);
  EXPECT_TRUE(Serves(renewed));
  EXPECT_TRUE(View(channel).ok());
  EXPECT_TRUE(View(world_.Channel(ada_)).ok());
}

// As while an administrator copies file by file.
TEST_F(Reload, FilesThatDoNotFitAreOnlyAwaited) {
  const KeyedCertificate renewed = world_.Issue({Role::kControl, ""});
  ASSERT_TRUE(ReplaceFile(world_.control_files().key, renewed.key).ok());
  EXPECT_TRUE(world_.Says("gRPC: ")) << "that they do not fit";
  EXPECT_FALSE(View(OpenChannel(world_.address())).ok()) << "without TLS";
  EXPECT_FALSE(View(world_.Channel(ada_)).ok());
  ASSERT_TRUE(ReplaceFile(world_.control_files().certificate, renewed.certificate).ok());
  EXPECT_TRUE(Serves(renewed));
  std::filesystem::remove(world_.control_files().key);
  EXPECT_TRUE(world_.Says(world_.control_files().key));
  ASSERT_TRUE(ReplaceFile(world_.control_files().key, renewed.key).ok());
  EXPECT_TRUE(Serves(renewed));
}

TEST_F(Reload, ANewAuthorityEndsTheOldOnesCertificates) {
  const auto channel = world_.Channel(ada_);
  ASSERT_TRUE(View(channel).ok());
  const Authority successor = *Authority::Make("mycluster", ValidNow());
  const KeyedCertificate control = *successor.Issue({Role::kControl, ""}, {"127.0.0.1"}, ValidNow());
  PutFiles(world_.control_files(), successor.Pem()->certificate, control);
  const KeyedCertificate eve = *successor.Issue({Role::kUser, "eve"}, {}, ValidNow());
  grpc::Status viewed;
  // A channel each time: gRPC goes on failing on one whose first handshake failed.
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    viewed = View(RawChannel(world_.address(), successor.Pem()->certificate, eve));
    return viewed.ok();
  })) << viewed.error_message();
  EXPECT_EQ(View(channel).error_code(), grpc::StatusCode::PERMISSION_DENIED) << "on the connection that it had";
  EXPECT_FALSE(View(RawChannel(world_.address(), successor.Pem()->certificate, ada_)).ok());
}

TEST_F(Reload, NothingOlderThanTls12) {
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    const auto old = Shake(world_.port(), {.keyed = ada_, .max_version = version});
    ASSERT_FALSE(old.ok()) << old->protocol;
  }
  EXPECT_TRUE(world_.Says("unsupported protocol"));
  const auto tls12 = Shake(world_.port(), {.keyed = ada_, .max_version = TLS1_2_VERSION});
  ASSERT_TRUE(tls12.ok()) << tls12.status();
  EXPECT_EQ(tls12->protocol, "TLSv1.2");
  const auto tls13 = Shake(world_.port(), {.keyed = ada_});
  ASSERT_TRUE(tls13.ok()) << tls13.status();
  EXPECT_EQ(tls13->protocol, "TLSv1.3");
}

}  // namespace
}  // namespace flocker::testing
