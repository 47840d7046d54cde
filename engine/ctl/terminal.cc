#include "engine/ctl/terminal.h"

#include <langinfo.h>
#include <unistd.h>

#include <cstdlib>

namespace flocker {

Terminal TerminalOf(bool output_is_one, bool error_is_one, std::string_view codeset, std::string_view term,
                    bool no_color) {
  const bool capable = !term.empty() && term != "dumb";
  return {.interactive = output_is_one,
          .progress = error_is_one && capable,
          .symbols = output_is_one && capable && codeset == "UTF-8" && term != "linux",
          .colour = output_is_one && capable && !no_color};
}

Terminal OurTerminal() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value != nullptr ? value : "");
  };
  return TerminalOf(isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1, nl_langinfo(CODESET), variable("TERM"),
                    !variable("NO_COLOR").empty());
}

}  // namespace flocker
