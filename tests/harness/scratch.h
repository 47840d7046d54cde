// A directory of a test's own under /tmp/flocker-test, gone when the test is.
#pragma once

#include <string>

namespace flocker::testing {

// Everything the tests leave anywhere carries this prefix in its path, so that the sweep finds it and nothing else.
inline constexpr char kScratchRoot[] = "/tmp/flocker-test";

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
