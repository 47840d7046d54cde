// The line that tells somebody who waits which step an operation is at.
#pragma once

#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

// What the dataset waits for in its present phase: "the array lets the node in", with the last failure of that step
// if there was one.
std::string StepText(const rpc::DatasetView& dataset);

// "moving db: released on alpha, 0.3s", cut to `columns` (of a terminal; 0: whole).
std::string ProgressLine(const std::string& title, const std::string& step, absl::Duration elapsed, size_t columns);

// On a terminal one line that is rewritten and in the end taken away; elsewhere a line for each new step, so that a log
// tells what took so long.
class Progress {
 public:
  // `columns`: of the terminal; 0: it is none. `out` must outlive this.
  Progress(std::string title, size_t columns, std::ostream& out);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(const std::string& step, absl::Duration elapsed);

 private:
  const std::string title_;
  const size_t columns_;
  std::ostream& out_;
  std::string shown_;
};

// How wide the terminal of standard error is; 80 if it does not say.
size_t TerminalColumns();

}  // namespace flocker
