// flockerctl: Flocker's commands over the Cluster service. Results on standard output, errors on standard error, the
// cause in the exit code.
#include <CLI/CLI.hpp>
#include <clocale>
#include <iostream>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/ctl/client.h"
#include "engine/ctl/command_line.h"
#include "engine/ctl/exit_code.h"
#include "engine/ctl/json_text.h"
#include "engine/ctl/terminal.h"
#include "engine/rpc/credentials.h"

int main(int argc, char** argv) {
  using namespace flocker;  // NOLINT(google-build-using-namespace): a main composes
  std::setlocale(LC_ALL, "");
  Arguments arguments;
  CommandLine command_line(arguments);
  try {
    command_line.app().parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return command_line.app().exit(error) == 0 ? 0 : ExitCode(Refuse(Cause::kInvalid, "command line"));
  }
  const Terminal terminal = OurTerminal();
  InitLogging("flockerctl");
  ClusterClient client(arguments.control, absl::Seconds(arguments.timeout),
                       ClientCredentials(arguments.transport, arguments.control, Role::kUser, arguments.user));
  Context context{.arguments = arguments, .terminal = terminal, .app = command_line.app(), .client = client};
  const absl::Status status = command_line.chosen()(context);
  if (status.ok()) return 0;
  if (arguments.json) {
    std::cerr << ErrorJson(status) << "\n";
  } else {
    std::cerr << "flockerctl: " << CauseName(CauseOf(status)) << ": " << status.message() << "\n";
  }
  return ExitCode(status);
}
