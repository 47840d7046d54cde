// packaging/SETTINGS.md says of every setting what the programs' own help says.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"

namespace flocker::testing {
namespace {

using Defaults = std::map<std::string, std::string>;  // by key; "-": none

std::vector<std::string> Lines(const std::string& text) { return absl::StrSplit(text, '\n'); }

Defaults Documented(const std::string& program) {
  const auto text = ReadFile(FLOCKER_SOURCE_DIR "/packaging/SETTINGS.md");
  EXPECT_TRUE(text.ok()) << text.status();
  Defaults defaults;
  bool wanted = false;
  const std::regex row(R"(\| `([a-z-]+)` \| (?:`([^`]+)`|-) \| .*)");
  for (const std::string& line : Lines(text.value_or(""))) {
    if (line.rfind("## ", 0) == 0) wanted = line.ends_with(": " + program);
    std::smatch cells;
    if (wanted && std::regex_match(line, cells, row)) defaults[cells[1]] = cells[2].matched ? cells[2].str() : "-";
  }
  return defaults;
}

Defaults Known(const std::string& program) {
  const auto help = RunChecked({absl::StrCat(FLOCKER_BIN_DIR "/", program), "--help"}, absl::Seconds(20));
  EXPECT_TRUE(help.ok()) << help.status();
  const std::set<std::string> not_settings = {"version", "restore", "adopt"};
  Defaults defaults;
  const std::regex option(R"(  --([a-z-]+)(?:,\S+)?(?: [A-Z]+(?::[A-Z]+)?(?:=(\S+))?)?(?: .*)?)");
  for (const std::string& line : Lines(help.value_or(""))) {
    std::smatch parts;
    if (!std::regex_match(line, parts, option) || not_settings.contains(parts[1])) continue;
    defaults[parts[1]] = parts[2].matched ? parts[2].str() : "-";
  }
  return defaults;
}

TEST(Settings, AreWhatTheTablesSay) {
  for (const char* program : {"flocker-agent", "flocker-control"}) {
    const Defaults known = Known(program);
    EXPECT_GE(known.size(), 10U) << "of " << program << "'s help";
    EXPECT_EQ(Documented(program), known) << program;
  }
}

}  // namespace
}  // namespace flocker::testing
