// Who gets in, to what, and what is said about who does not.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/rpc/channel.h"
#include "tests/contract/tls/world.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kAlpha[] = "a1fa0000-1a2b-4c3d-8e4f-5a6b7c8d9e0f";
constexpr char kBeta[] = "be7a0000-1a2b-4c3d-8e4f-5a6b7c8d9e0f";

class Roles : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { world_ = std::make_unique<TlsWorld>(); }
  static void TearDownTestSuite() { world_.reset(); }
  void SetUp() override { world_->NewLog(); }

  static std::shared_ptr<grpc::Channel> As(const Peer& peer) { return world_->Channel(world_->Issue(peer)); }
  static void ExpectRefused(const grpc::Status& status, const std::string& rule) {
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(world_->Says(rule));
  }

  static inline std::unique_ptr<TlsWorld> world_;
};

TEST_F(Roles, AUserAsksTheClusterAndANodeIsAnAgent) {
  const std::string ada = world_->Directory({Role::kUser, "ada"});
  const auto credentials = ClientCredentials({.certificates = ada}, world_->address(), Role::kUser);
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  const grpc::Status viewed = View(OpenChannel(world_->address(), *credentials));
  EXPECT_TRUE(viewed.ok()) << viewed.error_message();

  const std::string alpha = world_->Directory({Role::kNode, kAlpha});
  const auto node = ClientCredentials({.certificates = alpha}, world_->address(), Role::kNode);
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(ConnectAgent(OpenChannel(world_->address(), *node), kAlpha, "alpha").welcomed, kAlpha);
}

TEST_F(Roles, FlockerctlTakesUsersCertificates) {
  const std::string ada = world_->Directory({Role::kUser, "ada"});
  const auto listed = RunToEnd({"flockerctl", "--control", world_->address(), "--certificates", ada, "list-nodes"});
  EXPECT_EQ(listed.exit_code, 0) << listed.output;
  const auto without = RunToEnd({"flockerctl", "--control", world_->address(), "--insecure", "list-nodes"});
  EXPECT_NE(without.exit_code, 0) << without.output;
  const auto nowhere = RunToEnd({"flockerctl", "--control", world_->address(), "--certificates", "/nowhere", "ls"});
  EXPECT_THAT(nowhere.output, HasSubstr("invalid: cannot open /nowhere/cluster.crt"));
  const auto backup = RunToEnd(
      {"flockerctl", "--control", world_->address(), "--certificates", ada, "backup", world_->dir() + "/backup"});
  EXPECT_THAT(backup.output, HasSubstr("denied"));
  EXPECT_THAT(backup.output, HasSubstr("only root may, over the unix socket"));
}

TEST_F(Roles, StrangersGetNoAnswer) {
  ExpectRefused(View(world_->Channel({})), "peer did not return a certificate");
  ExpectRefused(View(OpenChannel(world_->address())), "");  // without TLS at all
  const Authority foreign = *Authority::Make("mycluster", ValidNow());
  ExpectRefused(View(world_->Channel(*foreign.Issue({Role::kUser, "ada"}, {}, ValidNow()))), "CN = user-ada, OU = ");
  ExpectRefused(View(world_->Channel(*foreign.Issue({Role::kUser, "ada"}, {}, ValidNow()))), "rule 'signer'");
  ExpectRefused(
      ConnectAgent(world_->Channel(*foreign.Issue({Role::kNode, kAlpha}, {}, ValidNow())), kAlpha, "a").status,
      "rule 'signer'");
}

TEST_F(Roles, DatesCount) {
  const absl::Time now = absl::Now();
  const auto with = [&](absl::Duration from, absl::Duration to) {
    return View(world_->Channel(*world_->authority().Issue({Role::kUser, "ada"}, {}, {now + from, now + to})));
  };
  ExpectRefused(with(absl::Hours(-2), absl::Hours(-1)), "rule 'dates': it expired at ");
  ExpectRefused(with(absl::Hours(1), absl::Hours(2)), "rule 'dates': it is not valid before ");
}

TEST_F(Roles, ACertificateThatRunsOutEndsItsConnectionsCalls) {
  const absl::Time end = absl::Now() + absl::Seconds(4);
  const auto channel =
      world_->Channel(*world_->authority().Issue({Role::kUser, "ada"}, {}, {end - absl::Hours(1), end}));
  ASSERT_TRUE(View(channel).ok()) << "within four seconds of its making";
  absl::Time refused = absl::InfiniteFuture();
  grpc::Status last;
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] {
    last = View(channel);
    refused = absl::Now();
    return !last.ok();
  }));
  EXPECT_EQ(last.error_code(), grpc::StatusCode::PERMISSION_DENIED) << last.error_message();
  EXPECT_THAT(last.error_message(), HasSubstr("rule 'dates'"));
  EXPECT_GT(refused, end - absl::Seconds(1));
}

TEST_F(Roles, ACertificateThatRunsOutEndsItsAgentsStream) {
  const absl::Time end = absl::Now() + absl::Seconds(4);
  const auto stub = rpc::Agent::NewStub(
      world_->Channel(*world_->authority().Issue({Role::kNode, kBeta}, {}, {end - absl::Hours(1), end})));
  grpc::ClientContext context;
  const auto stream = stub->Connect(&context);
  rpc::AgentUp up;
  up.mutable_hello()->mutable_node()->set_id(kBeta);
  up.mutable_hello()->mutable_node()->set_name("beta");
  ASSERT_TRUE(stream->Write(up));
  std::string refused;
  absl::Time ended = absl::InfiniteFuture();
  std::thread reader([&] {
    rpc::AgentDown down;
    while (stream->Read(&down)) {
      if (down.has_refused()) refused = down.refused().message();
    }
    ended = absl::Now();
  });
  rpc::AgentUp heartbeat;
  heartbeat.mutable_heartbeat();
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return !stream->Write(heartbeat); }));
  reader.join();
  EXPECT_THAT(refused, HasSubstr("rule 'dates': its certificate expired at "));
  EXPECT_GE(ended, absl::FromUnixSeconds(absl::ToUnixSeconds(end)));
  EXPECT_TRUE(world_->Says("refused an agent (node-be7a0000"));
}

TEST_F(Roles, ACertificateThatRunsOutIsToldNoMoreEvents) {
  // A node that comes is an event.
  EXPECT_EQ(ConnectAgent(As({Role::kNode, kAlpha}), kAlpha, "alpha").welcomed, kAlpha);
  const absl::Time end = absl::Now() + absl::Seconds(4);
  const auto stub = rpc::Cluster::NewStub(
      world_->Channel(*world_->authority().Issue({Role::kUser, "ada"}, {}, {end - absl::Hours(1), end})));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  rpc::EventsRequest request;
  request.set_follow(true);
  const auto stream = stub->Events(&context, request);
  rpc::EventView event;
  ASSERT_TRUE(stream->Read(&event)) << "within four seconds of its making";
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return absl::Now() > end + absl::Seconds(1); }));
  EXPECT_EQ(ConnectAgent(As({Role::kNode, kAlpha}), kAlpha, "alpha").welcomed, kAlpha);
  while (stream->Read(&event)) {
  }
  EXPECT_THAT(stream->Finish().error_message(), HasSubstr("rule 'dates'"));
}

TEST_F(Roles, NobodyUsesAServiceThatIsNotTheirs) {
  const auto denied = [](const grpc::Status& status, const std::string& rule) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(rule));
    EXPECT_TRUE(world_->Says(rule));
  };
  denied(ConnectAgent(As({Role::kUser, "ada"}), kAlpha, "alpha").status,
         "rule 'service': user-ada may not call /flocker.rpc.Agent/Connect");
  denied(View(As({Role::kNode, kAlpha})), "rule 'service'");
  const std::string directory = world_->dir() + "/backup";
  denied(Backup(As({Role::kNode, kAlpha}), directory), "rule 'service'");
  denied(Backup(As({Role::kUser, "ada"}), directory), "rule 'service'");
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST_F(Roles, ANodeIsNobodyButItself) {
  const auto channel = As({Role::kNode, kAlpha});
  const AgentAnswer answer = ConnectAgent(channel, kBeta, "beta");
  EXPECT_EQ(answer.welcomed, "");
  EXPECT_THAT(answer.refused, HasSubstr("rule 'node': with the certificate node-a1fa0000"));
  EXPECT_TRUE(world_->Says(absl::StrCat("nobody may be node ", kBeta, " (beta)")));
  // The connection itself is good, once control has seen the end of what another test had.
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return ConnectAgent(channel, kAlpha, "alpha").welcomed == kAlpha; }));
}

TEST_F(Roles, ControlsOwnCertificateIsNoClients) {
  ExpectRefused(View(As({Role::kControl, ""})), "rule 'role': it is a control-service certificate");
  ExpectRefused(View(world_->Channel(*world_->authority().Pem())), "rule 'name'");
}

// A server with any other certificate than control's gets no call.
TEST_F(Roles, NobodyIsControlButControl) {
  const Authority foreign = *Authority::Make("mycluster", ValidNow());
  const std::string cluster = world_->authority().Pem()->certificate;
  const struct {
    KeyedCertificate keyed;
    const char* rule;
  } impostors[] = {{world_->Issue({Role::kNode, kAlpha}), "rule 'role': it is a node certificate"},
                   {world_->Issue({Role::kUser, "ada"}), "rule 'role': it is a user certificate"},
                   {*foreign.Issue({Role::kControl, ""}, {"127.0.0.1"}, ValidNow()), "rule 'signer'"},
                   {*world_->authority().Issue({Role::kControl, ""}, {"127.0.0.1"},
                                               {absl::Now() - absl::Hours(2), absl::Now() - absl::Hours(1)}),
                    "rule 'dates'"}};
  for (const auto& impostor : impostors) {
    rpc::Cluster::Service service;
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs = {{impostor.keyed.key, impostor.keyed.certificate}};
    const std::string address = absl::StrCat("127.0.0.1:", FreePort());
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::SslServerCredentials(options));
    builder.RegisterService(&service);
    const auto server = builder.BuildAndStart();
    ASSERT_NE(server, nullptr);
    const std::string ada = world_->Directory({Role::kUser, "ada"});
    const auto asked = RunToEnd({"flockerctl", "--control", address, "--certificates", ada, "list-nodes"});
    EXPECT_NE(asked.exit_code, 0);
    EXPECT_THAT(asked.output, HasSubstr(impostor.rule));
  }
}

TEST_F(Roles, NoListenerWithoutCertificatesUnlessItIsToldToBeInsecure) {
  const auto run = [&](std::vector<std::string> flags) {
    std::vector<std::string> argv = {"flocker-control",
                                     "--data",
                                     world_->dir() + "/other",
                                     "--pool",
                                     world_->dir() + "/pool",
                                     "--tgt-control-number",
                                     "0",
                                     "--portal",
                                     "127.0.0.1:1",
                                     "--listen",
                                     absl::StrCat("127.0.0.1:", FreePort())};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return RunToEnd(argv);
  };
  const auto closed = run({"--certificates", "/nowhere"});
  EXPECT_NE(closed.exit_code, 0);
  EXPECT_THAT(closed.output, HasSubstr("cannot open /nowhere/cluster.crt"));
  EXPECT_THAT(closed.output, HasSubstr("flockerctl ca"));
  const std::string yml = world_->dir() + "/control.yml";
  ASSERT_TRUE(ReplaceFile(yml, "version: 1\ncertificates: /nowhere\n").ok());
  EXPECT_THAT(run({"-c", yml}).output, HasSubstr("cannot open /nowhere/cluster.crt"));
  ASSERT_TRUE(ReplaceFile(yml, "version: 1\ncertificates: /nowhere\ninsecure: true\n").ok());
  EXPECT_THAT(run({"-c", yml}).output, HasSubstr("Is tgtd running?"));
}

mode_t ModeOf(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0);
  return status.st_mode & 07777;
}

TEST_F(Roles, TheUnixSocketIsRootsForEverything) {
  EXPECT_EQ(ModeOf(world_->socket()), 0600U);
  const auto channel = OpenChannel("unix:" + world_->socket());
  EXPECT_TRUE(View(channel).ok());
  EXPECT_TRUE(Backup(channel, world_->dir() + "/roots-backup").ok());
}

TEST(SocketGroup, MayDoWhatUsersMay) {
  const ScratchDir dir;
  const std::string socket = dir / "group.sock";
  TlsWorld world({"--group-listen", "unix:" + socket, "--group", "daemon"});
  EXPECT_EQ(ModeOf(world.socket()), 0600U);
  EXPECT_EQ(ModeOf(socket), 0660U);
  struct stat status {};
  ASSERT_EQ(stat(socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, getgrnam("daemon")->gr_gid);
  const auto channel = OpenChannel("unix:" + socket);
  const grpc::Status viewed = View(channel);
  EXPECT_TRUE(viewed.ok()) << viewed.error_message();
  EXPECT_EQ(Backup(channel, world.dir() + "/backup").error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ConnectAgent(channel, kAlpha, "alpha").status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(Backup(OpenChannel("unix:" + world.socket()), world.dir() + "/backup").ok()) << "root's own";
}

}  // namespace
}  // namespace flocker::testing
