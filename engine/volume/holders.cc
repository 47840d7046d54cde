#include "engine/volume/holders.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/volume/holder_mounts.h"
#include "engine/volume/holder_tasks.h"

namespace flocker {
namespace {

constexpr size_t kMostDescribed = 4;
constexpr size_t kShortContainer = 12;  // as docker and podman abbreviate it

std::string DescribeOne(const Holder& holder) {
  // Names and paths are chosen by whoever holds; a log line must stay one line.
  std::string text = holder.pid == 0 ? "this machine" : absl::StrCat("pid ", holder.pid);
  if (!holder.command.empty()) absl::StrAppend(&text, " (", absl::CHexEscape(holder.command), ")");
  if (holder.pid != 0) absl::StrAppend(&text, ", uid ", holder.uid);
  if (holder.mount_namespace != 0) absl::StrAppend(&text, ", mount namespace ", holder.mount_namespace);
  if (!holder.container.empty()) absl::StrAppend(&text, ", in container ", holder.container.substr(0, kShortContainer));
  absl::StrAppend(&text, ": ", holder.what, " ", absl::CHexEscape(holder.path));
  return text;
}

}  // namespace

absl::StatusOr<std::vector<Holder>> FindHolders(const HolderQuery& query) {
  ASSIGN_OR_RETURN(std::vector<Holder> holders, FindTaskHolders(query));
  ASSIGN_OR_RETURN(const std::vector<SeenMount> mounts, ReadAllMounts());
  for (Holder& mount : MountHolders(query, mounts)) {
    const bool named = mount.pid != 0 && std::any_of(holders.begin(), holders.end(),
                                                     [&](const Holder& holder) { return holder.pid == mount.pid; });
    if (!named) holders.push_back(std::move(mount));
  }
  return holders;
}

std::string Describe(const std::vector<Holder>& holders) {
  if (holders.empty()) {
    return "held by something that no process or mount shows: a loop device, swap file or overlay on a file inside, an "
           "NFS export, a mount namespace without a process, or a process that may not be looked at";
  }
  std::string text = "held by ";
  for (size_t i = 0; i < std::min(holders.size(), kMostDescribed); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : "; ", DescribeOne(holders[i]));
  }
  if (holders.size() > kMostDescribed) absl::StrAppend(&text, "; and ", holders.size() - kMostDescribed, " more");
  return text;
}

}  // namespace flocker
