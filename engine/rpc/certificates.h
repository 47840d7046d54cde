// The certificate files of this machine, named as Flocker named them in /etc/flocker: cluster.crt, and of each role a
// certificate and its key.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "engine/rpc/openssl.h"
#include "engine/rpc/peer_rules.h"

namespace flocker {

inline constexpr char kCertificateDirectory[] = "/etc/flocker";

struct CertificateFiles {
  std::string cluster;      // cluster.crt: whom all others must be signed by
  std::string certificate;  // control-service.crt, node.crt or <user>.crt
  std::string key;          // the same with .key
  Role role;                // whose these are
};

CertificateFiles FilesIn(const std::string& directory, Role role, const std::string& user = "user");

// The time of day, in which certificates' dates are; nothing else may hang on it (base/clock.h).
absl::Time CertificateNow();

// What the files hold, in PEM, after a look that it is what its owner's peers will accept.
struct Identity {
  std::string cluster;
  std::string certificate;
  std::string key;
  Peer peer;
};

// kInvalid: a file is missing, is not what its name says, the key is not the certificate's or others may read it.
// kDenied: the certificate breaks a rule of CheckPeer's. Each names the file. Reads small files.
absl::StatusOr<Identity> LoadIdentity(const CertificateFiles& files, absl::Time now);

// The cluster's certificate, read again whenever its file has changed. Thread-safe.
class ClusterCertificate {
 public:
  explicit ClusterCertificate(std::string path) : path_(std::move(path)) {}
  absl::StatusOr<std::shared_ptr<X509>> Get();

 private:
  const std::string path_;
  Mutex mutex_;
  std::shared_ptr<X509> certificate_ GUARDED_BY(mutex_);
  std::string version_ GUARDED_BY(mutex_);  // of the file that it was read from
};

// Tells one content of a file from another without reading it: inode, size and time of change. Empty: no such file.
std::string FileVersion(const std::string& path);

}  // namespace flocker
