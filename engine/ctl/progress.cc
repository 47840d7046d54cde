#include "engine/ctl/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/model/dataset.h"

namespace flocker {
namespace {

std::string_view StepOf(const std::string& phase) {
  switch (PhaseFromName(phase).value_or(Phase::kAttached)) {
    case Phase::kProvisioning:
      return "the array makes its LUN";
    case Phase::kDetached:
      return "nobody holds it";
    case Phase::kGranting:
      return "the array lets the node in";
    case Phase::kAttaching:
      return "the node logs in and mounts";
    case Phase::kAttached:
      return "mounted";
    case Phase::kDetaching:
      return "the node lets go of it";
    case Phase::kRevoking:
      return "the array withdraws the grant";
    case Phase::kRenewing:
      return "the node's session is renewed";
    case Phase::kFencing:
      return "the array cuts the node off";
    case Phase::kTrashed:
      return "in the trash";
    case Phase::kPurging:
      return "the array deletes its LUN";
  }
  return "";
}

}  // namespace

std::string StepText(const rpc::DatasetView& dataset) {
  std::string text(StepOf(dataset.phase()));
  if (!dataset.error().empty()) absl::StrAppend(&text, " (tried again: ", dataset.error(), ")");
  return text;
}

std::string ProgressLine(const std::string& title, const std::string& step, absl::Duration elapsed, size_t columns) {
  const std::string time = absl::StrFormat(", %.1fs", absl::ToDoubleSeconds(elapsed));
  std::string text = absl::StrCat(title, ": ", step);
  if (columns > time.size() + 4 && text.size() + time.size() >= columns) {
    size_t end = columns - time.size() - 4;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not within a character
    text = absl::StrCat(text.substr(0, end), "...");
  }
  return text + time;
}

Progress::Progress(std::string title, size_t columns, std::ostream& out)
    : title_(std::move(title)), columns_(columns), out_(out) {}

Progress::~Progress() {
  if (columns_ != 0 && !shown_.empty()) out_ << "\r\033[K" << std::flush;
}

void Progress::Show(const std::string& step, absl::Duration elapsed) {
  const bool same = step == shown_;
  shown_ = step;
  if (columns_ != 0) {
    out_ << "\r\033[K" << ProgressLine(title_, step, elapsed, columns_) << std::flush;
  } else if (!same) {
    out_ << ProgressLine(title_, step, elapsed, 0) << std::endl;
  }
}

size_t TerminalColumns() {
  struct winsize size {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace flocker
