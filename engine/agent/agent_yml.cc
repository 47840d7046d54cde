#include "engine/agent/agent_yml.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/unique_fd.h"

namespace flocker {
namespace {

void OnlyKeys(const YAML::Node& section, const std::string& name, const std::set<std::string>& known) {
  if (!section.IsMap()) throw Wrong(section, absl::StrCat("`", name, "` is a section with keys of its own"));
  for (const auto& entry : section) {
    const auto key = entry.first.as<std::string>();
    if (!known.contains(key)) throw Wrong(entry.first, absl::StrCat("there is no setting `", key, "` in `", name, "`"));
  }
}

std::vector<CLI::ConfigItem> ControlService(const YAML::Node& section) {
  OnlyKeys(section, "control-service", {"hostname", "port"});
  const YAML::Node host = section["hostname"];
  if (!host || !host.IsScalar()) throw Wrong(section, "`control-service` needs a `hostname`");
  const YAML::Node port = section["port"];
  int number = kControlPort;
  if (port && (!YAML::convert<int>::decode(port, number) || number < 1 || number > 65535)) {
    throw Wrong(port, "`port` is a number from 1 to 65535");
  }
  const bool ipv6 = absl::StrContains(host.Scalar(), ":");
  CLI::ConfigItem control;
  control.name = "control";
  control.inputs = {absl::StrCat(ipv6 ? "[" : "", host.Scalar(), ipv6 ? "]:" : ":", number)};
  return {control};
}

std::vector<CLI::ConfigItem> Dataset(const YAML::Node& section) {
  if (!section.IsMap() || !section["backend"]) throw Wrong(section, "`dataset` needs a `backend`");
  const YAML::Node backend = section["backend"];
  if (!backend.IsScalar() || (backend.Scalar() != "iscsi" && backend.Scalar() != "loopback")) {
    throw Wrong(
        backend,
        absl::StrCat("there is no backend `", backend.IsScalar() ? backend.Scalar() : "",
                     "`: datasets are LUNs of the array that flocker-control drives, `backend: iscsi`, or files "
                     "of this very machine, `backend: loopback`; Flocker's other backends (aws, openstack, zfs "
                     "and the vendors') are not part of it"));
  }
  if (section["root_path"]) {
    throw Wrong(
        section["root_path"],
        "where the files of `backend: loopback` lie is flocker-control's setting, `pool` beside `array: local`");
  }
  OnlyKeys(section, "dataset", {"backend"});
  return {Setting("backend", backend)};
}

}  // namespace

std::map<std::string, ConfigSection> AgentYmlSections() {
  return {{"control-service", ControlService},
          {"dataset", Dataset},
          {"create_on_bind",
           [](const YAML::Node& value) { return std::vector<CLI::ConfigItem>{Setting("create-on-bind", value)}; }},
          {"logging", [](const YAML::Node& /*section*/) { return std::vector<CLI::ConfigItem>(); }}};
}

std::optional<std::string> OwnAddressTowards(const std::string& control) {
  const size_t colon = control.rfind(':');
  if (absl::StartsWith(control, "unix:") || colon == std::string::npos) return std::nullopt;
  std::string host = control.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* raw = nullptr;
  if (getaddrinfo(host.c_str(), control.substr(colon + 1).c_str(), &hints, &raw) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(raw, freeaddrinfo);
  const unique_fd fd(socket(raw->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  std::array<char, NI_MAXHOST> text{};
  auto* address = reinterpret_cast<sockaddr*>(&own);
  // A datagram socket that is connected has chosen its route, and has sent nothing.
  if (!fd || connect(fd.get(), raw->ai_addr, raw->ai_addrlen) != 0 || getsockname(fd.get(), address, &size) != 0 ||
      getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return std::nullopt;
  }
  return text.data();
}

}  // namespace flocker
