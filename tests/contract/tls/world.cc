#include "tests/contract/tls/world.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/rpc/channel.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
}

}  // namespace

Validity ValidNow() { return {absl::Now() - absl::Minutes(10), absl::Now() + absl::Hours(1)}; }

std::string Binary(const std::string& name) { return absl::StrCat(FLOCKER_BIN_DIR, "/", name); }

CommandResult RunToEnd(std::vector<std::string> argv) {
  argv[0] = Binary(argv[0]);
  auto result = RunCommand(argv, absl::Seconds(30));
  return result.ok() ? *std::move(result) : CommandResult{-1, std::string(result.status().message())};
}

std::shared_ptr<grpc::Channel> RawChannel(const std::string& address, const std::string& cluster,
                                          const KeyedCertificate& keyed) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = cluster;
  options.pem_cert_chain = keyed.certificate;
  options.pem_private_key = keyed.key;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("control-service");
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(options), arguments);
}

grpc::Status View(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context);
  rpc::ViewReply reply;
  return rpc::Cluster::NewStub(channel)->View(&context, {}, &reply);
}

grpc::Status Backup(const std::shared_ptr<grpc::Channel>& channel, const std::string& directory) {
  grpc::ClientContext context;
  SetDeadline(context);
  rpc::BackupRequest request;
  request.set_directory(directory);
  rpc::BackupReply reply;
  return rpc::State::NewStub(channel)->Backup(&context, request, &reply);
}

AgentAnswer ConnectAgent(const std::shared_ptr<grpc::Channel>& channel, const std::string& node_id,
                         const std::string& name) {
  AgentAnswer answer;
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stub = rpc::Agent::NewStub(channel);
  const auto stream = stub->Connect(&context);
  rpc::AgentUp up;
  up.mutable_hello()->mutable_node()->set_id(node_id);
  up.mutable_hello()->mutable_node()->set_name(name);
  stream->Write(up);
  rpc::AgentDown down;
  if (stream->Read(&down)) {
    answer.welcomed = down.welcome().node().id();
    answer.refused = down.refused().message();
  }
  stream->WritesDone();
  while (stream->Read(&down)) {
  }
  answer.status = stream->Finish();
  return answer;
}

void PutFiles(const CertificateFiles& files, const std::string& cluster, const KeyedCertificate& keyed) {
  for (const auto& [path, text] : {std::pair(files.cluster, cluster), std::pair(files.key, keyed.key),
                                   std::pair(files.certificate, keyed.certificate)}) {
    const absl::Status written = ReplaceFile(path, text);
    EXPECT_TRUE(written.ok()) << written;
  }
}

TlsWorld::TlsWorld(const std::vector<std::string>& control_flags)
    : authority_(*Authority::Make("mycluster", ValidNow())),
      port_(FreePort()),
      address_(absl::StrCat("127.0.0.1:", port_)) {
  for (const char* part : {"control", "pool", "state"}) std::filesystem::create_directory(scratch_ / part);
  PutFiles(control_files(), authority_.Pem()->certificate, Issue({Role::kControl, ""}));
  std::vector<std::string> argv = {Binary("flocker-control"),
                                   "--data",
                                   scratch_ / "state",
                                   "--pool",
                                   scratch_ / "pool",
                                   "--listen",
                                   address_,
                                   "--listen",
                                   absl::StrCat("unix:", socket()),
                                   "--tgt-control-number",
                                   absl::StrCat(array_.control_number()),
                                   "--portal",
                                   array_.portal(),
                                   "--certificates",
                                   scratch_ / "control"};
  argv.insert(argv.end(), control_flags.begin(), control_flags.end());
  control_ = std::make_unique<Daemon>(argv, scratch_ / "control.log");
  const absl::Status started = control_->Start();
  EXPECT_TRUE(started.ok()) << started;
  EXPECT_TRUE(Says("serves 0 datasets"));
}

std::string TlsWorld::Directory(const Peer& peer) const {
  const std::string directory = scratch_ / peer.CommonName();
  std::filesystem::create_directory(directory);
  PutFiles(FilesIn(directory, peer.role), authority_.Pem()->certificate, Issue(peer));
  return directory;
}

std::shared_ptr<grpc::Channel> TlsWorld::Channel(const KeyedCertificate& keyed) const {
  return RawChannel(address_, authority_.Pem()->certificate, keyed);
}

std::string TlsWorld::NewLog() {
  std::string log = control_->log().substr(read_);
  read_ += log.size();
  return log;
}

bool TlsWorld::Says(const std::string& text) {
  const size_t from = read_;
  const bool said =
      Eventually(absl::Seconds(10), [&] { return absl::StrContains(control_->log().substr(from), text); });
  if (!said) ADD_FAILURE() << "control does not say '" << text << "' but:\n" << NewLog();
  NewLog();
  return said;
}

}  // namespace flocker::testing
