#include "engine/agent/node_identity.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/rpc/certificates.h"

namespace flocker {

absl::Status SettleNodeId(const std::string& root, const std::string& control, const Transport& transport) {
  if (!UsesCertificates(transport, control)) return absl::OkStatus();
  const CertificateFiles files = FilesIn(transport.certificates, Role::kNode);
  const auto identity = LoadIdentity(files, CertificateNow());
  const std::string path = absl::StrCat(root, "/node");
  const auto known = ReadFile(path);
  if (absl::IsNotFound(known.status())) {
    RETURN_IF_ERROR(identity.status());
    return ReplaceFile(path, absl::StrCat(identity->peer.name, "\n"));
  }
  RETURN_IF_ERROR(known.status());
  const std::string id(absl::StripAsciiWhitespace(*known));
  if (!identity.ok() || id == identity->peer.name) return absl::OkStatus();
  return Refuse(Cause::kDenied,
                absl::StrCat(files.certificate, " is of node ", identity->peer.name, ", but ", root, " is of node ", id,
                             ": have a certificate made for it by flockerctl ca node --id ", id));
}

}  // namespace flocker
