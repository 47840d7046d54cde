#include "engine/docker/volume_driver.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/model/size.h"
#include "engine/rpc/channel.h"

namespace flocker::docker {
namespace {

using nlohmann::json;

// dockerd gives a Mount and a Create up after 120 s and everything else after 60 s (facts.md): it hears of ours first.
constexpr absl::Duration kMountTimeout = absl::Seconds(110);
constexpr absl::Duration kOperationTimeout = absl::Seconds(50);
// At a boot dockerd starts its containers once, and does not try again: control may be a little late.
constexpr absl::Duration kControlPatience = absl::Seconds(30);
// A dataset that was made on another node a moment ago is known here some milliseconds later.
constexpr absl::Duration kNewsPatience = absl::Seconds(2);
// Control answers within its operation timeout, 10 s. When it does not, it is asked again under the same id.
constexpr absl::Duration kAskAgain = absl::Seconds(12);

constexpr char kUnknown[] = "Could not find volume with given name.";  // Flocker's words (flocker-v1.md §3)

// Whatever bytes a message holds, the answer is JSON.
std::string Text(const json& answer) { return answer.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string Error(const std::string& message) { return Text({{"Err", message}}); }
std::string Error(const absl::Status& status) { return Error(std::string(status.message())); }
std::string Done() { return Error(std::string()); }

absl::Status NoControl(const std::string& name) {
  return Refuse(
      Cause::kNoControl,
      absl::StrCat("volume ", name,
                   ": the control service cannot be reached, so nothing can be changed; see flocker-control"));
}

json Describe(const Volume& volume) {
  json status = {{"id", volume.id.str()},
                 {"node", volume.node},
                 {"state", volume.phase},
                 {"size", FormatSize(volume.size)},
                 {"used", FormatSize(volume.used)}};
  if (!volume.error.empty()) status["error"] = volume.error;
  return {
      {"Name", volume.name},
      {"Mountpoint", volume.path},
      {"CreatedAt", absl::FormatTime(absl::RFC3339_sec, absl::FromUnixMillis(volume.created_ms), absl::UTCTimeZone())},
      {"Status", std::move(status)}};
}

}  // namespace

VolumeDriver::VolumeDriver(NodeId self, Profiles profiles, World world)
    : self_(std::move(self)), profiles_(std::move(profiles)), world_(std::move(world)) {}

bool VolumeDriver::Handle(const std::string& call, const std::string& body, const rpc::Caller& caller, Answer answer,
                          absl::Time now) {
  if (call == "/Plugin.Activate") {
    answer(Text({{"Implements", {"VolumeDriver"}}}));
    return true;
  }
  if (call == "/VolumeDriver.Capabilities") {
    // The same volumes on every node.
    answer(Text({{"Capabilities", {{"Scope", "global"}}}, {"Err", ""}}));
    return true;
  }
  if (call == "/VolumeDriver.List") {
    List(answer);
    return true;
  }
  constexpr std::array kNamed = {"/VolumeDriver.Create",  "/VolumeDriver.Remove", "/VolumeDriver.Mount",
                                 "/VolumeDriver.Unmount", "/VolumeDriver.Get",    "/VolumeDriver.Path"};
  if (std::find(kNamed.begin(), kNamed.end(), call) == kNamed.end()) return false;
  const auto request = ParseVolumeRequest(body);
  if (!request.ok()) {
    answer(Error(request.status()));
  } else if (call == "/VolumeDriver.Create") {
    Create(*request, caller, std::move(answer), now);
  } else if (call == "/VolumeDriver.Remove") {
    Remove(*request, caller, std::move(answer), now);
  } else if (call == "/VolumeDriver.Mount") {
    Mount(*request, caller, std::move(answer), now);
  } else if (call == "/VolumeDriver.Get") {
    Get(*request, answer);
  } else if (call == "/VolumeDriver.Path") {
    Path(*request, answer);
  } else {
    answer(Done());  // Unmount
  }
  return true;
}

void VolumeDriver::Get(const VolumeRequest& request, const Answer& answer) const {
  const auto volume = world_.find(request.name);
  answer(volume ? Text({{"Volume", Describe(*volume)}, {"Err", ""}}) : Error(std::string(kUnknown)));
}

void VolumeDriver::List(const Answer& answer) const {
  std::vector<Volume> volumes = world_.list();
  std::sort(volumes.begin(), volumes.end(), [](const Volume& a, const Volume& b) { return a.name < b.name; });
  json list = json::array();
  for (const Volume& volume : volumes) list.push_back(Describe(volume));
  answer(Text({{"Volumes", std::move(list)}, {"Err", ""}}));
}

void VolumeDriver::Path(const VolumeRequest& request, const Answer& answer) const {
  const auto volume = world_.find(request.name);
  if (!volume) return answer(Error(std::string(kUnknown)));
  if (volume->path.empty()) return answer(Error(std::string("Volume not available.")));
  answer(Text({{"Mountpoint", volume->path}, {"Err", ""}}));
}

std::string VolumeDriver::Send(rpc::OperationRequest request, absl::Time now) {
  const std::string id = DatasetId::FromRandomHex(RandomHex(16)).str();
  request.set_id(id);
  if (!world_.execute(request)) return {};
  operations_[id] = {.request = std::move(request), .sent = now};
  return id;
}

void VolumeDriver::Create(const VolumeRequest& request, const rpc::Caller& caller, Answer answer, absl::Time now) {
  const auto options = ReadOptions(request.options, profiles_);
  if (!options.ok()) return answer(Error(options.status()));
  if (world_.find(request.name)) return answer(Done());  // asked again, or by another node's dockerd
  rpc::OperationRequest operation;
  *operation.mutable_caller() = caller;
  rpc::Create& create = *operation.mutable_create();
  create.set_node_id(self_.str());
  create.set_name(request.name);
  create.set_size(options->size);
  for (const auto& [key, value] : options->metadata) (*create.mutable_metadata())[key] = value;
  create.set_root_mode(0777);  // as Flocker made it: a container's user need not be root
  Waiting waiting{.kind = Kind::kCreate, .name = request.name, .answer = std::move(answer), .since = now};
  waiting.operation = Send(std::move(operation), now);
  if (waiting.operation.empty()) return waiting.answer(Error(NoControl(request.name)));
  waiting_.push_back(std::move(waiting));
}

void VolumeDriver::Remove(const VolumeRequest& request, const rpc::Caller& caller, Answer answer, absl::Time now) {
  const auto volume = world_.find(request.name);
  if (!volume) return answer(world_.informed() ? Done() : Error(NoControl(request.name)));  // asked again: it is gone
  rpc::OperationRequest operation;
  *operation.mutable_caller() = caller;
  operation.mutable_destroy()->set_dataset_id(volume->id.str());
  Waiting waiting{.kind = Kind::kRemove, .name = request.name, .answer = std::move(answer), .since = now};
  waiting.operation = Send(std::move(operation), now);
  if (waiting.operation.empty()) return waiting.answer(Error(NoControl(request.name)));
  waiting_.push_back(std::move(waiting));
}

void VolumeDriver::Mount(const VolumeRequest& request, const rpc::Caller& caller, Answer answer, absl::Time now) {
  Waiting waiting{.name = request.name, .caller = caller, .answer = std::move(answer), .since = now};
  if (AdvanceMount(waiting, now)) return;
  spdlog::info("dockerd waits for volume {}", request.name);
  waiting_.push_back(std::move(waiting));
}

bool VolumeDriver::AdvanceMount(Waiting& mount, absl::Time now) {
  const auto volume = world_.find(mount.name);
  if (volume && !volume->path.empty()) {
    mount.answer(Text({{"Mountpoint", volume->path}, {"Err", ""}}));
    return true;
  }
  const bool informed = world_.informed();
  if (!volume && informed && now >= mount.since + kNewsPatience) {
    mount.answer(Error(std::string(kUnknown)));
    return true;
  }
  const bool elsewhere = volume && !volume->here;
  if (elsewhere && mount.operation.empty()) mount.operation = MoveHere(*volume, mount.caller, now);
  const bool stuck = !volume || (elsewhere && mount.operation.empty());
  if (stuck && !informed && now >= mount.since + kControlPatience) {
    mount.answer(Error(NoControl(mount.name)));
    return true;
  }
  return false;
}

std::string VolumeDriver::MoveHere(const Volume& volume, const rpc::Caller& caller, absl::Time now) {
  // Two containers that are started at once want the same of it; control takes one operation at a time.
  for (const auto& [id, operation] : operations_) {
    if (operation.request.has_rename() && operation.request.rename().dataset_id() == volume.id.str()) return id;
  }
  rpc::OperationRequest request;
  *request.mutable_caller() = caller;
  rpc::Rename& move = *request.mutable_rename();
  move.set_dataset_id(volume.id.str());
  move.set_node_id(self_.str());
  move.set_name(volume.name);
  return Send(std::move(request), now);
}

bool VolumeDriver::Settle(Waiting& waiting, const absl::Status& outcome, absl::Time now) {
  waiting.operation.clear();
  switch (waiting.kind) {
    case Kind::kCreate:
      // Made by somebody else meanwhile, who has the same wish.
      waiting.answer(outcome.ok() || CauseOf(outcome) == Cause::kExists ? Done() : Error(outcome));
      return true;
    case Kind::kRemove:
      waiting.answer(outcome.ok() || CauseOf(outcome) == Cause::kNotFound ? Done() : Error(outcome));
      return true;
    case Kind::kMount:
      // The news came before the answer, so it is known here by now where the volume is.
      if (outcome.ok()) return AdvanceMount(waiting, now);
      const auto volume = world_.find(waiting.name);
      const std::string where = volume ? absl::StrCat(" is on node ", volume->node, " and cannot come here") : "";
      waiting.answer(Error(Annotate(outcome, absl::StrCat("volume ", waiting.name, where))));
      return true;
  }
  return true;
}

void VolumeDriver::OnReply(const rpc::OperationReply& reply, absl::Time now) {
  const auto found = operations_.find(reply.id());
  if (found == operations_.end()) return;  // somebody else's
  const absl::Status outcome = FromOutcome(reply.outcome());
  if (!outcome.ok() && CauseOf(outcome) == Cause::kInProgress) {
    // Under the same id it is not begun again, only waited for.
    if (world_.execute(found->second.request)) found->second.sent = now;
    return;
  }
  operations_.erase(found);
  std::erase_if(waiting_,
                [&](Waiting& waiting) { return waiting.operation == reply.id() && Settle(waiting, outcome, now); });
}

void VolumeDriver::OnChanged(absl::Time now) {
  std::erase_if(waiting_, [&](Waiting& waiting) { return waiting.kind == Kind::kMount && AdvanceMount(waiting, now); });
}

bool VolumeDriver::Expire(const Waiting& waiting, absl::Time now) const {
  if (now < waiting.since + (waiting.kind == Kind::kMount ? kMountTimeout : kOperationTimeout)) return false;
  const auto volume = world_.find(waiting.name);
  const std::string state = volume ? absl::StrCat("; it is ", volume->phase, " on node ", volume->node) : "";
  const std::string error = volume && !volume->error.empty() ? absl::StrCat(": ", volume->error) : "";
  waiting.answer(
      Error(absl::StrCat("volume ", waiting.name, ": not done after ", absl::FormatDuration(now - waiting.since),
                         ", and goes on", state, error, "; see flockerctl why ", waiting.name)));
  return true;
}

void VolumeDriver::OnTick(absl::Time now) {
  OnChanged(now);
  std::erase_if(waiting_, [&](const Waiting& waiting) { return Expire(waiting, now); });
  for (auto it = operations_.begin(); it != operations_.end();) {
    auto& [id, operation] = *it;
    const bool wanted =
        std::any_of(waiting_.begin(), waiting_.end(), [&id = id](const Waiting& one) { return one.operation == id; });
    if (wanted && now >= operation.sent + kAskAgain && world_.execute(operation.request)) operation.sent = now;
    it = wanted ? std::next(it) : operations_.erase(it);
  }
}

}  // namespace flocker::docker
