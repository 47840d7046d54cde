// What the terminal that we write to can show.
#pragma once

#include <string_view>

namespace flocker {

struct Terminal {
  bool interactive = false;  // results go to a terminal: somebody watches
  bool progress = false;     // standard error is one that can rewrite its line
  bool symbols = false;      // ✅ and ⌛
  bool colour = false;
};

// Pure: from isatty of standard output and error, nl_langinfo(CODESET), $TERM, and whether $NO_COLOR (no-color.org) is
// set to anything. The Linux console has colours and no such symbols.
Terminal TerminalOf(bool output_is_one, bool error_is_one, std::string_view codeset, std::string_view term,
                    bool no_color);

// This process's. setlocale must have been called.
Terminal OurTerminal();

}  // namespace flocker
