#include "lab/guest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"

namespace flocker::lab {
namespace {

// How long a machine that runs may take for an answer; an emulated one on a busy host is slow.
constexpr absl::Duration kAnswer = absl::Seconds(20);
// A request to a port that nobody in the machine has opened yet is lost: ask again, and with more patience each time.
constexpr absl::Duration kAskAgain = absl::Milliseconds(300);
constexpr absl::Duration kPoll = absl::Milliseconds(20);
constexpr size_t kChunk = size_t{1} << 20;

}  // namespace

absl::StatusOr<nlohmann::json> Guest::Call(const std::string& command, const nlohmann::json& arguments,
                                           absl::Time deadline) {
  const int64_t id = ++last_id_;
  const absl::Status sent = socket_.Send({{"execute", command}, {"arguments", arguments}, {"id", id}}, deadline);
  absl::StatusOr<nlohmann::json> answer = sent.ok() ? socket_.Receive(deadline) : sent;
  // Another id: the answer to a request that we gave up.
  while (answer.ok() && answer->value("id", int64_t{0}) != id) answer = socket_.Receive(deadline);
  if (!answer.ok()) {
    answers_ = false;
    if (!sent.ok() || !absl::IsDeadlineExceeded(answer.status())) socket_.Close();
    return answer.status();
  }
  if (answer->contains("return")) return (*answer)["return"];
  return absl::InternalError(absl::StrCat("the guest agent refuses ", command, ": ", answer->dump()));
}

absl::Status Guest::Synchronize(absl::Time deadline) {
  absl::Duration patience = kAskAgain;
  while (!answers_) {
    // The connection is kept from one attempt to the next: a new one makes the agent open its port anew, which is slow.
    absl::Status status = socket_.connected() ? absl::OkStatus() : socket_.Connect(path_);
    if (status.ok()) {
      status = Call("guest-ping", nlohmann::json::object(), std::min(deadline, absl::Now() + patience)).status();
    }
    answers_ = status.ok();
    if (!answers_ && absl::Now() > deadline) return status;
    if (!answers_ && !absl::IsDeadlineExceeded(status)) absl::SleepFor(kPoll);
    patience = std::min(2 * patience, kAnswer);
  }
  return absl::OkStatus();
}

absl::Status Guest::WaitReady(absl::Time deadline) {
  answers_ = false;
  return Synchronize(deadline);
}

void Guest::Close() {
  socket_.Close();
  answers_ = false;
}

absl::StatusOr<CommandResult> Guest::Exec(const std::string& command, const std::string& input,
                                          absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout + kAnswer;
  RETURN_IF_ERROR(Synchronize(std::min(deadline, absl::Now() + kAnswer)));
  nlohmann::json arguments = {{"path", "/usr/bin/timeout"},
                              {"arg",
                               {"--kill-after=2", absl::StrFormat("%.3f", absl::ToDoubleSeconds(timeout)), "/bin/bash",
                                "-c", absl::StrCat("exec 2>&1\n", command)}},
                              {"capture-output", true}};
  if (!input.empty()) arguments["input-data"] = absl::Base64Escape(input);
  ASSIGN_OR_RETURN(const nlohmann::json started, Call("guest-exec", arguments, deadline));
  while (true) {
    ASSIGN_OR_RETURN(const nlohmann::json status,
                     Call("guest-exec-status", {{"pid", started.value("pid", 0)}}, deadline));
    if (status.value("exited", false)) {
      CommandResult result;
      result.exit_code = status.contains("signal") ? 128 + status.value("signal", 0) : status.value("exitcode", -1);
      if (!absl::Base64Unescape(status.value("out-data", ""), &result.output)) {
        return absl::InternalError("the guest agent's output is not base64");
      }
      return result;
    }
    if (absl::Now() > deadline) return absl::DeadlineExceededError(absl::StrCat("'", command, "' does not end"));
    absl::SleepFor(kPoll);
  }
}

absl::StatusOr<CommandResult> Guest::Run(const std::string& command, absl::Duration timeout) {
  return Exec(command, "", timeout);
}

absl::Status Guest::Push(const std::string& path, const std::string& content, mode_t mode) {
  const std::string quoted = absl::StrCat("'", path, "'");
  size_t done = 0;
  do {
    const std::string part = content.substr(done, kChunk);
    const std::string redirection = done == 0 ? ">" : ">>";
    // Without input data the agent leaves standard input as it is.
    const std::string from = part.empty() ? "cat /dev/null " : "cat ";
    ASSIGN_OR_RETURN(const CommandResult result,
                     Exec(absl::StrCat(from, redirection, quoted, absl::StrFormat(" && chmod %o ", mode), quoted), part,
                          absl::Seconds(60)));
    if (result.exit_code != 0) return absl::InternalError(absl::StrCat("cannot write ", path, ": ", result.output));
    done += part.size();
  } while (done < content.size());
  return absl::OkStatus();
}

absl::StatusOr<std::string> Guest::Pull(const std::string& path) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  RETURN_IF_ERROR(Synchronize(deadline));
  ASSIGN_OR_RETURN(const nlohmann::json handle, Call("guest-file-open", {{"path", path}, {"mode", "r"}}, deadline));
  std::string content;
  while (true) {
    ASSIGN_OR_RETURN(const nlohmann::json part,
                     Call("guest-file-read", {{"handle", handle}, {"count", kChunk}}, deadline));
    std::string bytes;
    if (!absl::Base64Unescape(part.value("buf-b64", ""), &bytes)) {
      return absl::InternalError(absl::StrCat("what the guest agent read from ", path, " is not base64"));
    }
    content += bytes;
    if (part.value("eof", true)) break;
  }
  RETURN_IF_ERROR(Call("guest-file-close", {{"handle", handle}}, deadline).status());
  return content;
}

}  // namespace flocker::lab
