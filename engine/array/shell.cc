#include "engine/array/shell.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace flocker {

std::string ShellQuote(std::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(absl::string_view(text.data(), text.size()), {{"'", "'\\''"}}), "'");
}

Shell::Shell(std::vector<std::string> prefix)
    : local_(prefix.empty()), prefix_(local_ ? std::vector<std::string>{"sh", "-c"} : std::move(prefix)) {}

absl::StatusOr<CommandResult> Shell::Run(const std::string& what, const std::string& line, absl::Duration timeout,
                                         const std::string& input) const {
  std::vector<std::string> argv = prefix_;
  argv.push_back(line);
  auto result = RunCommand(argv, timeout, input);
  if (result.ok()) return result;
  // RunCommand's own message quotes the command.
  if (absl::IsDeadlineExceeded(result.status())) {
    return absl::UnavailableError(absl::StrCat(what, ": no answer within ", absl::FormatDuration(timeout)));
  }
  return absl::UnavailableError(absl::StrCat(what, ": cannot run '", prefix_[0], "'"));
}

}  // namespace flocker
