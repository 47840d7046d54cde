// Flocker's own keys of agent.yml (its documentation, "agent.yml"), beside ours, which are the options' names.
#pragma once

#include <map>
#include <string>

#include "engine/base/config_file.h"

namespace flocker {

inline constexpr char kAgentYml[] = "/etc/flocker/agent.yml";
inline constexpr int kControlPort = 4524;

// control-service {hostname, port}: --control. dataset {backend}: must be what this agent can do. logging: Flocker's
// was Python's and says nothing here. create_on_bind: --create-on-bind.
std::map<std::string, ConfigSection> AgentYmlSections();

// The address of this machine on the way to `control`, as an agent gives it: host:port. Nothing when that is a unix
// socket, or no way there is known. Sends nothing; may block for the name's lookup.
std::optional<std::string> OwnAddressTowards(const std::string& control);

}  // namespace flocker
