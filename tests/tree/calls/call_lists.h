// What POSIX and Linux ask of the filesystem calls (what the public pjdfstest suite checks, in our own words).
#pragma once

#include <vector>

namespace flocker::testing {

struct CallList {
  const char* name;
  const char* script;  // script.h
};

const std::vector<CallList>& NameCalls();
const std::vector<CallList>& AttributeCalls();

}  // namespace flocker::testing
