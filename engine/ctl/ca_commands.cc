#include "engine/ctl/ca_commands.h"

#include <sys/types.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/ctl/authority.h"
#include "engine/ctl/json_text.h"
#include "engine/model/ids.h"
#include "engine/model/names.h"
#include "engine/rpc/certificates.h"

namespace flocker {
namespace {

constexpr mode_t kSecret = 0600;                     // certificates too, as flocker-ca made them
constexpr absl::Duration kSkew = absl::Minutes(10);  // a machine whose clock is that much late may use it at once

Validity ValidityFor(unsigned days) {
  const absl::Time now = absl::Now();
  return {now - kSkew, now + absl::Hours(24) * days};
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) || error;
}

std::string OutputOf(const Arguments& arguments) {
  return arguments.output.empty() ? arguments.authority : arguments.output;
}

absl::Status Write(const KeyedCertificate& made, const std::string& certificate, const std::string& key, bool replace) {
  for (const std::string& path : {certificate, key}) {
    if (Exists(path) && !replace) {
      return Refuse(Cause::kExists, absl::StrCat(path, " exists; move it away, or give another --outputpath"));
    }
  }
  RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(key).parent_path().string(), 0700));
  RETURN_IF_ERROR(ReplaceFile(key, made.key, kSecret));
  return ReplaceFile(certificate, made.certificate, kSecret);
}

void Report(const Arguments& arguments, const std::string& certificate, const std::string& key,
            const std::string& advice) {
  if (arguments.json) {
    std::cout << CertificateJson(certificate, key) << "\n";
  } else {
    std::cout << "Created " << certificate << " and " << key << ". " << advice << "\n";
  }
}

// A certificate of the peer's, and beside it the cluster's own, so that the directory can go to its machine as it is.
absl::Status Issue(const Arguments& arguments, const Peer& peer) {
  const CertificateFiles files = FilesIn(OutputOf(arguments), peer.role, peer.name);
  const CertificateFiles ours = FilesIn(arguments.authority, peer.role);
  ASSIGN_OR_RETURN(const Authority authority,
                   Authority::Load(ours.cluster, absl::StrCat(arguments.authority, "/cluster.key")));
  ASSIGN_OR_RETURN(const KeyedCertificate made, authority.Issue(peer, arguments.hosts, ValidityFor(arguments.days)));
  ASSIGN_OR_RETURN(const std::string cluster, ReadFile(ours.cluster));
  const bool has_cluster = Exists(files.cluster);
  if (has_cluster) {
    ASSIGN_OR_RETURN(const std::string there, ReadFile(files.cluster));
    if (there != cluster) return Refuse(Cause::kExists, absl::StrCat(files.cluster, " is another cluster's"));
  }
  RETURN_IF_ERROR(Write(made, files.certificate, files.key, arguments.replace));
  if (!has_cluster) RETURN_IF_ERROR(ReplaceFile(files.cluster, cluster, kSecret));
  Report(arguments, files.certificate, files.key,
         absl::StrCat("With cluster.crt they are for ", kCertificateDirectory, " of the machine of ", peer.CommonName(),
                      "."));
  return absl::OkStatus();
}

}  // namespace

absl::Status CaInit(Context& context) {
  const Arguments& arguments = context.arguments;
  const std::string base = absl::StrCat(OutputOf(arguments), "/cluster");
  ASSIGN_OR_RETURN(const Authority authority, Authority::Make(arguments.name, ValidityFor(arguments.days)));
  ASSIGN_OR_RETURN(const KeyedCertificate made, authority.Pem());
  RETURN_IF_ERROR(Write(made, base + ".crt", base + ".key", /*replace=*/false));
  Report(arguments, base + ".crt", base + ".key", "Keep the key secret: whoever has it controls the cluster.");
  return absl::OkStatus();
}

absl::Status CaControl(Context& context) { return Issue(context.arguments, {Role::kControl, ""}); }

absl::Status CaNode(Context& context) {
  const std::string& text = context.arguments.node;
  const auto id = text.empty() ? NodeId::FromRandomHex(RandomHex(16)) : NodeId::Parse(text);
  if (!id) return Refuse(Cause::kInvalid, absl::StrCat("'", text, "' is not a UUID"));
  return Issue(context.arguments, {Role::kNode, id->str()});
}

absl::Status CaUser(Context& context) {
  const std::string user = context.arguments.name.empty() ? "user" : context.arguments.name;
  RETURN_IF_ERROR(CheckName(user));
  if (user == "cluster" || user == RoleName(Role::kNode) || user == RoleName(Role::kControl)) {
    return Refuse(Cause::kInvalid, absl::StrCat("a user cannot be called ", user, ": that is another file's name"));
  }
  return Issue(context.arguments, {Role::kUser, user});
}

}  // namespace flocker
