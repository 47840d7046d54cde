// Notices the death of this machine's tgtd the moment it happens.
#pragma once

#include <functional>
#include <thread>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace flocker {

// A thread that finds the tgtd behind a control number (the peer of its control socket), waits on its pidfd, calls
// `died` once for each tgtd that ended, and looks for the next.
class TgtdWatch {
 public:
  TgtdWatch(int control_number, std::function<void()> died);
  ~TgtdWatch();  // waits for a call of `died` under way
  TgtdWatch(const TgtdWatch&) = delete;
  TgtdWatch& operator=(const TgtdWatch&) = delete;

 private:
  void Run();
  absl::StatusOr<unique_fd> FindTgtd() const;
  bool StoppedWithin(int milliseconds, int fd, bool* fd_ready) const;

  // Constant after construction.
  const int control_number_;
  const std::function<void()> died_;
  const unique_fd stop_;  // an eventfd
  std::thread thread_;
};

}  // namespace flocker
