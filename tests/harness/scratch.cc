#include "tests/harness/scratch.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/base/file.h"

namespace flocker::testing {

ScratchDir::ScratchDir() {
  std::filesystem::create_directories(kScratchRoot);
  std::string pattern = std::string(kScratchRoot) + "/XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;  // what is still mounted below stays, for the sweep to deal with in the right order
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace flocker::testing
