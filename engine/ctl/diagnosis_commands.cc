#include "engine/ctl/diagnosis_commands.h"

#include <algorithm>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "engine/ctl/certificate_checks.h"
#include "engine/ctl/cluster_checks.h"
#include "engine/ctl/json_text.h"
#include "engine/ctl/machine.h"
#include "engine/ctl/support_bundle.h"

namespace flocker {
namespace {

constexpr uint64_t kBundledEvents = 5000;

std::set<MachineRole> RolesAsked(const std::string& role) {
  if (role == "client") return {MachineRole::kClient};
  if (role == "node") return {MachineRole::kNode};
  if (role == "control") return {MachineRole::kControl};
  return RolesOf(ReadMachine({}));
}

void Append(std::vector<Check> checks, std::vector<Check>& to) {
  for (Check& check : checks) to.push_back(std::move(check));
}

std::vector<Check> Diagnose(Context& context) {
  const std::set<MachineRole> roles = RolesAsked(context.arguments.role);
  std::vector<Check> checks = CheckMachine(ReadMachine(roles), roles);
  if (UsesCertificates(context.arguments.transport, context.client.address())) {
    Append(CheckCertificates(context.arguments.transport.certificates, absl::Now()), checks);
  }
  const absl::Time from = absl::Now();
  const auto view = context.client.View();
  Append(CheckCluster(view, context.client.address(), {.from = from, .to = absl::Now()}), checks);
  return checks;
}

}  // namespace

absl::Status Doctor(Context& context) {
  const std::vector<Check> checks = Diagnose(context);
  if (context.arguments.json) {
    std::cout << ChecksJson(checks) << "\n";
  } else {
    std::cout << FormatChecks(checks, context.terminal.colour);
  }
  const auto failed =
      std::count_if(checks.begin(), checks.end(), [](const Check& check) { return check.verdict == Verdict::kBad; });
  if (failed == 0) return absl::OkStatus();
  return Refuse(Cause::kIo, absl::StrCat(failed, failed == 1 ? " check" : " checks", " failed"));
}

absl::Status SupportBundle(Context& context) {
  BundleFiles files;
  files["doctor.txt"] = FormatChecks(Diagnose(context), false);
  const auto view = context.client.View();
  if (view.ok()) {
    files["nodes.json"] = NodesJson(*view);
    files["datasets.json"] = DatasetsJson(*view, {.deleted = true});
    std::string& events = files["events.jsonl"];
    const uint64_t from = view->last_event() > kBundledEvents ? view->last_event() - kBundledEvents : 0;
    const absl::Status read = context.client.Events(
        from, [&events](const rpc::EventView& event) { absl::StrAppend(&events, EventJson(event), "\n"); });
    if (!read.ok()) absl::StrAppend(&events, ErrorJson(read), "\n");
  }
  files["versions.json"] = VersionsJson(FLOCKER_VERSION, view.ok() ? view->version() : "");
  AddMachine(context.arguments.configuration, files);
  const std::string path =
      context.arguments.file.empty()
          ? absl::StrCat("flocker-support-", absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone()),
                         ".tar.gz")
          : context.arguments.file;
  RETURN_IF_ERROR(WriteBundle(files, path));
  if (context.arguments.json) {
    std::cout << BundleJson(path) << "\n";
  } else {
    std::cout << path << " has " << files.size()
              << " files, secrets taken out; look into it before you give it away.\n";
  }
  return absl::OkStatus();
}

absl::Status Version(Context& context) {
  if (!context.arguments.json) std::cout << "flockerctl " FLOCKER_VERSION "\n";
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  if (context.arguments.json) {
    std::cout << VersionsJson(FLOCKER_VERSION, view.version()) << "\n";
  } else {
    std::cout << "flocker-control " << view.version() << "\n";
  }
  return absl::OkStatus();
}

absl::Status Backup(Context& context) {
  const std::string& directory = context.arguments.directory;
  ASSIGN_OR_RETURN(const rpc::BackupReply reply, context.client.Backup(directory));
  if (context.arguments.json) {
    std::cout << BackupJson(reply, directory) << "\n";
  } else {
    std::cout << "backup " << reply.number() << " of the cluster's state, " << reply.bytes() << " bytes, is in "
              << directory << " on control's machine.\n";
  }
  return absl::OkStatus();
}

}  // namespace flocker
