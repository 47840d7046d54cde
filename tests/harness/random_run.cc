#include "tests/harness/random_run.h"

#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace flocker::testing {
namespace {

std::optional<uint64_t> FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  uint64_t number = 0;
  return value != nullptr && absl::SimpleAtoi(value, &number) ? std::optional(number) : std::nullopt;
}

}  // namespace

RandomRun::RandomRun(std::string command) : command_(std::move(command)), begun_(absl::Now()) {
  const auto seed = FromEnvironment("FLOCKER_TREE_SEED");
  const auto seconds = FromEnvironment("FLOCKER_TREE_SECONDS");
  first_ = next_ = seed.value_or(1);
  length_ = absl::Seconds(seconds.value_or(seed ? 0 : 5));
}

RandomRun::~RandomRun() { std::cout << command_ << ": seeds " << first_ << " to " << next_ - 1 << "\n"; }

std::optional<uint64_t> RandomRun::Next() {
  if (next_ != first_ && absl::Now() - begun_ > length_) return std::nullopt;
  return next_++;
}

std::string RandomRun::Replay() const {
  return absl::StrCat("again: FLOCKER_TREE_SEED=", next_ - 1, " build/dev/bin/", command_);
}

}  // namespace flocker::testing
