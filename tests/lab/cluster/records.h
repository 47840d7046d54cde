// What a database does, boiled down: numbered, checksummed records appended to one file, each fsynced before it counts
// as acknowledged; and the proof afterwards that all of those are there, whole, in order, and nothing else.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lab/machine.h"

namespace flocker::lab {

// A writer on one machine. It goes on until it is ended, an error occurs or the machine dies.
class RecordWriter {
 public:
  // `who` signs the records.
  RecordWriter(Machine& machine, std::string who, std::string file);
  // In a container that sees `volume` as /data, where `file` is.
  RecordWriter(Machine& machine, std::string who, std::string file, std::string volume);

  ::testing::AssertionResult Start();
  // The last record whose fsync returned; 0 before the first. It can only be behind.
  int Acknowledged();
  ::testing::AssertionResult WaitFor(int record, absl::Duration timeout);
  // The error that ended it, if one did.
  std::string Error();
  void End();

 private:
  std::string State(const std::string& suffix) const { return "/run/writers/" + who_ + suffix; }
  std::string Read(const std::string& path);

  Machine& machine_;
  const std::string who_;
  const std::string file_;
  const std::string volume_;
};

// Each writer whose records are in a file, in their order there, with its last record.
using Records = std::vector<std::pair<std::string, int>>;

// Adds a failure when a record is damaged, missing or out of order, or when two writers' records mix. A last line
// without its end is no record.
Records ReadRecords(Machine& machine, const std::string& file);

}  // namespace flocker::lab
