#include "tests/harness/scratch.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/base/file.h"

namespace flocker::testing {

std::string ScratchRoot() {
  // scripts/test says where; whoever runs a test binary by hand gets the default. Set in the environment either way,
  // for the children of this process: scripts/sweep finds them by it.
  setenv("FLOCKER_OWNER", "/tmp/flocker-test", 0);
  return std::getenv("FLOCKER_OWNER");
}

ScratchDir::ScratchDir() {
  std::string pattern = ScratchRoot() + "/XXXXXX";
  std::filesystem::create_directories(ScratchRoot());
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;  // what is still mounted below stays, for the sweep to deal with in the right order
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace flocker::testing
