#include "engine/agent/node_identity.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/rpc/certificates.h"

namespace flocker {

absl::Status TakeIdFromCertificate(const std::string& root, const std::string& certificates) {
  const CertificateFiles files = FilesIn(certificates, Role::kNode);
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(files, CertificateNow()));
  const std::string path = absl::StrCat(root, "/node");
  const auto known = ReadFile(path);
  if (absl::IsNotFound(known.status())) return ReplaceFile(path, absl::StrCat(identity.peer.name, "\n"));
  RETURN_IF_ERROR(known.status());
  const std::string id(absl::StripAsciiWhitespace(*known));
  if (id == identity.peer.name) return absl::OkStatus();
  return Refuse(Cause::kDenied,
                absl::StrCat(files.certificate, " is of node ", identity.peer.name, ", but ", root, " is of node ", id,
                             ": have a certificate made for it by flockerctl ca "
                             "node --id ",
                             id));
}

}  // namespace flocker
