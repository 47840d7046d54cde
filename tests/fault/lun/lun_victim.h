// The LUN server of one dataset, to be killed.
#pragma once

#include <sys/types.h>

#include <string>

namespace flocker::testing {

class LunVictim {
 public:
  // Of the dataset with this id, among the processes whose files are below `directory`.
  LunVictim(std::string dataset_id, std::string directory)
      : dataset_id_(std::move(dataset_id)), directory_(std::move(directory)) {}

  // Its present process; -1 when there is none just now.
  pid_t Find() const;
  // SIGKILL to the present process, unless it is `spared`; which one it was, -1 for none.
  pid_t Kill(pid_t spared = -1) const;

 private:
  bool IsIt(pid_t pid) const;

  const std::string dataset_id_;
  const std::string directory_;
};

}  // namespace flocker::testing
