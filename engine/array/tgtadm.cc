#include "engine/array/tgtadm.h"

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);
// It is ended before that, by whom is there: a tgtadm whose tgtd dies in the middle of an answer reads its end for
// ever, on a whole core (usr/tgtadm.c takes a read of 0 bytes for progress), and may be on the array's head, or not
// ours any more.
constexpr absl::Duration kCpu = absl::Seconds(8);
constexpr char kBounded[] = "exec timeout --kill-after=1 8";

std::string Flag(uint64_t number) { return absl::StrCat(number); }

}  // namespace

// The secret is in the command line of tgtadm, for want of another way.
absl::StatusOr<CommandResult> Tgtadm::Here(const std::string& shown, const std::string& verb,
                                           const std::vector<std::string>& words, const std::string* secret) const {
  std::vector<std::string> argv = absl::StrSplit(verb, ' ');
  argv.insert(argv.end(), words.begin(), words.end());
  if (secret != nullptr) argv.insert(argv.end(), {"--password", *secret});
  return shell_.RunHere(shown, argv, kTimeout, kCpu);
}

// There in that of its timeout as well: not in the shell's, nor in that of an ssh to it.
absl::StatusOr<CommandResult> Tgtadm::There(const std::string& shown, const std::string& verb,
                                            const std::vector<std::string>& words, const std::string* secret) const {
  std::string line = absl::StrCat(secret != nullptr ? "IFS= read -r secret; " : "", kBounded, " ", verb);
  for (const std::string& word : words) absl::StrAppend(&line, " ", ShellQuote(word));
  if (secret != nullptr) absl::StrAppend(&line, " --password \"$secret\"");
  return shell_.Run(shown, line, kTimeout, secret != nullptr ? *secret + "\n" : "");
}

absl::StatusOr<std::string> Tgtadm::Run(const std::string& op, const std::string& mode,
                                        const std::vector<std::string>& words, const std::string* secret) const {
  const std::string shown = absl::StrCat("tgtadm -C ", control_number_, " --op ", op, " --mode ", mode,
                                         words.empty() ? "" : " ", absl::StrJoin(words, " "));
  const std::string verb = absl::StrCat("tgtadm -C ", control_number_, " --lld iscsi --op ", op, " --mode ", mode);
  ASSIGN_OR_RETURN(CommandResult result,
                   shell_.local() ? Here(shown, verb, words, secret) : There(shown, verb, words, secret));
  if (result.exit_code == 0) return std::move(result.output);
  const std::string message = absl::StrCat(shown, ": ", absl::StripAsciiWhitespace(result.output));
  // usr/tgtadm.c, ipc_mgmt_rsp: EINVAL is tgtd's own refusal; everything else means that it was not asked.
  if (result.exit_code == EINVAL) return absl::InternalError(message);
  return absl::UnavailableError(absl::StrCat(message, " (exit code ", result.exit_code, "). Is tgtd running?"));
}

absl::Status Tgtadm::Change(const std::string& op, const std::string& mode, const std::vector<std::string>& words,
                            const std::string* secret) const {
  ASSIGN_OR_RETURN(const std::string output, Run(op, mode, words, secret));
  // A change that was made says nothing; one whose answer was lost complains, and exits with 0 all the same.
  if (output.empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("tgtadm --op ", op, " --mode ", mode, " ", absl::StrJoin(words, " "), ": ",
                                             absl::StripAsciiWhitespace(output)));
}

absl::Status Tgtadm::Answers() const { return Run("show", "system", {}).status(); }

absl::StatusOr<std::vector<TgtTarget>> Tgtadm::Targets() const {
  ASSIGN_OR_RETURN(const std::string output, Run("show", "target", {}));
  auto targets = ParseTgtTargets(output);
  if (!targets.ok()) return absl::UnavailableError(targets.status().message());
  return targets;
}

absl::Status Tgtadm::NewTarget(uint32_t tid, const std::string& name) const {
  RETURN_IF_ERROR(Change("new", "target", {"--tid", Flag(tid), "-T", name}));
  // As much in one piece as libiscsi takes (RFC 7143 §13.12). tgt's own 8 KiB would cut a write of 1 MiB into 128
  // pieces, and have all but the first 8 KiB of any write wait for the target to ask for it; now it is all but the
  // first 64 KiB, tgt's FirstBurstLength. More is not worth another call: a renewal of a grant is a pause of the
  // dataset's I/O.
  return Change("update", "target", {"--tid", Flag(tid), "--name", "MaxRecvDataSegmentLength", "--value", "262144"});
}

absl::Status Tgtadm::DeleteTarget(uint32_t tid) const { return Change("delete", "target", {"--tid", Flag(tid)}); }

absl::Status Tgtadm::NewLun(uint32_t tid, uint32_t lun, const std::string& file, const std::string& scsi_id) const {
  const std::vector<std::string> which = {"--tid", Flag(tid), "--lun", Flag(lun)};
  std::vector<std::string> words = which;
  // `aio` would answer a flush without flushing, and free nothing on a discard.
  words.insert(words.end(), {"--bstype", "rdwr", "-b", file});
  RETURN_IF_ERROR(Change("new", "logicalunit", words));
  words = which;
  words.insert(words.end(), {"--params", absl::StrCat("thin_provisioning=1,scsi_id=", scsi_id, ",scsi_sn=", scsi_id)});
  return Change("update", "logicalunit", words);
}

absl::Status Tgtadm::DeleteLun(uint32_t tid, uint32_t lun) const {
  return Change("delete", "logicalunit", {"--tid", Flag(tid), "--lun", Flag(lun)});
}

absl::StatusOr<std::vector<std::string>> Tgtadm::Accounts() const {
  ASSIGN_OR_RETURN(const std::string output, Run("show", "account", {}));
  auto accounts = ParseTgtAccounts(output);
  if (!accounts.ok()) return absl::UnavailableError(accounts.status().message());
  return accounts;
}

absl::Status Tgtadm::NewAccount(const std::string& user, const std::string& secret) const {
  return Change("new", "account", {"--user", user}, &secret);
}

absl::Status Tgtadm::DeleteAccount(const std::string& user) const {
  return Change("delete", "account", {"--user", user});
}

absl::Status Tgtadm::BindAccount(uint32_t tid, const std::string& user) const {
  return Change("bind", "account", {"--tid", Flag(tid), "--user", user});
}

absl::Status Tgtadm::Allow(uint32_t tid, const std::string& initiator) const {
  return Change("bind", "target", {"--tid", Flag(tid), "--initiator-name", initiator});
}

absl::Status Tgtadm::Disallow(uint32_t tid, const std::string& entry) const {
  // RFC 7143 §4.2.7.3: every iSCSI name begins with one of these; tgt's list holds addresses as well.
  const bool name =
      absl::StartsWith(entry, "iqn.") || absl::StartsWith(entry, "eui.") || absl::StartsWith(entry, "naa.");
  return Change("unbind", "target", {"--tid", Flag(tid), name ? "--initiator-name" : "--initiator-address", entry});
}

absl::Status Tgtadm::DeleteConnection(uint32_t tid, uint64_t session, uint32_t connection) const {
  return Change("delete", "conn", {"--tid", Flag(tid), "--sid", Flag(session), "--cid", Flag(connection)});
}

}  // namespace flocker
