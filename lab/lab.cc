#include "lab/lab.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "lab/payload.h"

namespace flocker::lab {

absl::StatusOr<std::unique_ptr<Lab>> Lab::Create(const std::string& dir, const std::string& binaries) {
  ASSIGN_OR_RETURN(Image image, FindImage());
  RETURN_IF_ERROR(MakeDirectories(dir + "/net", 0700));
  RETURN_IF_ERROR(MakePayload(binaries, dir + "/payload.tar"));
  ASSIGN_OR_RETURN(std::unique_ptr<Switch> network, Switch::Start(dir + "/switch.log"));
  return std::unique_ptr<Lab>(new Lab(dir, std::move(image), std::move(network)));  // the constructor is private
}

Lab::Lab(std::string dir, Image image, std::unique_ptr<Switch> network)
    : dir_(std::move(dir)), image_(std::move(image)), network_(std::move(network)) {}

Lab::~Lab() = default;

absl::StatusOr<Machine*> Lab::Add(const MachineOptions& options, const std::vector<NamedCard>& cards) {
  if (machines_.contains(options.name)) {
    return absl::AlreadyExistsError(absl::StrCat("the lab has a machine ", options.name));
  }
  const std::string home = absl::StrCat(dir_, "/", options.name);
  RETURN_IF_ERROR(MakeDirectories(home, 0700));
  auto machine = std::make_unique<Machine>(options, image_, dir_ + "/payload.tar", home);
  for (const NamedCard& card : cards) {
    const std::string port = cards.size() == 1 ? options.name : absl::StrCat(options.name, ".", card.name);
    const std::string socket = absl::StrCat(dir_, "/net/", port);
    RETURN_IF_ERROR(network_->AddPort(port, socket));
    ports_.push_back(port);
    machine->AddCard({socket, card.addresses}, static_cast<int>(ports_.size()));
  }
  return (machines_[options.name] = std::move(machine)).get();
}

absl::StatusOr<Machine*> Lab::Find(const std::string& name) const {
  const auto found = machines_.find(name);
  if (found != machines_.end()) return found->second.get();
  std::vector<std::string> names;
  for (const auto& [known, machine] : machines_) names.push_back(known);
  return absl::NotFoundError(absl::StrCat("no machine ", name, " in this lab; there are ", absl::StrJoin(names, ", ")));
}

std::vector<Machine*> Lab::machines() const {
  std::vector<Machine*> all;
  for (const auto& [name, machine] : machines_) all.push_back(machine.get());
  return all;
}

absl::StatusOr<std::vector<std::string>> Lab::Ports(const std::string& name) const {
  std::vector<std::string> matching;
  for (const std::string& port : ports_) {
    if (port == name || absl::StartsWith(port, name + ".")) matching.push_back(port);
  }
  if (!matching.empty()) return matching;
  return absl::NotFoundError(absl::StrCat("no card ", name, " in this lab; there are ", absl::StrJoin(ports_, ", ")));
}

absl::Status Lab::SetOne(const std::string& from, const std::string& to, const Link& link) {
  RETURN_IF_ERROR(network_->SetLink(from, to, link));
  if (link == Link{}) {
    links_.erase({from, to});
  } else {
    links_[{from, to}] = link;
  }
  return absl::OkStatus();
}

absl::Status Lab::SetLinks(const std::string& a, const std::string& b, const Link& link, bool one_way) {
  ASSIGN_OR_RETURN(const std::vector<std::string> from, Ports(a));
  ASSIGN_OR_RETURN(const std::vector<std::string> to, Ports(b));
  for (const std::string& source : from) {
    for (const std::string& target : to) {
      RETURN_IF_ERROR(SetOne(source, target, link));
      if (!one_way) RETURN_IF_ERROR(SetOne(target, source, link));
    }
  }
  return absl::OkStatus();
}

absl::Status Lab::SetAllLinks(const Link& link) {
  for (const std::string& from : ports_) {
    for (const std::string& to : ports_) {
      if (from != to) RETURN_IF_ERROR(SetOne(from, to, link));
    }
  }
  return absl::OkStatus();
}

absl::Status Lab::Heal() { return SetAllLinks({}); }

}  // namespace flocker::lab
