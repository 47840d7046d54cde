#include "tests/harness/holder_child.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "engine/base/unique_fd.h"

namespace flocker::testing {

HolderChild::HolderChild(const std::function<bool()>& setup) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) std::abort();
  const unique_fd reader(ends[0]);
  unique_fd writer(ends[1]);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) std::abort();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);   // a test that is killed leaves nobody holding anything
    if (getppid() != parent) _exit(1);  // it was killed before that took effect
    if (!setup()) {
      std::perror("a holder cannot be set up");
      _exit(1);
    }
    if (write(writer.get(), "x", 1) != 1) _exit(1);
    while (true) pause();
  }
  writer.reset();
  char ready = 0;
  if (read(reader.get(), &ready, 1) != 1) {
    std::fprintf(stderr, "the holder child ended at once\n");
    std::abort();
  }
}

HolderChild::~HolderChild() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::function<bool()> SitIn(const std::string& directory) {
  return [directory] { return chdir(directory.c_str()) == 0; };
}

std::function<bool()> BindElsewhere(const std::string& source, const std::string& target, const std::string& hidden) {
  return [=] {
    return CopyMounts(MS_PRIVATE)() && mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
           (hidden.empty() || umount2(hidden.c_str(), UMOUNT_NOFOLLOW) == 0);
  };
}

std::function<bool()> CopyMounts(unsigned long propagation) {
  return [=] { return unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | propagation, nullptr) == 0; };
}

}  // namespace flocker::testing
