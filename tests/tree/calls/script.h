// A small language for lists of filesystem calls and what each must answer, so that the same list runs on two
// directories and the outcomes are compared.
#pragma once

#include <string>
#include <vector>

namespace flocker::testing {

// One call a line; # begins a comment. Paths are relative to the directory the script runs in, and <n> in one is a name
// of n letters, <p:n> a path of n characters.
//
//   [as UID[:GID[,GROUP…]]] [umask MODE] CALL ARGUMENT… [= EXPECTED]
//
// Every call runs as that identity (default: root, umask 0). EXPECTED is an errno's name, or what the call tells (mode,
// owner, nlink, size, text, type, target, times, changed); without it the call must succeed. Calls:
//
//   mkdir P MODE · rmdir P · unlink P · rename P Q [noreplace|exchange] · link P Q · symlink TARGET P · mkfifo P MODE
//   mknod P c|b|s|f MODE · chmod P MODE · chown P UID GID · lchown … · truncate P SIZE · access P rwx
//   chdir P (whether it may) · utimens P ATIME MTIME (seconds, now, omit) · lutimens … · exec P
//   setxattr P NAME VALUE
//   open FD P FLAGS [MODE] · close FD · write FD TEXT · read FD N · ftruncate FD SIZE · fchmod FD MODE
//   fchown FD UID GID · ffallocate FD OFFSET SIZE · fstat FD · linkat FD P
//   mode P · owner P · nlink P · size P · type P · target P · ls P · times P (atime,mtime in seconds)
//   mark P, changed P: which of atime, mtime and ctime changed since the mark
struct Outcome {
  std::vector<std::string> lines;     // each call and what came of it, and in the end everything there is
  std::vector<std::string> failures;  // lines that did not answer what the script says
};
Outcome RunScript(const std::string& script, const std::string& directory);

}  // namespace flocker::testing
