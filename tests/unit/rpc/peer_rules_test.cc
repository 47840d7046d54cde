#include "engine/rpc/peer_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include <functional>

#include "engine/base/status.h"
#include "engine/ctl/authority.h"
#include "engine/rpc/openssl.h"

namespace flocker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kNodeId[] = "bf5d33ee-1a2b-4c3d-8e4f-5a6b7c8d9e0f";
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
const Validity kValid{kNow - absl::Hours(1), kNow + absl::Hours(1)};
const std::set<Role> kClients = {Role::kNode, Role::kUser};

class PeerRules : public ::testing::Test {
 protected:
  static Authority Make(const Validity& validity = kValid) { return *Authority::Make("mycluster", validity); }
  static X509Ptr Certificate(const KeyedCertificate& keyed) { return *CertificateFromPem(keyed.certificate, "it"); }
  X509Ptr Issue(const Peer& peer, const Validity& validity = kValid) const {
    return Certificate(*authority_.Issue(peer, {"10.0.0.1", "array.example"}, validity));
  }
  // What the authority's key would sign if it were asked by somebody else than us.
  X509Ptr Altered(const Peer& peer, const std::function<void(X509*)>& alter,
                  const EVP_MD* digest = EVP_sha256()) const {
    X509Ptr certificate = Issue(peer);
    alter(certificate.get());
    const KeyPtr key = *KeyFromPem(authority_.Pem()->key, "key");
    EXPECT_NE(X509_sign(certificate.get(), key.get(), digest), 0);
    return certificate;
  }
  static void AddName(X509* certificate, int nid, const char* text) {
    X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), nid, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
  }
  static void DropName(X509* certificate, int nid) {
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, X509_NAME_get_index_by_NID(name, nid, -1)));
  }
  static void DropExtension(X509* certificate, int nid) {
    X509_EXTENSION_free(X509_delete_ext(certificate, X509_get_ext_by_NID(certificate, nid, -1)));
  }
  std::string Verdict(const X509Ptr& certificate, const std::set<Role>& accepted = kClients) const {
    const auto peer = CheckPeer(certificate.get(), cluster_.get(), accepted, kNow);
    if (peer.ok()) return peer->CommonName();
    EXPECT_EQ(CauseOf(peer.status()), Cause::kDenied);
    return std::string(peer.status().message());
  }

  const Authority authority_ = Make();
  const X509Ptr cluster_ = Certificate(*authority_.Pem());
};

TEST_F(PeerRules, EachRoleIsKnownByItsName) {
  EXPECT_EQ(Verdict(Issue({Role::kNode, kNodeId})), std::string("node-") + kNodeId);
  EXPECT_EQ(Verdict(Issue({Role::kUser, "ada"})), "user-ada");
  EXPECT_EQ(Verdict(Issue({Role::kControl, ""}), {Role::kControl}), "control-service");
  EXPECT_EQ(PeerFromCommonName("node-BF5D33EE-1A2B-4C3D-8E4F-5A6B7C8D9E0F"), (Peer{Role::kNode, kNodeId}));
  for (const char* name : {"", "node-", "node-x", "user-", "user", "control-service2", "mycluster"}) {
    EXPECT_FALSE(PeerFromCommonName(name)) << name;
  }
}

TEST_F(PeerRules, ItsExtensionsAreFlockers) {
  const X509Ptr control = Issue({Role::kControl, ""});
  EXPECT_EQ(X509_check_host(control.get(), "control-service", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(control.get(), "array.example", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(control.get(), "10.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_host(control.get(), "other.example", 0, 0, nullptr), 0);
  for (const char* host : {"a,DNS:b", "", "a b", "@section"}) {
    EXPECT_EQ(CauseOf(authority_.Issue({Role::kControl, ""}, {host}, kValid).status()), Cause::kInvalid) << host;
  }
  EXPECT_FALSE(Authority::Make("user-ada", kValid).ok()) << "the authority's own certificate must be nobody's";
}

TEST_F(PeerRules, Dates) {
  const absl::Duration hour = absl::Hours(1);
  EXPECT_THAT(Verdict(Issue({Role::kUser, "ada"}, {kNow - 2 * hour, kNow - hour})),
              StartsWith("rule 'dates': it expired at 2027-01-15T07:00:00Z"));
  EXPECT_THAT(Verdict(Issue({Role::kUser, "ada"}, {kNow + hour, kNow + 2 * hour})),
              StartsWith("rule 'dates': it is not valid before"));
  const Authority old = Make({kNow - 2 * hour, kNow - hour});
  const X509Ptr certificate = Certificate(*old.Issue({Role::kUser, "ada"}, {}, kValid));
  const auto peer = CheckPeer(certificate.get(), Certificate(*old.Pem()).get(), kClients, kNow);
  EXPECT_THAT(std::string(peer.status().message()), StartsWith("rule 'dates': the cluster's own certificate expired"));
}

TEST_F(PeerRules, Signer) {
  // Another authority of the same name.
  EXPECT_THAT(Verdict(Certificate(*Make().Issue({Role::kUser, "ada"}, {}, kValid))), StartsWith("rule 'signer'"));
  // Signed by itself.
  X509Ptr own = Issue({Role::kUser, "ada"});
  const KeyPtr key(EVP_EC_gen("P-256"));
  X509_set_pubkey(own.get(), key.get());
  X509_set_issuer_name(own.get(), X509_get_subject_name(own.get()));
  X509_sign(own.get(), key.get(), EVP_sha256());
  EXPECT_THAT(Verdict(own), StartsWith("rule 'signer'"));
  // Signed by a user of the cluster.
  const KeyedCertificate ada = *authority_.Issue({Role::kUser, "ada"}, {}, kValid);
  X509Ptr friends = Issue({Role::kUser, "bob"});
  X509_set_issuer_name(friends.get(), X509_get_subject_name(Certificate(ada).get()));
  X509_sign(friends.get(), KeyFromPem(ada.key, "key")->get(), EVP_sha256());
  EXPECT_THAT(Verdict(friends), StartsWith("rule 'signer'"));
  // Too weak to prove anything.
  EXPECT_THAT(Verdict(Altered(
                  {Role::kUser, "ada"}, [](X509*) {}, EVP_sha1())),
              StartsWith("rule 'signer'"));
  EXPECT_THAT(Verdict(Altered({Role::kUser, "ada"},
                              [](X509* c) {
                                const KeyPtr weak(EVP_RSA_gen(1024));
                                X509_set_pubkey(c, weak.get());
                              })),
              StartsWith("rule 'signer'"));
}

TEST_F(PeerRules, ClusterAndName) {
  const Peer ada{Role::kUser, "ada"};
  EXPECT_THAT(Verdict(Altered(ada, [](X509* c) { AddName(c, NID_organizationalUnitName, "x"); })),
              StartsWith("rule 'cluster'"));
  EXPECT_THAT(Verdict(Altered(ada, [](X509* c) { DropName(c, NID_organizationalUnitName); })),
              StartsWith("rule 'cluster'"));
  EXPECT_THAT(Verdict(Altered(ada, [](X509* c) { AddName(c, NID_commonName, "user-root"); })),
              StartsWith("rule 'name': its common name 'user-ada', 'user-root'"));
  EXPECT_THAT(Verdict(Altered(ada, [](X509* c) { DropName(c, NID_commonName); })), StartsWith("rule 'name'"));
  // With a zero byte a name could look like another.
  EXPECT_THAT(Verdict(Altered(ada,
                              [](X509* c) {
                                DropName(c, NID_commonName);
                                const std::string name("control-service\0.example", 24);
                                X509_NAME_add_entry_by_NID(X509_get_subject_name(c), NID_commonName, MBSTRING_UTF8,
                                                           reinterpret_cast<const unsigned char*>(name.data()),
                                                           static_cast<int>(name.size()), -1, 0);
                              }),
                      {Role::kControl}),
              StartsWith("rule 'name'"));
  EXPECT_THAT(Verdict(Certificate(*authority_.Pem())), StartsWith("rule 'name'"));
}

TEST_F(PeerRules, RoleAndUse) {
  EXPECT_THAT(Verdict(Issue({Role::kControl, ""})), StartsWith("rule 'role': it is a control-service certificate"));
  EXPECT_THAT(Verdict(Issue({Role::kNode, kNodeId}), {Role::kControl}), StartsWith("rule 'role'"));
  EXPECT_THAT(Verdict(Issue({Role::kNode, kNodeId}), {Role::kUser}), StartsWith("rule 'role'"));
  const auto rename = [](const char* name) {
    return [name](X509* c) {
      DropName(c, NID_commonName);
      AddName(c, NID_commonName, name);
    };
  };
  EXPECT_THAT(Verdict(Altered({Role::kUser, "ada"}, rename("control-service")), {Role::kControl}),
              StartsWith("rule 'use'"));
  EXPECT_THAT(Verdict(Altered({Role::kControl, ""}, rename("user-ada"))), StartsWith("rule 'use'"));
  // Flocker's own nodes and control have no extensions that tell.
  EXPECT_EQ(Verdict(Altered({Role::kNode, kNodeId},
                            [](X509* c) {
                              for (const int nid : {NID_ext_key_usage, NID_key_usage, NID_basic_constraints}) {
                                DropExtension(c, nid);
                              }
                            })),
            std::string("node-") + kNodeId);
}

TEST(CallRules, ANodeCallsAgentAUserClusterAndNobodyElseAnything) {
  const Peer node{Role::kNode, kNodeId};
  const Peer user{Role::kUser, "ada"};
  const auto may = [](const Peer& peer, const char* path) { return CheckCall(peer, path).ok(); };
  EXPECT_TRUE(may(node, "/flocker.rpc.Agent/Connect"));
  EXPECT_TRUE(may(user, "/flocker.rpc.Cluster/View"));
  for (const char* path : {"/flocker.rpc.State/Backup", "/flocker.rpc.Tree/Connect", "", "/", "/flocker.rpc.Clusters/X",
                           "flocker.rpc.Agent/Connect", "/flocker.rpc.Agent"}) {
    EXPECT_FALSE(may(node, path)) << path;
    EXPECT_FALSE(may(user, path)) << path;
    EXPECT_FALSE(may({Role::kControl, ""}, path)) << path;
  }
  EXPECT_FALSE(may(node, "/flocker.rpc.Cluster/View"));
  EXPECT_FALSE(may(user, "/flocker.rpc.Agent/Connect"));
  EXPECT_FALSE(may({Role::kControl, ""}, "/flocker.rpc.Cluster/View"));
  EXPECT_THAT(std::string(CheckCall(user, "/flocker.rpc.Agent/Connect").message()),
              HasSubstr("rule 'service': user-ada may not call /flocker.rpc.Agent/Connect"));
}

}  // namespace
}  // namespace flocker
