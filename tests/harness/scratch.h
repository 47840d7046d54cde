// A directory of a test's own, gone when the test is.
#pragma once

#include <string>

namespace flocker::testing {

// What everything that tests make lies below, and what their processes carry as FLOCKER_OWNER in their environment, so
// that scripts/sweep finds all of it and nothing else. /tmp/flocker-test unless the environment says otherwise.
std::string ScratchRoot();

class ScratchDir {
 public:
  ScratchDir();
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace flocker::testing
