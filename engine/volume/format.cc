#include "engine/volume/format.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "engine/base/subprocess.h"

namespace flocker {
namespace {

constexpr absl::Duration kMkfsTimeout = absl::Minutes(10);

// Private: DecideFormat has said yes.
absl::Status Mkfs(const std::string& device, const DatasetId& id) {
  // Block, inode size and inode ratio are given, because mkfs would choose by size and the dataset may grow. nodiscard:
  // a fresh LUN is thin already. -F: a whole disk and an earlier ext4 of ours are what we expect; a device in use is
  // refused even so (mke2fs(8): that needs it twice).
  const auto output =
      RunChecked({"mkfs.ext4", "-F", "-q", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-e", "remount-ro",
                  "-U", id.str(), "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", device},
                 kMkfsTimeout);
  return Annotate(output.status(), absl::StrCat("cannot make the filesystem of ", id.str()));
}

// e2fsck(8), exit code: the lowest two bits are corrections, the third is damage it leaves to a human, the others are
// failures of the check itself.
constexpr int kCorrected = 1 | 2;
constexpr int kUncorrected = 4;

// One run of e2fsck to its end: what it found, or an error when it could not look at everything.
absl::StatusOr<CommandResult> Check(const std::string& device, const std::vector<std::string>& options,
                                    absl::Duration timeout) {
  std::vector<std::string> argv = {"env", "LC_ALL=C", "e2fsck"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(device);
  ASSIGN_OR_RETURN(CommandResult result, RunCommand(argv, timeout));
  if ((result.exit_code & ~(kCorrected | kUncorrected)) != 0) {
    return Refuse(Cause::kIo, absl::StrCat("e2fsck could not check ", device, " (exit code ", result.exit_code,
                                           "): ", result.output));
  }
  return result;
}

// What is left when resize2fs is killed: the inode that keeps room for more group descriptors (ext4's 7), and the
// counts of free blocks. Measured by killing it before each of its writes.
bool ConcernsTheResizeInodeAlone(const std::string& complaints) {
  static constexpr auto kKnown = std::to_array<std::string_view>(
      {"Pass ", "e2fsck ", "Resize inode not valid.", "Recreate? no", "Clear? no", "Clear inode? no", "Fix? no",
       "Suppress messages? no", "IGNORED.", "Too many illegal blocks in inode 7.", "Inode 7 has illegal block(s).",
       "Inode 7, i_blocks is ", "Free blocks count wrong", "Block bitmap differences:"});
  bool to_the_end = false;
  for (const absl::string_view line : absl::StrSplit(complaints, '\n', absl::SkipWhitespace())) {
    const bool known = std::any_of(kKnown.begin(), kKnown.end(), [&](std::string_view begin) {
      return absl::StartsWith(line, absl::string_view(begin.data(), begin.size()));
    });
    const bool illegal_block = absl::StartsWith(line, "Illegal block #") && absl::StrContains(line, " in inode 7.");
    const bool summary = absl::EndsWith(line, " blocks");  // "/dev/loop0: 12/8192 files (…), 4634/32768 blocks"
    to_the_end = to_the_end || summary;
    if (!known && !illegal_block && !summary && !absl::StrContains(line, "WARNING: Filesystem still has errors")) {
      return false;
    }
  }
  return to_the_end;
}

// The one case in which e2fsck is answered yes: the filesystem was found whole before resize2fs began.
absl::StatusOr<CommandResult> MendInterruptedGrowth(const std::string& device, absl::Duration timeout) {
  ASSIGN_OR_RETURN(CommandResult check, Check(device, {"-f", "-n"}, timeout));
  if (!ConcernsTheResizeInodeAlone(check.output)) {
    check.exit_code |= kUncorrected;
    return check;
  }
  ASSIGN_OR_RETURN(check, Check(device, {"-f", "-y"}, timeout));
  if ((check.exit_code & kUncorrected) == 0) RETURN_IF_ERROR(SetLabel(device, "").status());
  return check;
}

absl::Status Damaged(const std::string& device, const std::string& reason, const CommandResult& check) {
  return Refuse(Cause::kIo, absl::StrCat("the filesystem on ", device, " is damaged (", reason,
                                         ") and e2fsck -p cannot repair it on its own: ", check.output, " Run e2fsck ",
                                         device, " by hand, then try again"));
}

}  // namespace

absl::StatusOr<Prepared> PrepareFilesystem(const std::string& device, const DatasetId& id, bool formatted,
                                           absl::Duration check_timeout) {
  ASSIGN_OR_RETURN(const ProbeResult probe, ProbeDevice(device));
  const FormatDecision decision = DecideFormat(formatted, probe, id);
  Prepared prepared;
  prepared.done = decision.action;
  switch (decision.action) {
    case FormatAction::kRefuse:
      return Refuse(Cause::kForbidden,
                    absl::StrCat("will not touch ", device, " for dataset ", id.str(), ": ", decision.why));
    case FormatAction::kMkfs:
    case FormatAction::kRecreate:
      RETURN_IF_ERROR(Mkfs(device, id));
      return prepared;
    case FormatAction::kAdopt: {
      ASSIGN_OR_RETURN(const CommandResult check, Check(device, {"-f", "-p"}, check_timeout));
      prepared.check = absl::StrCat("adopted: ", check.output);
      if ((check.exit_code & kUncorrected) == 0) return prepared;
      prepared.done = FormatAction::kRecreate;  // its superblock said clean and was wrong; nobody has ever used it
      RETURN_IF_ERROR(Mkfs(device, id));
      return prepared;
    }
    case FormatAction::kMount:
      break;
  }
  const std::string reason = probe.ext4->CheckReason(absl::ToUnixSeconds(absl::Now()));
  if (reason.empty()) return prepared;
  ASSIGN_OR_RETURN(const CommandResult check, probe.ext4->GrowthWasInterrupted()
                                                  ? MendInterruptedGrowth(device, check_timeout)
                                                  : Check(device, {"-p"}, check_timeout));
  if ((check.exit_code & kUncorrected) != 0) return Damaged(device, reason, check);
  prepared.check = absl::StrCat(reason, ": ", check.output);
  return prepared;
}

absl::StatusOr<std::string> SetLabel(const std::string& device, const std::string& label) {
  return RunChecked({"tune2fs", "-L", label, device}, kMkfsTimeout);
}

absl::Status CheckWhole(const std::string& device, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const CommandResult check, Check(device, {"-f", "-p"}, timeout));
  return (check.exit_code & kUncorrected) == 0 ? absl::OkStatus() : Damaged(device, "a whole check said so", check);
}

}  // namespace flocker
