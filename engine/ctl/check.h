// One thing that `doctor` looked at.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flocker {

enum class Verdict {
  kGood,
  kWarning,  // works, with a limit or a risk that the remedy ends
  kBad,      // something will not work
};
std::string_view VerdictName(Verdict verdict);  // "ok", "warning", "failed"

struct Check {
  std::string subject;  // "kernel", "clock"
  Verdict verdict = Verdict::kGood;
  std::string found;
  std::string remedy;  // what to do; empty for kGood
};

// A line a check, and its remedy below it; with escape sequences if `colour`.
std::string FormatChecks(const std::vector<Check>& checks, bool colour);

}  // namespace flocker
