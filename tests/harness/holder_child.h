// A child process that holds something (a directory, a descriptor, a mount in a namespace of its own) until it is
// ended.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

namespace flocker::testing {

class HolderChild {
 public:
  // Runs `setup` in a forked child and returns once it has returned true there; the child then waits to be killed.
  // Aborts the test process with a message when `setup` returns false. Only for tests without threads of their own.
  explicit HolderChild(const std::function<bool()>& setup);
  // Kills it, by its pid, and waits until it is gone with everything it held.
  ~HolderChild();
  HolderChild(const HolderChild&) = delete;
  HolderChild& operator=(const HolderChild&) = delete;

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

// For `setup`: the process's cwd is `directory`.
std::function<bool()> SitIn(const std::string& directory);

// For `setup`: a mount namespace of its own in which `source` is bound to `target` (both exist; neither need be private
// here) and the mount at `hidden`, when not empty, is gone: what a container's runtime makes of `-v source:target`.
std::function<bool()> BindElsewhere(const std::string& source, const std::string& target, const std::string& hidden);

// For `setup`: a mount namespace of its own with a copy of every mount; `propagation` is MS_PRIVATE or MS_SLAVE.
std::function<bool()> CopyMounts(unsigned long propagation);

}  // namespace flocker::testing
