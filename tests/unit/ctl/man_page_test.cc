// The man page describes every command, option and exit code, and no other command.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/ctl/command_line.h"
#include "engine/ctl/exit_code.h"

namespace flocker {
namespace {

// The texts of the commands by their paths; of the sections outside of COMMANDS by their names.
std::map<std::string, std::string> Sections() {
  const auto page = ReadFile(FLOCKER_SOURCE_DIR "/engine/ctl/flockerctl.1");
  EXPECT_TRUE(page.ok()) << page.status();
  std::map<std::string, std::string> sections;
  std::string* section = nullptr;
  for (const auto line : absl::StrSplit(absl::StrReplaceAll(page.value_or(""), {{"\\-", "-"}}), '\n')) {
    absl::string_view name = line;
    if (absl::ConsumePrefix(&name, ".SS ") || absl::ConsumePrefix(&name, ".SH ")) {
      section = &sections[std::string(name)];
    } else if (section != nullptr) {
      absl::StrAppend(section, line, "\n");
    }
  }
  return sections;
}

bool Describes(const std::string& section, const std::string& flag) {
  for (const auto line : absl::StrSplit(section, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" ,\""));
    for (const std::string& word : words) {
      if (word == flag && absl::StartsWith(line, ".B")) return true;
    }
  }
  return false;
}

TEST(ManPage, DescribesEveryCommandAndOption) {
  const auto sections = Sections();
  Arguments arguments;
  const CommandLine command_line(arguments);
  for (const DescribedCommand& command : DescribedCommands(command_line.app())) {
    const std::string name = command.path.empty() ? "OPTIONS" : command.path;
    ASSERT_TRUE(sections.contains(name)) << "the man page lacks '" << name << "'";
    const std::string& section = sections.at(name);
    for (const CLI::Option* option : command.app->get_options()) {
      for (const std::string& flag : FlagsOf(*option)) {
        if (!command.path.empty() && (flag == "-h" || flag == "--help")) continue;  // is everywhere
        EXPECT_TRUE(Describes(section, flag)) << name << " lacks " << flag;
      }
      if (option->get_positional()) {
        EXPECT_TRUE(absl::StrContains(section, option->get_single_name()) || command.path == "completion")
            << name << " lacks its " << option->get_single_name();
      }
    }
    for (const std::string& alias : command.app->get_aliases()) {
      EXPECT_TRUE(absl::StrContains(section, alias)) << name << " lacks its other name, " << alias;
    }
  }
}

TEST(ManPage, DescribesNothingElse) {
  std::set<std::string> known = {"NAME",     "SYNOPSIS",    "DESCRIPTION", "OPTIONS",
                                 "COMMANDS", "ENVIRONMENT", "EXAMPLES",    "EXIT STATUS"};
  Arguments arguments;
  const CommandLine command_line(arguments);
  for (const DescribedCommand& command : DescribedCommands(command_line.app())) known.insert(command.path);
  for (const auto& [name, section] : Sections()) EXPECT_TRUE(known.contains(name)) << name;
}

TEST(ManPage, HasEveryExitCodeWithItsCause) {
  const std::string section = Sections()["EXIT STATUS"];
  for (int i = 0; i <= static_cast<int>(Cause::kIo); ++i) {
    const auto cause = static_cast<Cause>(i);
    const std::string entry =
        absl::StrCat(".B ", ExitCode(Refuse(cause, "x")), "\n", std::string(CauseName(cause)), ":");
    EXPECT_TRUE(absl::StrContains(section, entry)) << entry;
  }
}

}  // namespace
}  // namespace flocker
