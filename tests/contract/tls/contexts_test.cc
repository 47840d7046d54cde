// TlsContexts, for servers without gRPC: Boost.Asio serves, OpenSSL asks.
#include "engine/rpc/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "tests/contract/tls/handshake.h"
#include "tests/contract/tls/world.h"

namespace flocker::testing {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ::testing::HasSubstr;

class Contexts : public ::testing::Test {
 protected:
  Contexts() {
    PutFiles(files_, authority_.Pem()->certificate, Issue({Role::kControl, ""}));
    auto opened = TlsContexts::Open(files_, {Role::kUser}, "REST");
    EXPECT_TRUE(opened.ok()) << opened.status();
    contexts_ = *std::move(opened);
  }

  KeyedCertificate Issue(const Peer& peer) const { return *authority_.Issue(peer, {"127.0.0.1"}, ValidNow()); }

  // One connection, served as REST does. Whom the server took the client for goes into peer_.
  absl::StatusOr<ServerHello> Connect(const ClientHello& client) {
    peer_ = "nobody";
    asio::io_context io;
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    std::thread server([&] {
      asio::ssl::context context(contexts_->Get().release());
      asio::ssl::stream<tcp::socket> stream(acceptor.accept(), context);
      boost::system::error_code error;
      stream.handshake(asio::ssl::stream_base::server, error);
      if (error) return;
      const auto peer = TlsContexts::PeerOf(stream.native_handle());
      peer_ = peer.ok() ? peer->CommonName() : std::string(peer.status().message());
      asio::write(stream, asio::buffer("hello", 5), error);
      stream.shutdown(error);
    });
    auto hello = Shake(acceptor.local_endpoint().port(), client);
    server.join();
    return hello;
  }

  const ScratchDir directory_;
  const Authority authority_ = *Authority::Make("mycluster", ValidNow());
  const CertificateFiles files_ = FilesIn(directory_.path(), Role::kControl);
  std::shared_ptr<TlsContexts> contexts_;
  std::string peer_;
};

TEST_F(Contexts, AUserIsLetInAndKnown) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto hello = Connect({.keyed = Issue({Role::kUser, "ada"}), .max_version = version});
    EXPECT_TRUE(hello.ok()) << hello.status();
    EXPECT_EQ(peer_, "user-ada");
  }
}

TEST_F(Contexts, NobodyElseIs) {
  const auto refused = [&](const ClientHello& client) {
    const auto hello = Connect(client);
    EXPECT_FALSE(hello.ok());
    EXPECT_EQ(peer_, "nobody");
  };
  refused({});
  refused({.keyed = Issue({Role::kNode, "a1fa0000-1a2b-4c3d-8e4f-5a6b7c8d9e0f"})});
  refused({.keyed = Issue({Role::kControl, ""})});
  refused({.keyed = *Authority::Make("mycluster", ValidNow())->Issue({Role::kUser, "ada"}, {}, ValidNow())});
  refused({.keyed = *authority_.Issue({Role::kUser, "ada"}, {},
                                      {absl::Now() - absl::Hours(2), absl::Now() - absl::Hours(1)})});
  refused({.keyed = Issue({Role::kUser, "ada"}), .max_version = TLS1_1_VERSION});
}

TEST_F(Contexts, FilesAreReadAgainAndBadOnesLeftAlone) {
  const ClientHello ada{.keyed = Issue({Role::kUser, "ada"})};
  const KeyedCertificate renewed = Issue({Role::kControl, ""});
  PutFiles(files_, authority_.Pem()->certificate, renewed);
  const auto after = Connect(ada);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->serial, SerialOf(renewed.certificate));
  ASSERT_TRUE(ReplaceFile(files_.key, "no key").ok());
  const auto still = Connect(ada);
  ASSERT_TRUE(still.ok()) << still.status();
  EXPECT_EQ(still->serial, SerialOf(renewed.certificate));
}

TEST_F(Contexts, AreNotMadeOfFilesThatPeersWouldRefuse) {
  PutFiles(files_, authority_.Pem()->certificate, Issue({Role::kUser, "ada"}));
  EXPECT_THAT(std::string(TlsContexts::Open(files_, {Role::kUser}, "REST").status().message()),
              HasSubstr("control-service.crt: rule 'role'"));
}

}  // namespace
}  // namespace flocker::testing
