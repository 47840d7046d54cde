// What a command works with.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "engine/ctl/arguments.h"
#include "engine/ctl/client.h"
#include "engine/ctl/terminal.h"

namespace CLI {
class App;
}

namespace flocker {

struct Context {
  const Arguments& arguments;
  const Terminal& terminal;
  const CLI::App& app;  // all commands, for those that describe them
  ClusterClient& client;
};

// A command writes its result to standard output; main prints the error.
using Command = absl::Status (*)(Context& context);

}  // namespace flocker
