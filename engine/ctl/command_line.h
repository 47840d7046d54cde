// Every command and option of flockerctl, declared once: main parses with it, help, completion and the test of the man
// page walk over it.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "engine/ctl/arguments.h"
#include "engine/ctl/context.h"

namespace flocker {

// What an option or argument takes: its type name in the help, and how a completion finds words for it.
inline constexpr char kDatasetType[] = "DATASET";
inline constexpr char kTrashedType[] = "TRASHED";
inline constexpr char kNodeType[] = "NODE";
inline constexpr char kDirectoryType[] = "DIRECTORY";
inline constexpr char kFileType[] = "FILE";

class CommandLine {
 public:
  // Parsing fills `arguments`, which must outlive this.
  explicit CommandLine(Arguments& arguments);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App& app() { return app_; }
  const CLI::App& app() const { return app_; }

  // The command that was parsed.
  Command chosen() const;

 private:
  CLI::App* Add(CLI::App* parent, const std::string& name, const std::string& text, Command command);
  void AddGlobals();
  void AddDatasets();
  void AddLeases();
  void AddNodes();
  void AddHistory();
  void AddDiagnosis();
  void AddAuthority();
  void AddWait(CLI::App* command);

  Arguments& arguments_;
  CLI::App app_{"Flocker: datasets and the nodes they are on"};
  std::map<const CLI::App*, Command> commands_;
};

// The commands of a command but the hidden ones.
std::vector<const CLI::App*> VisibleCommands(const CLI::App& app);

// A command as it is typed, "nodes drain", with what it takes. Hidden ones are left out.
struct DescribedCommand {
  std::string path;  // empty: flockerctl itself
  const CLI::App* app = nullptr;
};
std::vector<DescribedCommand> DescribedCommands(const CLI::App& app);

// "-n", "--node" of an option; nothing for an argument.
std::vector<std::string> FlagsOf(const CLI::Option& option);

}  // namespace flocker
