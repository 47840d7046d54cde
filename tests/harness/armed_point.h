// A fault point (engine/base/fault.h) that is armed: the first process that reaches it stands still there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {

class ArmedPoint {
 public:
  // `directory` is the daemons' FLOCKER_FAULT_DIR. Aborts the test process with a message when it cannot listen there.
  ArmedPoint(const std::string& directory, std::string_view point);
  // Lets go.
  ~ArmedPoint();
  ArmedPoint(const ArmedPoint&) = delete;
  ArmedPoint& operator=(const ArmedPoint&) = delete;

  // Blocks until somebody stands at the point; false when nobody came within `timeout`. Nobody else stops there from
  // then on.
  bool WaitReached(absl::Duration timeout);
  // Whoever stands there, if he is still alive, goes on.
  void LetGo();

 private:
  const std::string path_;
  unique_fd listener_;
  unique_fd reached_;
};

}  // namespace flocker::testing
