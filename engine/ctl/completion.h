// Completion of flockerctl's words in shells.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "engine/ctl/context.h"

namespace flocker {

// A script for bash to source; it asks `flockerctl names` for the names in the cluster.
std::string BashCompletion(const CLI::App& app);
// The same for zsh, whose bashcompinit reads bash's.
std::string ZshCompletion(const CLI::App& app);

absl::Status Completion(Context& context);
// The names of one kind (a type name of command_line.h), a line each.
absl::Status Names(Context& context);

}  // namespace flocker
