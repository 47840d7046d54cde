#include "lab/qmp.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"

namespace flocker::lab {

absl::StatusOr<nlohmann::json> Qmp::Call(const std::string& command, nlohmann::json arguments, absl::Time deadline) {
  RETURN_IF_ERROR(socket_.Send({{"execute", command}, {"arguments", std::move(arguments)}}, deadline));
  while (true) {
    ASSIGN_OR_RETURN(const nlohmann::json answer, socket_.Receive(deadline));
    if (answer.contains("return")) return answer["return"];
    if (answer.contains("error")) {
      return absl::InternalError(absl::StrCat("QEMU refuses ", command, ": ", answer["error"].dump()));
    }
  }
}

absl::StatusOr<nlohmann::json> Qmp::Execute(const std::string& command, nlohmann::json arguments,
                                            absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  if (!socket_.connected()) {
    RETURN_IF_ERROR(socket_.Connect(path_));
    const auto greeted = socket_.Receive(deadline);  // {"QMP": …} comes first, and nothing is taken before this answer
    const auto ready = greeted.ok() ? Call("qmp_capabilities", nlohmann::json::object(), deadline) : greeted;
    if (!ready.ok()) {
      socket_.Close();
      return ready.status();
    }
  }
  auto answer = Call(command, std::move(arguments), deadline);
  // An answer that comes after all must not be taken for the next command's.
  if (!answer.ok() && !absl::IsInternal(answer.status())) socket_.Close();
  return answer;
}

}  // namespace flocker::lab
