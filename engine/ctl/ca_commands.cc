#include "engine/ctl/ca_commands.h"

#include <sys/stat.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/ctl/authority.h"
#include "engine/model/ids.h"
#include "engine/model/names.h"
#include "engine/rpc/certificates.h"

namespace flocker {
namespace {

constexpr mode_t kSecret = 0600;                     // certificates too, as flocker-ca made them
constexpr absl::Duration kSkew = absl::Minutes(10);  // a machine whose clock is that much late may use it at once
constexpr unsigned kDays = 20 * 365;                 // flocker/ca/_ca.py: EXPIRY_20_YEARS

struct CaArguments {
  std::string input = "/etc/flocker";
  std::string output;
  unsigned days = kDays;
  bool replace = false;
  std::string cluster;
  std::vector<std::string> hosts;
  std::string node;
  std::string user = "user";
};

Validity ValidityFor(unsigned days) {
  const absl::Time now = absl::Now();
  return {now - kSkew, now + absl::Hours(24) * days};
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) || error;
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

absl::Status Init(const CaArguments& arguments) {
  const CertificateFiles files = FilesIn(arguments.output.empty() ? arguments.input : arguments.output, Role::kControl);
  const std::string key = std::filesystem::path(files.cluster).replace_extension("key").string();
  ASSIGN_OR_RETURN(const Authority authority, Authority::Make(arguments.cluster, ValidityFor(arguments.days)));
  ASSIGN_OR_RETURN(const KeyedCertificate made, authority.Pem());
  RETURN_IF_ERROR(Write(made, files.cluster, key, /*replace=*/false));
  std::cout << "Created " << files.cluster << " and " << key << ". Keep the key secret: whoever has it controls the "
            << "cluster.\n";
  return absl::OkStatus();
}

// A certificate of the peer's, and beside it the cluster's own, so that the directory can go to its machine as it is.
absl::Status Issue(const CaArguments& arguments, const Peer& peer, const std::string& user) {
  const std::string output = arguments.output.empty() ? arguments.input : arguments.output;
  const CertificateFiles files = FilesIn(output, peer.role, user);
  const std::string cluster = absl::StrCat(arguments.input, "/cluster.crt");
  ASSIGN_OR_RETURN(const Authority authority, Authority::Load(cluster, absl::StrCat(arguments.input, "/cluster.key")));
  ASSIGN_OR_RETURN(const KeyedCertificate made, authority.Issue(peer, arguments.hosts, ValidityFor(arguments.days)));
  ASSIGN_OR_RETURN(const KeyedCertificate own, authority.Pem());
  if (Exists(files.cluster)) {
    ASSIGN_OR_RETURN(const std::string there, ReadFile(files.cluster));
    ASSIGN_OR_RETURN(const std::string here, ReadFile(cluster));
    if (there != here) return Refuse(Cause::kExists, absl::StrCat(files.cluster, " is another cluster's"));
  }
  RETURN_IF_ERROR(Write(made, files.certificate, files.key, arguments.replace));
  if (!Exists(files.cluster)) RETURN_IF_ERROR(ReplaceFile(files.cluster, own.certificate, kSecret));
  std::cout << "Created " << files.certificate << " and " << files.key << " for " << peer.CommonName()
            << ". With cluster.crt they belong into /etc/flocker of its machine (directory 0700, files 0600).\n";
  return absl::OkStatus();
}

absl::Status IssueNode(const CaArguments& arguments) {
  const auto id = arguments.node.empty() ? NodeId::FromRandomHex(RandomHex(16)) : NodeId::Parse(arguments.node);
  if (!id) return Refuse(Cause::kInvalid, absl::StrCat("'", arguments.node, "' is not a UUID"));
  return Issue(arguments, {Role::kNode, id->str()}, "");
}

absl::Status IssueUser(const CaArguments& arguments) {
  const std::string& user = arguments.user;
  RETURN_IF_ERROR(CheckName(user));
  if (user == "cluster" || user == "node" || user == RoleName(Role::kControl)) {
    return Refuse(Cause::kInvalid, absl::StrCat("a user cannot be called ", user, ": that is another file's name"));
  }
  return Issue(arguments, {Role::kUser, user}, user);
}

}  // namespace

void AddCaCommands(CLI::App& app, std::function<absl::Status()>& chosen) {
  CLI::App* ca =
      app.add_subcommand("ca", "make the certificates by which the cluster's machines and users know each other");
  ca->require_subcommand(1);
  const auto arguments = std::make_shared<CaArguments>();
  const auto command = [&](const char* name, const char* text, absl::Status (*function)(const CaArguments&)) {
    CLI::App* sub = ca->add_subcommand(name, text);
    sub->callback([&chosen, arguments, function] { chosen = [arguments, function] { return function(*arguments); }; });
    sub->add_option("-i,--inputpath", arguments->input, "directory of cluster.crt and cluster.key")
        ->capture_default_str();
    sub->add_option("-o,--outputpath", arguments->output, "directory to write to; without the same");
    sub->add_option("--days", arguments->days, "how long the certificate is valid")
        ->check(CLI::Range(1U, 2 * kDays))
        ->capture_default_str();
    return sub;
  };
  CLI::App* init = command("init", "make a cluster's authority: cluster.crt and cluster.key", &Init);
  init->add_option("name", arguments->cluster, "the cluster's name")->required();

  CLI::App* control =
      command("control", "make control-service.crt and .key for flocker-control", [](const CaArguments& a) {
        return Issue(a, {Role::kControl, ""}, "");
      });
  control->add_option("hosts", arguments->hosts, "names and addresses under which clients reach it")->required();

  CLI::App* node = command("node", "make node.crt and .key for a node's flocker-agent", &IssueNode);
  node->add_option("--id", arguments->node, "the UUID of a node that has one already (the file node in its root)");

  CLI::App* user = command("user", "make <name>.crt and .key for a user of flockerctl and REST", &IssueUser);
  user->add_option("name", arguments->user, "the user's name")->capture_default_str();

  for (CLI::App* sub : {control, node, user}) {
    sub->add_flag("--replace", arguments->replace, "although there is one: daemons take up the new one by themselves");
  }
}

}  // namespace flocker
