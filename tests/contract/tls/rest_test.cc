// Who gets in to the REST API: users of this cluster, and nobody else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/http/http_server.h"
#include "engine/rpc/tls_context.h"
#include "tests/contract/tls/handshake.h"
#include "tests/contract/tls/world.h"
#include "tests/harness/http_client.h"
#include "tests/harness/tgtd.h"

namespace flocker::testing {
namespace {

using ::testing::StartsWith;

constexpr char kAlpha[] = "a1fa0000-1a2b-4c3d-8e4f-5a6b7c8d9e0f";
constexpr char kRequest[] = "GET /v1/version HTTP/1.1\r\nHost: a\r\n\r\n";

TEST(RestOverTls, UsersAreLetInAndNobodyElse) {
  const int port = FreePort();
  TlsWorld world({"--rest", absl::StrCat("127.0.0.1:", port)});
  const auto ask = [&](const KeyedCertificate& keyed, int version = TLS1_3_VERSION) {
    return Shake(port, {.keyed = keyed, .max_version = version, .request = kRequest});
  };
  const KeyedCertificate ada = world.Issue({Role::kUser, "ada"});
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    const auto answer = ask(ada, version);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_THAT(answer->first, StartsWith("HTTP/1.1 200 OK"));
  }
  const auto last = Shake(port, {.keyed = ada,
                                 .request = "GET /v1/version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                                 .to_the_end = true});
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_TRUE(last->farewell) << "nobody cut it short";
  EXPECT_FALSE(ask(ada, TLS1_1_VERSION).ok());
  EXPECT_FALSE(ask({}).ok()) << "no certificate";
  EXPECT_FALSE(ask(world.Issue({Role::kNode, kAlpha})).ok()) << "a node has no business there";
  EXPECT_TRUE(world.Says("REST refused the certificate"));
  const Authority foreign = *Authority::Make("mycluster", ValidNow());
  EXPECT_FALSE(ask(*foreign.Issue({Role::kUser, "ada"}, {}, ValidNow())).ok());
  EXPECT_TRUE(world.Says("rule 'signer'"));
  EXPECT_EQ(HttpClient(port).Get("/v1/version").status, 0) << "without TLS there is no answer";
  EXPECT_TRUE(ask(ada).ok()) << "and none of that disturbs who may";
}

// The HTTP server alone, with limits of a test's own.
class HttpOverTls : public ::testing::Test {
 protected:
  void Serve(const HttpLimits& limits) {
    const CertificateFiles files = FilesIn(directory_.path(), Role::kControl);
    PutFiles(files, authority_.Pem()->certificate, Issue({Role::kControl, ""}));
    const auto contexts = TlsContexts::Open(files, {Role::kUser}, "REST");
    ASSERT_TRUE(contexts.ok()) << contexts.status();
    auto server = HttpServer::Start(
        "127.0.0.1:0", [](const HttpRequest&, const HttpServer::Answer& answer) { answer(JsonReply(200, "{}")); },
        limits, *contexts);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  KeyedCertificate Issue(const Peer& peer) const { return *authority_.Issue(peer, {"127.0.0.1"}, ValidNow()); }

  const ScratchDir directory_;
  const Authority authority_ = *Authority::Make("mycluster", ValidNow());
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpOverTls, WhoIdlesForTooLongIsToldThatItEnds) {
  Serve({.idle_time = absl::Milliseconds(100)});
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    const auto end =
        Shake(server_->port(),
              {.keyed = Issue({Role::kUser, "ada"}), .max_version = version, .request = kRequest, .to_the_end = true});
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_TRUE(end->farewell) << end->protocol;
  }
}

TEST_F(HttpOverTls, WhoShakesNoHandsIsInNobodysWayAndCutOff) {
  Serve({.request_time = absl::Seconds(5), .connections = 64});
  std::vector<std::unique_ptr<HttpClient>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<HttpClient>(server_->port()));
    ASSERT_TRUE(silent.back()->SendRaw("\x16")) << i;  // as a hello begins (RFC 8446, section 5.1)
  }
  const auto answer = Shake(server_->port(), {.keyed = Issue({Role::kUser, "ada"}), .request = kRequest});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->first, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(silent.front()->ClosedWithin(absl::Seconds(2))) << "to make room";
  EXPECT_FALSE(silent.back()->ClosedWithin(absl::Milliseconds(50)));
  EXPECT_TRUE(silent.back()->ClosedWithin(absl::Seconds(15))) << "too slow";
}

}  // namespace
}  // namespace flocker::testing
