#include "engine/ctl/completion.h"

#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "engine/ctl/command_line.h"

namespace flocker {
namespace {

// Between these: options with a value; commands; what follows an option; what each command takes.
constexpr char kBegin[] = R"sh(# Completes flockerctl's words. Made by: flockerctl completion bash
_flockerctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command="" words="" kind="" value="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ $value ]]; then value=""; continue; fi
    case ${COMP_WORDS[i]} in
)sh";
constexpr char kCommands[] = R"sh(      -*) ;;
      *)
        case "${command:+$command }${COMP_WORDS[i]}" in
)sh";
constexpr char kKinds[] = R"sh(        esac
        ;;
    esac
  done
  case "$command $prev" in
)sh";
constexpr char kWords[] = R"sh(  esac
  if [[ -z $kind ]]; then
    case $command in
)sh";
// clang-format off: version 14 takes a part of it for code
constexpr char kEnd[] = R"sh(    esac
    [[ $cur == -* ]] && kind=""
  fi
  case $kind in
    DIRECTORY) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    FILE) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    DATASET | TRASHED | NODE) words+=" $(flockerctl names "$kind" 2>/dev/null)" ;;
    WORDS | "") ;;
    *) return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _flockerctl flockerctl
)sh";
// clang-format on

// What follows an option, or stands for an argument: words, or a kind of names.
struct Wanted {
  std::string kind;
  std::string words;
};

// CLI11 puts what a check allows behind the type's name: "ROLE:{client,node,control}".
Wanted WantedBy(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find('{');
  const size_t close = type.find('}');
  if (open == std::string::npos || close == std::string::npos) return {.kind = type.substr(0, type.find(':'))};
  return {.words = absl::StrReplaceAll(type.substr(open + 1, close - open - 1), {{",", " "}})};
}

// A pattern of bash's case: each word with `before` in its quotes, and `glob` in front of them.
std::string Pattern(const std::vector<std::string>& words, const std::string& glob = "",
                    const std::string& before = "") {
  return absl::StrJoin(words, " | ", [&](std::string* out, const std::string& word) {
    absl::StrAppend(out, glob, "\"", before, word, "\"");
  });
}

// The script's parts grow while the commands are walked over.
class BashScript {
 public:
  explicit BashScript(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& flag : FlagsOf(*option)) globals_.push_back(flag);
    }
    for (const DescribedCommand& command : DescribedCommands(app)) Add(command);
  }

  std::string Text() const {
    return absl::StrCat(kBegin, "      ", absl::StrJoin(valued_, " | "), ") value=1 ;;\n", kCommands, commands_, kKinds,
                        kinds_, kWords, takes_, kEnd);
  }

 private:
  void Add(const DescribedCommand& command) {
    std::set<std::string> words;
    if (!command.path.empty()) words.insert(globals_.begin(), globals_.end());
    std::string kind;
    for (const CLI::Option* option : command.app->get_options()) {
      const std::vector<std::string> flags = FlagsOf(*option);
      words.insert(flags.begin(), flags.end());
      if (option->get_positional()) {
        const Wanted wanted = WantedBy(*option);
        if (kind.empty()) kind = wanted.kind;  // the first one's
        for (const auto word : absl::StrSplit(wanted.words, ' ', absl::SkipEmpty())) words.emplace(word);
      } else if (option->get_expected_max() > 0) {
        AddValued(command.path, *option);
      }
    }
    for (const CLI::App* sub : VisibleCommands(*command.app)) {
      std::vector<std::string> names = {command.path.empty() ? sub->get_name()
                                                             : absl::StrCat(command.path, " ", sub->get_name())};
      absl::StrAppend(&commands_, "          ");
      words.insert(sub->get_name());
      for (const std::string& alias : sub->get_aliases()) {
        words.insert(alias);
        names.push_back(alias);
      }
      absl::StrAppend(&commands_, Pattern(names), ") command=\"", names.front(), "\" ;;\n");
    }
    absl::StrAppend(&takes_, "      \"", command.path, "\") words=\"", absl::StrJoin(words, " "), "\"",
                    kind.empty() ? "" : absl::StrCat(" kind=", kind), " ;;\n");
  }

  void AddValued(const std::string& path, const CLI::Option& option) {
    const std::vector<std::string> flags = FlagsOf(option);
    valued_.insert(flags.begin(), flags.end());
    // Those of flockerctl itself stand behind any command.
    const Wanted wanted = WantedBy(option);
    absl::StrAppend(&kinds_, "    ", Pattern(flags, path.empty() ? "*" : "", path + " "), ") ",
                    wanted.words.empty() ? absl::StrCat("kind=", wanted.kind)
                                         : absl::StrCat("kind=WORDS words=\"", wanted.words, "\""),
                    " ;;\n");
  }

  std::vector<std::string> globals_;
  std::set<std::string> valued_;
  std::string commands_;
  std::string kinds_;
  std::string takes_;
};

}  // namespace

std::string BashCompletion(const CLI::App& app) { return BashScript(app).Text(); }

std::string ZshCompletion(const CLI::App& app) {
  // compinit loads a file of fpath by its name at the first completion, which it is then to answer, too.
  return absl::StrCat("#compdef flockerctl\nautoload -U +X bashcompinit && bashcompinit\n", BashCompletion(app),
                      "if [[ $funcstack[1] == _flockerctl ]]; then _bash_complete -F _flockerctl; fi\n");
}

absl::Status Completion(Context& context) {
  std::cout << (context.arguments.shell == "zsh" ? ZshCompletion(context.app) : BashCompletion(context.app));
  return absl::OkStatus();
}

absl::Status Names(Context& context) {
  ASSIGN_OR_RETURN(const rpc::ViewReply view, context.client.View());
  if (context.arguments.kind == kNodeType) {
    for (const rpc::NodeView& node : view.nodes()) std::cout << node.name() << "\n";
  }
  if (context.arguments.kind == kDatasetType || context.arguments.kind == kTrashedType) {
    for (const rpc::DatasetView& dataset : view.datasets()) {
      if (dataset.deleted() == (context.arguments.kind == kTrashedType)) std::cout << dataset.name() << "\n";
    }
  }
  return absl::OkStatus();
}

}  // namespace flocker
