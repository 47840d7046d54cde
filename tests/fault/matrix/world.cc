#include "tests/fault/matrix/world.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"
#include "engine/ctl/client.h"
#include "engine/model/size.h"
#include "engine/volume/mountinfo.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

constexpr std::array<const char*, 2> kNodes = {"alpha", "beta"};
constexpr size_t kAlignment = 4096;

// The entries of a directory, by their last name.
std::vector<std::string> Entries(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

std::string Differs(const std::string& what, size_t there, size_t wanted) {
  return there == wanted ? "" : absl::StrCat(what, ": ", there, " instead of ", wanted);
}

}  // namespace

std::string_view VictimName(Victim victim) {
  constexpr std::array<std::string_view, 6> kNames = {"control", "agent", "lun", "fs", "tgtd", "all"};
  return kNames[static_cast<size_t>(victim)];
}

std::string_view RestName(Rest rest) {
  constexpr std::array<std::string_view, 4> kNames = {"absent", "attached on alpha", "attached on beta", "trashed"};
  return kNames[static_cast<size_t>(rest)];
}

World::World() : cluster_({.control_flags = {"--heartbeat-timeout", "2"}}) {
  std::filesystem::create_directory(fault_dir());
  setenv("FLOCKER_FAULT_DIR", fault_dir().c_str(), 1);
}

std::vector<pid_t> World::Processes(std::string_view name, const std::string& below) const {
  std::vector<pid_t> pids;
  for (const std::string& entry : Entries("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry, &pid)) continue;
    const auto comm = ReadFile(absl::StrCat("/proc/", pid, "/comm"));
    if (!comm.ok() || std::string(absl::StripSuffix(*comm, "\n")) != name) continue;
    const auto arguments = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
    if (arguments.ok() && absl::StrContains(*arguments, below)) pids.push_back(pid);
  }
  return pids;
}

void World::Kill(Victim victim) {
  const auto hit = [&](Victim one) { return victim == one || victim == Victim::kAll; };
  std::vector<pid_t> pids;
  if (hit(Victim::kLun)) pids = Processes("flocker-lun", cluster_.dir());
  if (hit(Victim::kFs)) {
    for (const pid_t pid : Processes("flocker-fs", cluster_.dir())) pids.push_back(pid);
  }
  if (hit(Victim::kControl) && cluster_.control().running()) pids.push_back(cluster_.control().pid());
  for (const char* node : kNodes) {
    if (hit(Victim::kAgent) && cluster_.agent(node).running()) pids.push_back(cluster_.agent(node).pid());
  }
  if (hit(Victim::kArray)) pids.push_back(cluster_.array().pid());
  for (const pid_t pid : pids) kill(pid, SIGKILL);
  // Those that are ours to reap.
  if (hit(Victim::kControl)) cluster_.control().Kill();
  for (const char* node : kNodes) {
    if (hit(Victim::kAgent)) cluster_.agent(node).Kill();
  }
  if (hit(Victim::kArray)) cluster_.array().Kill();
  array_down_ = array_down_ || hit(Victim::kArray);
}

absl::Status World::StartWhatIsDown() {
  if (std::exchange(array_down_, false)) cluster_.array().Start();
  if (!cluster_.control().running()) RETURN_IF_ERROR(cluster_.StartControl());
  for (const char* node : kNodes) {
    if (!cluster_.agent(node).running()) RETURN_IF_ERROR(cluster_.agent(node).Start());
  }
  return absl::OkStatus();
}

absl::Status World::CutSession() {
  ASSIGN_OR_RETURN(const std::string shown,
                   cluster_.array().Admin({"--lld", "iscsi", "--op", "show", "--mode", "target"}));
  std::string target;
  std::string session;
  for (const auto line : absl::StrSplit(shown, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" :"), absl::SkipEmpty());
    if (words.size() >= 2 && words[0] == "Target") target = words[1];
    if (words.size() >= 3 && words[0] == "I_T" && words[1] == "nexus") session = words[2];
    if (words.size() < 2 || words[0] != "Connection") continue;
    return cluster_.array()
        .Admin({"--lld", "iscsi", "--op", "delete", "--mode", "conn", "--tid", target, "--sid", session, "--cid",
                words[1]})
        .status();
  }
  return absl::NotFoundError("no session to cut");
}

absl::StatusOr<rpc::ViewReply> World::View() const { return ClusterClient(control_address(), absl::Seconds(5)).View(); }

absl::Status World::Execute(const rpc::OperationRequest& request) const {
  return ClusterClient(control_address(), absl::Seconds(30)).Execute(request).status();
}

absl::StatusOr<rpc::DatasetView> World::TheDataset() const {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, View());
  for (const rpc::DatasetView& dataset : view.datasets()) {
    if (dataset.id() != other_) return dataset;
  }
  return absl::NotFoundError("there is no dataset");
}

absl::Status World::AddOther(const std::string& data) {
  rpc::OperationRequest create;
  create.mutable_create()->set_name("other");
  ASSIGN_OR_RETURN(*create.mutable_create()->mutable_node_id(), NodeId("beta"));
  create.mutable_create()->set_size(kMinSize);
  create.mutable_create()->set_root_mode(0755);
  RETURN_IF_ERROR(Execute(create));
  ASSIGN_OR_RETURN(const rpc::ViewReply view, View());
  for (const rpc::DatasetView& dataset : view.datasets()) {
    if (dataset.name() == "other") other_ = dataset.id();
  }
  RETURN_IF_ERROR(Settle({Rest::kOnAlpha}, absl::Minutes(1)).status());
  other_data_ = data;
  return WriteData("beta", data);
}

absl::Status World::CheckOther() const {
  if (other_.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const rpc::ViewReply view, View());
  for (const rpc::DatasetView& dataset : view.datasets()) {
    if (dataset.id() != other_) continue;
    ASSIGN_OR_RETURN(const std::string found, ReadData(dataset.name() == "db" ? "alpha" : "beta"));
    return found == other_data_ ? absl::OkStatus() : absl::DataLossError("the other's data is not what was written");
  }
  return absl::NotFoundError("the other dataset is gone");
}

absl::StatusOr<std::string> World::NodeId(const std::string& node) const {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, View());
  for (const rpc::NodeView& one : view.nodes()) {
    if (one.name() == node) return one.id();
  }
  return absl::NotFoundError(absl::StrCat("no node ", node));
}

absl::StatusOr<std::string> World::DataPath(const std::string& node) const {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, View());
  ASSIGN_OR_RETURN(const std::string id, NodeId(node));
  for (const rpc::DatasetView& dataset : view.datasets()) {
    if (dataset.node_id() != id) continue;
    return absl::StrCat(cluster_.dir(), "/", node, "/mnt/", dataset.id(), ".", dataset.mount_epoch(), "/data");
  }
  return absl::NotFoundError(absl::StrCat("there is no dataset on ", node));
}

absl::Status World::WriteData(const std::string& node, const std::string& data) const {
  ASSIGN_OR_RETURN(const std::string path, DataPath(node));
  const unique_fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file || write(file.get(), data.data(), data.size()) != static_cast<ssize_t>(data.size()) ||
      fsync(file.get()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot write ", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> World::ReadData(const std::string& node) const {
  ASSIGN_OR_RETURN(const std::string path, DataPath(node));
  const unique_fd file(open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  if (!file) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  struct alignas(kAlignment) Block {
    std::array<char, kAlignment> bytes;
  };
  const auto block = std::make_unique<Block>();
  std::string data;
  while (true) {
    const ssize_t count = read(file.get(), block->bytes.data(), kAlignment);
    if (count < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
    if (count == 0) return data;
    data.append(block->bytes.data(), static_cast<size_t>(count));
  }
}

// ---- at rest ----

absl::StatusOr<Rest> World::Settle(const std::set<Rest>& allowed, absl::Duration timeout) {
  Rest found = Rest::kAbsent;
  std::string unrest;
  const bool settled = Eventually(timeout, [&] {
    unrest = Unrest(allowed, found);
    return unrest.empty();
  });
  if (settled && found == Rest::kAbsent) other_.clear();
  if (settled) return found;
  return absl::DeadlineExceededError(absl::StrCat("after ", absl::FormatDuration(timeout), ": ", unrest));
}

std::string World::DatasetUnrest(const rpc::DatasetView& dataset, const std::map<std::string, std::string>& names,
                                 Rest& found) const {
  struct stat lun {};
  if (stat(absl::StrCat(cluster_.dir(), "/pool/", dataset.id(), ".img").c_str(), &lun) != 0 ||
      static_cast<uint64_t>(lun.st_size) != dataset.size()) {
    return absl::StrCat("its LUN has ", lun.st_size, " bytes and not ", dataset.size());
  }
  if (dataset.phase() == "trashed" && dataset.deleted()) {
    found = Rest::kTrashed;
    return "";
  }
  if (dataset.phase() != "attached" || dataset.node_id() != dataset.desired_node_id() || dataset.deleted()) {
    return absl::StrCat("it is ", dataset.phase(), " ", dataset.error());
  }
  const std::string& node = names.at(dataset.node_id());
  found = node == "alpha" ? Rest::kOnAlpha : Rest::kOnBeta;
  if (!other_.empty() && dataset.name() != (node == "alpha" ? "db" : "other")) {
    return absl::StrCat("what is on ", node, " is called ", dataset.name());
  }
  if (access(cluster_.Path(node, dataset.name()).c_str(), F_OK) == 0) return "";
  return std::string(ErrnoStatus(errno, absl::StrCat("the tree of ", node, " does not show it")).message());
}

std::string World::Unrest(const std::set<Rest>& allowed, Rest& found) const {
  const auto view = View();
  if (!view.ok()) return std::string(view.status().message());
  std::map<std::string, std::string> names;
  for (const rpc::NodeView& node : view->nodes()) {
    if (!node.connected()) return absl::StrCat(node.name(), " is not connected");
    names[node.id()] = node.name();
  }
  const auto datasets = static_cast<size_t>(view->datasets_size());
  if (datasets > (other_.empty() ? 1U : 2U)) return absl::StrCat(datasets, " datasets");
  found = Rest::kAbsent;
  Rest others = Rest::kAbsent;
  for (const rpc::DatasetView& dataset : view->datasets()) {
    const std::string unrest = DatasetUnrest(dataset, names, dataset.id() == other_ ? others : found);
    if (!unrest.empty()) return absl::StrCat(dataset.name(), ": ", unrest);
  }
  if (!allowed.contains(found)) return absl::StrCat("it is ", RestName(found).data());
  if (others != Rest::kAbsent && others == found) return absl::StrCat("both are ", RestName(found).data());
  const auto on = [&](Rest rest) { return static_cast<size_t>((found == rest) + (others == rest)); };
  const size_t on_alpha = on(Rest::kOnAlpha);
  const size_t on_beta = on(Rest::kOnBeta);
  std::string unrest = ArrayUnrest(datasets, on_alpha + on_beta);
  if (unrest.empty()) unrest = NodeUnrest("alpha", on_alpha);
  if (unrest.empty()) unrest = NodeUnrest("beta", on_beta);
  return unrest;
}

std::string World::ArrayUnrest(size_t datasets, size_t attached) const {
  const auto shown = cluster_.array().Admin({"--lld", "iscsi", "--op", "show", "--mode", "target"});
  if (!shown.ok()) return std::string(shown.status().message());
  const std::vector<std::string> lines = absl::StrSplit(*shown, '\n');
  const auto count = [&](const char* text) {
    return static_cast<size_t>(
        std::count_if(lines.begin(), lines.end(), [&](const auto& line) { return absl::StrContains(line, text); }));
  };
  std::string unrest = Differs("targets", count("Target "), attached);
  if (unrest.empty()) unrest = Differs("sessions", count("Connection: "), attached);
  if (unrest.empty()) unrest = Differs("files in the pool", Entries(cluster_.dir() + "/pool").size(), 2 * datasets);
  return unrest;
}

std::string World::NodeUnrest(const std::string& node, size_t attached) const {
  const std::string root = absl::StrCat(cluster_.dir(), "/", node);
  size_t mounts = 0;
  size_t trees = 0;
  const auto all = ReadOwnMounts();
  if (!all.ok()) return std::string(all.status().message());
  for (const MountEntry& mount : *all) {
    mounts += absl::StartsWith(mount.mount_point, root + "/") ? 1 : 0;
    trees += mount.mount_point == cluster_.tree(node) ? 1 : 0;
  }
  size_t loops = 0;
  for (const std::string& device : Entries("/sys/block")) {
    if (!absl::StartsWith(device, "loop")) continue;
    const auto backing = ReadFile(absl::StrCat("/sys/block/", device, "/loop/backing_file"));
    loops += backing.ok() && absl::StartsWith(*backing, root + "/") ? 1 : 0;
  }
  size_t connections = 0;  // FUSE descriptors that its agent keeps: the tree's and one for each dataset
  const std::string descriptors = absl::StrCat("/proc/", cluster_.agent(node).pid(), "/fd");
  for (const std::string& fd : Entries(descriptors)) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(descriptors + "/" + fd, error);
    connections += !error && target == "/dev/fuse" ? 1 : 0;
  }
  const std::array<std::string, 10> found = {
      Differs("LUN servers", Processes("flocker-lun", root + "/").size(), attached),
      Differs("loop devices", loops, attached),
      Differs("mounts", mounts, 2 * attached),
      Differs("FUSE connections kept", connections, attached + 1),
      Differs("journal entries", Entries(root + "/journal").size(), attached),
      Differs("entries in lun/", Entries(root + "/lun").size(), 2 * attached),
      Differs("entries in mnt/", Entries(root + "/mnt").size(), attached),
      Differs("entries in format/", Entries(root + "/format").size(), 0),
      Differs("trees mounted", trees, 1),
      Differs("flocker-fs", Processes("flocker-fs", cluster_.tree(node)).size(), 1)};
  for (const std::string& one : found) {
    if (!one.empty()) return absl::StrCat(node, ": ", one);
  }
  return "";
}

}  // namespace flocker::testing
