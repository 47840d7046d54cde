// A flocker-control that listens on loopback with certificates, and clients of every kind.
//
//   <dir>/control/     its certificate files; flocker-control has --certificates of it
//   <dir>/control.log
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/ctl/authority.h"
#include "engine/rpc/certificates.h"
#include "engine/rpc/flocker.grpc.pb.h"
#include "tests/harness/daemon.h"
#include "tests/harness/scratch.h"
#include "tests/harness/tgtd.h"

namespace flocker::testing {

Validity ValidNow();
// flocker-control and flockerctl, run to their end.
CommandResult RunToEnd(std::vector<std::string> argv);
std::string Binary(const std::string& name);

// What a certificate's holder connects with, without any check of its own (ClientCredentials has them). An empty
// certificate: with none.
std::shared_ptr<grpc::Channel> RawChannel(const std::string& address, const std::string& cluster,
                                          const KeyedCertificate& keyed);

// The answers of the services to a peer, in their simplest call.
grpc::Status View(const std::shared_ptr<grpc::Channel>& channel);
grpc::Status Backup(const std::shared_ptr<grpc::Channel>& channel, const std::string& directory);
struct AgentAnswer {
  grpc::Status status;
  std::string welcomed;  // the node that control knows it as
  std::string refused;   // or control's reason
};
AgentAnswer ConnectAgent(const std::shared_ptr<grpc::Channel>& channel, const std::string& node_id,
                         const std::string& name);

class TlsWorld {
 public:
  explicit TlsWorld(const std::vector<std::string>& control_flags = {});

  const Authority& authority() const { return authority_; }
  std::string address() const { return address_; }
  int port() const { return port_; }
  std::string socket() const { return scratch_ / "control.sock"; }
  std::string dir() const { return scratch_.path(); }
  CertificateFiles control_files() const { return FilesIn(scratch_ / "control", Role::kControl); }

  KeyedCertificate Issue(const Peer& peer) const { return *authority_.Issue(peer, {"127.0.0.1"}, ValidNow()); }
  // As a machine of the peer's would have it: a directory with cluster.crt, the certificate and its key.
  std::string Directory(const Peer& peer) const;
  // With a certificate of the peer's out of `authority`.
  std::shared_ptr<grpc::Channel> Channel(const KeyedCertificate& keyed) const;

  // What control has said since the last call.
  std::string NewLog();
  // Whether it says that within some seconds.
  bool Says(const std::string& text);

 private:
  const ScratchDir scratch_;
  Tgtd array_;
  const Authority authority_;
  const int port_;
  const std::string address_;
  std::unique_ptr<Daemon> control_;
  size_t read_ = 0;
};

void PutFiles(const CertificateFiles& files, const std::string& cluster, const KeyedCertificate& keyed);

}  // namespace flocker::testing
