#include "engine/array/tgt_show.h"

#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace flocker {
namespace {

absl::Status NotUnderstood(absl::string_view line) {
  return absl::InvalidArgumentError(
      absl::StrCat("tgtadm printed '", absl::CHexEscape(line.substr(0, 200)), "', which is no part of its answer"));
}

// Takes "<key><number>" off the front of `text`.
template <class Number>
bool ConsumeNumber(absl::string_view* text, absl::string_view key, Number* number) {
  if (!absl::ConsumePrefix(text, key)) return false;
  const size_t digits = std::min(text->find_first_not_of("0123456789"), text->size());
  if (!absl::SimpleAtoi(text->substr(0, digits), number)) return false;
  text->remove_prefix(digits);
  return true;
}

// Indentation tells the levels apart: 0 a target, 4 a section of it, 8 an item of the section, 12 and 16 its details.
class Parser {
 public:
  bool Line(absl::string_view line) {
    const size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const absl::string_view text = line.substr(indent);
    if (indent == 0) return Target(text);
    if (targets_.empty() || text.empty()) return false;
    if (indent == 4) return Section(text);
    if (indent == 8) return Item(text);
    if (indent == 12) return Detail(text);
    return indent == 16 && in_ == In::kSessions;  // where a connection comes from, as its transport words it
  }
  std::vector<TgtTarget> Take() { return std::move(targets_); }

 private:
  enum class In { kNothing, kSystem, kSessions, kLuns, kAccounts, kAllowed };

  bool Target(absl::string_view text) {
    TgtTarget target;
    if (!ConsumeNumber(&text, "Target ", &target.tid) || !absl::ConsumePrefix(&text, ": ") || text.empty())
      return false;
    target.name = std::string(text);
    if (!names_.insert(target.name).second) return false;
    targets_.push_back(std::move(target));
    in_ = In::kNothing;
    return true;
  }

  bool Section(absl::string_view text) {
    if (text == "System information:") {
      in_ = In::kSystem;
    } else if (text == "I_T nexus information:") {
      in_ = In::kSessions;
    } else if (text == "LUN information:") {
      in_ = In::kLuns;
    } else if (text == "Account information:") {
      in_ = In::kAccounts;
    } else if (text == "ACL information:") {
      in_ = In::kAllowed;
    } else {
      return false;
    }
    return true;
  }

  bool Item(absl::string_view text) {
    TgtTarget& target = targets_.back();
    switch (in_) {
      case In::kNothing:
        return false;
      case In::kSystem:
        return true;
      case In::kSessions:
        return ConsumeNumber(&text, "I_T nexus: ", &target.sessions.emplace_back().id) && text.empty();
      case In::kLuns:
        return ConsumeNumber(&text, "LUN: ", &target.luns.emplace_back().number) && text.empty();
      case In::kAccounts:
        absl::ConsumeSuffix(&text, " (outgoing)");
        target.accounts.emplace_back(text);
        return true;
      case In::kAllowed:
        target.allowed.emplace_back(text);
        return true;
    }
    return false;
  }

  bool Detail(absl::string_view text) {
    TgtTarget& target = targets_.back();
    if (in_ == In::kSessions && !target.sessions.empty()) return SessionDetail(text, target.sessions.back());
    if (in_ == In::kLuns && !target.luns.empty()) return LunDetail(text, target.luns.back());
    return false;
  }

  static bool SessionDetail(absl::string_view text, TgtSession& session) {
    if (absl::ConsumePrefix(&text, "Initiator: ")) {
      const size_t alias = text.rfind(" alias: ");
      if (!session.initiator.empty() || alias == absl::string_view::npos) return false;
      session.initiator = std::string(text.substr(0, alias));
      return true;
    }
    if (absl::StartsWith(text, "Connection: ")) {
      return ConsumeNumber(&text, "Connection: ", &session.connections.emplace_back()) && text.empty();
    }
    return false;
  }

  static bool LunDetail(absl::string_view text, TgtLun& lun) {
    if (absl::StartsWith(text, "Size: ")) return ConsumeNumber(&text, "Size: ", &lun.megabytes);
    if (absl::ConsumePrefix(&text, "SCSI ID: ")) lun.scsi_id = std::string(text);
    if (absl::ConsumePrefix(&text, "Thin-provisioning: ")) lun.thin = text == "Yes";
    if (absl::ConsumePrefix(&text, "Backing store type: ")) lun.backing_type = std::string(text);
    if (absl::ConsumePrefix(&text, "Backing store path: ")) lun.backing_file = std::string(text);
    return true;  // the rest of what tgt knows of a LUN is of no use here
  }

  std::vector<TgtTarget> targets_;
  std::set<std::string> names_;
  In in_ = In::kNothing;
};

}  // namespace

absl::StatusOr<std::vector<TgtTarget>> ParseTgtTargets(std::string_view text) {
  Parser parser;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n', absl::SkipEmpty())) {
    if (!parser.Line(line)) return NotUnderstood(line);
  }
  return parser.Take();
}

absl::StatusOr<std::vector<std::string>> ParseTgtAccounts(std::string_view text) {
  std::vector<std::string> users;
  bool headed = false;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n', absl::SkipEmpty())) {
    if (!headed) {
      if (line != "Account list:") return NotUnderstood(line);
      headed = true;
    } else {
      if (!absl::ConsumePrefix(&line, "    ") || line.empty()) return NotUnderstood(line);
      users.emplace_back(line);
    }
  }
  return users;
}

}  // namespace flocker
