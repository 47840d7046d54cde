#include "engine/ctl/check.h"

#include "absl/strings/str_cat.h"
#include "engine/ctl/table.h"

namespace flocker {

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kBad:
      return "failed";
  }
  return "";
}

std::string FormatChecks(const std::vector<Check>& checks, bool colour) {
  std::string text;
  for (const Check& check : checks) {
    const Paint paint = check.verdict == Verdict::kGood      ? Paint::kGreen
                        : check.verdict == Verdict::kWarning ? Paint::kYellow
                                                             : Paint::kRed;
    std::string verdict(VerdictName(check.verdict));
    verdict.resize(7, ' ');
    absl::StrAppend(&text, colour ? Painted(verdict, paint) : verdict, "  ", check.subject, ": ", check.found, "\n");
    if (!check.remedy.empty()) absl::StrAppend(&text, "         -> ", check.remedy, "\n");
  }
  return text;
}

}  // namespace flocker
