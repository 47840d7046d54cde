#include "tests/tree/calls/script.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <map>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/manifest.h"

namespace flocker::testing {
namespace {

using Words = std::vector<std::string>;

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  mode_t mask = 0;
};

const std::map<std::string, int> kOpenFlags = {
    {"r", O_RDONLY},          {"w", O_WRONLY},      {"rw", O_RDWR},         {"creat", O_CREAT},
    {"excl", O_EXCL},         {"trunc", O_TRUNC},   {"append", O_APPEND},   {"nofollow", O_NOFOLLOW},
    {"nonblock", O_NONBLOCK}, {"dir", O_DIRECTORY}, {"tmpfile", O_TMPFILE}, {"path", O_PATH},
    {"noatime", O_NOATIME}};

int Number(const std::string& word) { return static_cast<int>(std::strtol(word.c_str(), nullptr, 10)); }
mode_t Mode(const std::string& word) { return static_cast<mode_t>(std::strtol(word.c_str(), nullptr, 8)); }
std::string Octal(mode_t mode) {
  std::array<char, 8> text{};
  snprintf(text.data(), text.size(), "%04o", mode & 07777);
  return text.data();
}

// <n>: a name of n letters; <p:n>: a path of n characters, that leads nowhere but to ".".
std::string Expand(std::string word) {
  const size_t begin = word.find('<');
  const size_t end = word.find('>', begin);
  if (begin == std::string::npos || end == std::string::npos) return word;
  const std::string what = word.substr(begin + 1, end - begin - 1);
  std::string made;
  if (what.starts_with("p:")) {
    const auto length = static_cast<size_t>(Number(what.substr(2)));
    while (made.size() < length) made += made.size() + 1 == length ? "." : "./";
  } else {
    made.assign(static_cast<size_t>(Number(what)), 'n');
  }
  return word.substr(0, begin) + made + Expand(word.substr(end + 1));
}

timespec Time(const std::string& word) {
  if (word == "now") return {0, UTIME_NOW};
  if (word == "omit") return {0, UTIME_OMIT};
  const Words parts = absl::StrSplit(word, '.');
  return {Number(parts[0]), parts.size() > 1 ? Number(parts[1]) : 0};
}

bool Same(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

// ext4's times come from a clock of 4 ms: what happens next must be seen to be later.
void WaitForTheNextTick() {
  timespec first{};
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &first);
  do {
    std::this_thread::yield();
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
  } while (Same(first, now));
}

std::string Type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "directory";
    case S_IFLNK:
      return "symlink";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "char";
    case S_IFBLK:
      return "block";
    default:
      return "?";
  }
}

class Script {
 public:
  // What a call answered: 0 and perhaps a text, or -1 and errno.
  struct Answer {
    int result = 0;
    std::string text;
  };

  Answer Call(const Words& w) {
    const std::string& call = w[0];
    const auto p = [&](size_t i) { return Expand(i < w.size() ? w[i] : ""); };
    const auto n = [&](size_t i) { return Number(w.at(i)); };
    const auto plain = [](int result) { return Answer{result, ""}; };
    if (call == "mkdir") return plain(mkdir(p(1).c_str(), Mode(w.at(2))));
    if (call == "rmdir") return plain(rmdir(p(1).c_str()));
    if (call == "unlink") return plain(unlink(p(1).c_str()));
    if (call == "rename") {
      const std::string how = p(3);
      const unsigned flags = how == "noreplace" ? RENAME_NOREPLACE : how == "exchange" ? RENAME_EXCHANGE : 0;
      return plain(renameat2(AT_FDCWD, p(1).c_str(), AT_FDCWD, p(2).c_str(), flags));
    }
    if (call == "link") return plain(link(p(1).c_str(), p(2).c_str()));
    if (call == "symlink") return plain(symlink(p(1).c_str(), p(2).c_str()));
    if (call == "mkfifo") return plain(mkfifo(p(1).c_str(), Mode(w.at(2))));
    if (call == "mknod") {
      const mode_t type = w.at(2) == "c" ? S_IFCHR : w[2] == "b" ? S_IFBLK : w[2] == "s" ? S_IFSOCK : S_IFREG;
      const bool device = type == S_IFCHR || type == S_IFBLK;
      return plain(mknod(p(1).c_str(), type | Mode(w.at(3)), device ? makedev(1, 3) : 0));
    }
    if (call == "chmod") return plain(chmod(p(1).c_str(), Mode(w.at(2))));
    if (call == "chown") {
      return plain(chown(p(1).c_str(), static_cast<uid_t>(n(2)), static_cast<gid_t>(n(3))));
    }
    if (call == "lchown") {
      return plain(lchown(p(1).c_str(), static_cast<uid_t>(n(2)), static_cast<gid_t>(n(3))));
    }
    if (call == "truncate") return plain(truncate(p(1).c_str(), n(2)));
    if (call == "access") {
      int mask = 0;
      for (const char c : w.at(2)) mask |= c == 'r' ? R_OK : c == 'w' ? W_OK : c == 'x' ? X_OK : F_OK;
      return plain(access(p(1).c_str(), mask));
    }
    if (call == "chdir") return plain(chdir(p(1).c_str()));
    if (call == "utimens" || call == "lutimens") {
      const std::array<timespec, 2> times = {Time(w.at(2)), Time(w.at(3))};
      return plain(utimensat(AT_FDCWD, p(1).c_str(), times.data(), call == "lutimens" ? AT_SYMLINK_NOFOLLOW : 0));
    }
    if (call == "exec") return Exec(p(1));
    if (call == "open") return Open(w.at(1), p(2), w.at(3), w.size() > 4 ? Mode(w[4]) : 0);
    if (call == "close") {
      descriptors_.erase(w.at(1));
      return {};
    }
    if (call == "write") return plain(Whole(write(fd(w), w.at(2).data(), w[2].size())));
    if (call == "read") {
      std::string buffer(static_cast<size_t>(n(2)), '\0');
      const ssize_t got = read(fd(w), buffer.data(), buffer.size());
      if (got >= 0) buffer.resize(static_cast<size_t>(got));
      return {Whole(got), got < 0 ? "" : buffer};
    }
    if (call == "ftruncate") return plain(ftruncate(fd(w), n(2)));
    if (call == "fchmod") return plain(fchmod(fd(w), Mode(w.at(2))));
    if (call == "fchown") return plain(fchown(fd(w), static_cast<uid_t>(n(2)), static_cast<gid_t>(n(3))));
    if (call == "ffallocate") return plain(fallocate(fd(w), 0, n(2), n(3)));
    if (call == "linkat") {
      const std::string from = absl::StrCat("/proc/self/fd/", fd(w));
      return plain(linkat(AT_FDCWD, from.c_str(), AT_FDCWD, p(2).c_str(), AT_SYMLINK_FOLLOW));
    }
    if (call == "setxattr") return plain(setxattr(p(1).c_str(), w.at(2).c_str(), w.at(3).data(), w[3].size(), 0));
    if (call == "target") {
      std::array<char, 8192> target{};
      const ssize_t size = readlink(p(1).c_str(), target.data(), target.size());
      return {Whole(size), size < 0 ? "" : std::string(target.data(), static_cast<size_t>(size))};
    }
    if (call == "ls") {
      const unique_fd directory(::open(p(1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      return plain(directory ? 0 : -1);
    }
    return Look(w);
  }

 private:
  static int Whole(ssize_t result) { return result < 0 ? -1 : 0; }
  int fd(const Words& w) { return descriptors_[w.at(1)].get(); }

  Answer Open(const std::string& name, const std::string& path, const std::string& flags, mode_t mode) {
    int how = O_CLOEXEC;
    for (const auto& flag : absl::StrSplit(flags, ',')) how |= kOpenFlags.at(std::string(flag));
    unique_fd opened(::open(path.c_str(), how, mode));
    if (!opened) return {-1, ""};
    descriptors_[name] = std::move(opened);
    return {};
  }

  // Whether the kernel would run it: an empty file is EINVAL's cousin ENOEXEC, and that is far enough.
  static Answer Exec(const std::string& path) {
    pid_t child = -1;
    std::array<char*, 2> argv = {const_cast<char*>(path.c_str()), nullptr};
    const int error = posix_spawn(&child, path.c_str(), nullptr, nullptr, argv.data(), environ);
    if (error == 0) {
      int status = 0;
      waitpid(child, &status, 0);
    }
    errno = error;
    return {error == 0 ? 0 : -1, ""};
  }

  Answer Look(const Words& w) {
    struct stat now {};
    const bool open = w[0] == "fstat";
    if ((open ? fstat(fd(w), &now) : lstat(Expand(w.at(1)).c_str(), &now)) != 0) return {-1, ""};
    if (open) {
      const auto size = S_ISREG(now.st_mode) ? absl::StrCat(now.st_size) : "-";
      return {0, absl::StrCat(Type(now.st_mode), ",", Octal(now.st_mode), ",", now.st_nlink, ",", size)};
    }
    if (w[0] == "mode") return {0, Octal(now.st_mode)};
    if (w[0] == "owner") return {0, absl::StrCat(now.st_uid, ":", now.st_gid)};
    if (w[0] == "nlink") return {0, absl::StrCat(now.st_nlink)};
    if (w[0] == "size") return {0, absl::StrCat(now.st_size)};
    if (w[0] == "type") return {0, Type(now.st_mode)};
    if (w[0] == "times") return {0, absl::StrCat(now.st_atim.tv_sec, ",", now.st_mtim.tv_sec)};
    if (w[0] == "mark") {
      marks_[w[1]] = now;
      WaitForTheNextTick();
      return {};
    }
    if (w[0] == "changed") {
      const struct stat& then = marks_[w[1]];
      Words changed;
      if (!Same(then.st_atim, now.st_atim)) changed.push_back("atime");
      if (!Same(then.st_mtim, now.st_mtim)) changed.push_back("mtime");
      if (!Same(then.st_ctim, now.st_ctim)) changed.push_back("ctime");
      return {0, changed.empty() ? "nothing" : absl::StrJoin(changed, ",")};
    }
    errno = ENOSYS;
    return {-1, ""};
  }

  std::map<std::string, unique_fd> descriptors_;
  std::map<std::string, struct stat> marks_;
};

// Takes "as …" and "umask …" off the front.
Identity TakeIdentity(Words& words) {
  Identity identity;
  while (words.size() > 2 && (words[0] == "as" || words[0] == "umask")) {
    if (words[0] == "umask") {
      identity.mask = Mode(words[1]);
    } else {
      const Words ids = absl::StrSplit(words[1], absl::ByAnyChar(":,"));
      identity.uid = static_cast<uid_t>(Number(ids[0]));
      identity.gid = ids.size() > 1 ? static_cast<gid_t>(Number(ids[1])) : identity.uid;
      for (size_t i = 2; i < ids.size(); ++i) identity.groups.push_back(static_cast<gid_t>(Number(ids[i])));
    }
    words.erase(words.begin(), words.begin() + 2);
  }
  return identity;
}

// On a thread of its own: raw system calls change the calling thread alone, where glibc's change the whole process.
std::string As(const Identity& identity, int directory, const std::function<Script::Answer()>& call) {
  std::string said;
  std::thread thread([&] {
    if (unshare(CLONE_FS) != 0 || fchdir(directory) != 0) {
      said = absl::StrCat("cannot begin: ", strerrorname_np(errno));
      return;
    }
    umask(identity.mask);
    if (syscall(SYS_setgroups, identity.groups.size(), identity.groups.data()) != 0 ||
        syscall(SYS_setresgid, identity.gid, identity.gid, identity.gid) != 0 ||
        syscall(SYS_setresuid, identity.uid, identity.uid, identity.uid) != 0) {
      said = absl::StrCat("cannot be it: ", strerrorname_np(errno));
      return;
    }
    const Script::Answer answer = call();
    said = answer.result != 0 ? strerrorname_np(errno) : answer.text.empty() ? "ok" : answer.text;
  });
  thread.join();
  return said;
}

}  // namespace

Outcome RunScript(const std::string& script, const std::string& directory) {
  Outcome outcome;
  const unique_fd base(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  {
    Script state;
    for (const absl::string_view raw : absl::StrSplit(script, '\n')) {
      const std::string line(absl::StripAsciiWhitespace(raw.substr(0, raw.find('#'))));
      if (line.empty()) continue;
      Words words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      std::string expected = "ok";
      bool any = true;  // a call that tells something may tell anything when nothing is expected
      if (words.size() > 2 && words[words.size() - 2] == "=") {
        expected = words.back();
        any = false;
        words.resize(words.size() - 2);
      }
      const Identity identity = TakeIdentity(words);
      const std::string said = As(identity, base.get(), [&] { return state.Call(words); });
      outcome.lines.push_back(absl::StrCat(line, "  ->  ", said));
      const bool failed = said.size() > 1 && said[0] == 'E' && said != "E";
      if (any ? failed : said != expected) outcome.failures.push_back(absl::StrCat(line, "  ->  ", said));
    }
  }
  for (std::string& line : Manifest(directory, {.times = false})) outcome.lines.push_back(std::move(line));
  return outcome;
}

}  // namespace flocker::testing
