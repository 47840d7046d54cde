// Where the array's commands run: in a shell of this machine, or of the array's head.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/subprocess.h"

namespace flocker {

// `text` as one word of a POSIX shell line.
std::string ShellQuote(std::string_view text);

class Shell {
 public:
  // `prefix` is the command that takes a shell line as one further argument: {"ssh", "-q", "root@array"}, or empty for
  // {"sh", "-c"} here. It must add nothing of its own to the output.
  explicit Shell(std::vector<std::string> prefix);

  // Runs the line to its end, at most `timeout`. `input` is what it reads: of a secret no list of processes then shows
  // more than the line makes of it. Errors say `what`. Unavailable when it could not be run or did not end.
  absl::StatusOr<CommandResult> Run(const std::string& what, const std::string& line, absl::Duration timeout,
                                    const std::string& input = "") const;

  // The same for one program of this machine: without a shell, and with at most `cpu` of processor time, also when this
  // process has ended. local() alone.
  absl::StatusOr<CommandResult> RunHere(const std::string& what, const std::vector<std::string>& argv,
                                        absl::Duration timeout, absl::Duration cpu) const;

  // Whether commands run on this machine, without a prefix.
  bool local() const { return local_; }

 private:
  const bool local_;
  const std::vector<std::string> prefix_;
};

}  // namespace flocker
