#include "engine/array/shell.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace flocker {
namespace {

// Without RunCommand's own message, which quotes the command.
absl::StatusOr<CommandResult> Told(absl::StatusOr<CommandResult> result, const std::string& what,
                                   const std::string& program, absl::Duration timeout) {
  if (result.ok()) return result;
  if (absl::IsDeadlineExceeded(result.status())) {
    return absl::UnavailableError(absl::StrCat(what, ": no answer within ", absl::FormatDuration(timeout)));
  }
  return absl::UnavailableError(absl::StrCat(what, ": cannot run '", program, "'"));
}

}  // namespace

std::string ShellQuote(std::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(absl::string_view(text.data(), text.size()), {{"'", "'\\''"}}), "'");
}

Shell::Shell(std::vector<std::string> prefix)
    : local_(prefix.empty()), prefix_(local_ ? std::vector<std::string>{"sh", "-c"} : std::move(prefix)) {}

absl::StatusOr<CommandResult> Shell::Run(const std::string& what, const std::string& line, absl::Duration timeout,
                                         const std::string& input) const {
  std::vector<std::string> argv = prefix_;
  argv.push_back(line);
  return Told(RunCommand(argv, timeout, input), what, argv[0], timeout);
}

absl::StatusOr<CommandResult> Shell::RunHere(const std::string& what, const std::vector<std::string>& argv,
                                             absl::Duration timeout, absl::Duration cpu) const {
  return Told(RunCommand(argv, timeout, "", cpu), what, argv[0], timeout);
}

}  // namespace flocker
