// `flockerctl ca`: what flocker-ca was. It makes files and speaks to nobody.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "absl/status/status.h"

namespace flocker {

// Adds `ca` with its commands init, control, node and user; the one that was parsed is put into `chosen`, to be run.
void AddCaCommands(CLI::App& app, std::function<absl::Status()>& chosen);

}  // namespace flocker
