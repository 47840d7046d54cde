// Stopping a process at a named point, so that a test can kill somebody at that very moment. Compiled in by the CMake
// option FLOCKER_FAULTS alone; without it FLOCKER_FAULT_POINT is nothing and its arguments are not evaluated.
//
// A point is armed by listening on the unix socket <$FLOCKER_FAULT_DIR>/<name of the point>. Whoever reaches it
// connects (which tells its pid, SO_PEERCRED) and blocks until the listener writes a byte, closes, or kills it.
#pragma once

#include <string_view>

#include "engine/base/fault_points.h"

namespace flocker {

// The name of one point; one that the list does not have does not compile.
class ListedFaultPoint {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): it is a literal's type
  consteval ListedFaultPoint(const char* name) : name_(name) {
    if (!IsFaultPoint(name)) throw "engine/base/fault_points.h does not list this point";
  }
  std::string_view name() const { return name_; }

 private:
  std::string_view name_;
};

// Blocks while the point is armed; costs one failed connect when FLOCKER_FAULT_DIR is set, else nothing.
void ReachFaultPoint(ListedFaultPoint point);
// The point <family><step>, for steps that have names of their own.
void ReachFaultPoint(std::string_view family, std::string_view step);

}  // namespace flocker

#ifdef FLOCKER_FAULTS
#define FLOCKER_FAULT_POINT(...) ::flocker::ReachFaultPoint(__VA_ARGS__)
#else
#define FLOCKER_FAULT_POINT(...) static_cast<void>(0)
#endif
