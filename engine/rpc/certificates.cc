#include "engine/rpc/certificates.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

absl::StatusOr<std::string> Read(const std::string& path) {
  auto text = ReadFile(path);
  if (text.ok()) return text;
  return Refuse(Cause::kInvalid,
                absl::StrCat(std::string(text.status().message()),
                             "; flockerctl ca makes certificates, --insecure goes without them on a network that is "
                             "nobody else's"));
}

}  // namespace

CertificateFiles FilesIn(const std::string& directory, Role role, const std::string& user) {
  const std::string base = absl::StrCat(directory, "/", role == Role::kUser ? user : std::string(RoleName(role)));
  return {.cluster = absl::StrCat(directory, "/cluster.crt"),
          .certificate = absl::StrCat(base, ".crt"),
          .key = absl::StrCat(base, ".key"),
          .role = role};
}

absl::Time CertificateNow() { return absl::Now(); }

absl::StatusOr<Identity> LoadIdentity(const CertificateFiles& files, absl::Time now) {
  Identity identity;
  ASSIGN_OR_RETURN(identity.cluster, Read(files.cluster));
  ASSIGN_OR_RETURN(identity.certificate, Read(files.certificate));
  ASSIGN_OR_RETURN(identity.key, Read(files.key));
  struct stat status {};
  if (stat(files.key.c_str(), &status) == 0 && (status.st_mode & 077) != 0) {
    return Refuse(Cause::kInvalid,
                  absl::StrCat("others than its owner may read ", files.key, ": chmod 600 ", files.key));
  }
  ASSIGN_OR_RETURN(const X509Ptr cluster, CertificateFromPem(identity.cluster, files.cluster));
  ASSIGN_OR_RETURN(const X509Ptr certificate, CertificateFromPem(identity.certificate, files.certificate));
  ASSIGN_OR_RETURN(const KeyPtr key, KeyFromPem(identity.key, files.key));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Refuse(Cause::kInvalid, absl::StrCat(files.key, " is not the key of ", files.certificate));
  }
  auto peer = CheckPeer(certificate.get(), cluster.get(), {files.role}, now);
  if (!peer.ok()) return Annotate(peer.status(), files.certificate);
  identity.peer = *std::move(peer);
  return identity;
}

absl::StatusOr<std::shared_ptr<X509>> ClusterCertificate::Get() {
  const std::string version = FileVersion(path_);
  const MutexLock lock(mutex_);
  if (certificate_ != nullptr && !version.empty() && version == version_) return certificate_;
  ASSIGN_OR_RETURN(const std::string text, Read(path_));
  ASSIGN_OR_RETURN(X509Ptr certificate, CertificateFromPem(text, path_));
  certificate_ = std::move(certificate);
  version_ = version;
  return certificate_;
}

std::string FileVersion(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return "";
  return absl::StrCat(status.st_dev, ".", status.st_ino, ".", status.st_size, ".", status.st_ctim.tv_sec, ".",
                      status.st_ctim.tv_nsec);
}

}  // namespace flocker
