// The command line's values. Each command reads its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/rpc/credentials.h"

namespace flocker {

inline constexpr unsigned kCertificateDays = 20 * 365;  // flocker/ca/_ca.py: EXPIRY_20_YEARS

struct Arguments {
  std::string control;  // as OpenChannel takes it
  Transport transport;
  std::string user = "user";  // whose certificate it is
  double timeout = 60;        // seconds
  bool json = false;

  bool long_ids = false;
  bool deleted = false;
  bool trash = false;
  std::optional<bool> wait;  // not said: on a terminal

  std::string node;
  std::string dataset;
  std::string metadata;
  std::string size;
  std::string name;
  bool force = false;
  std::optional<double> seconds;  // that a lease is kept; without: until it is released

  std::string directory;
  uint64_t from = 0;
  bool follow = false;

  std::string role;
  std::string configuration = kCertificateDirectory;
  std::string file;
  std::string shell;
  std::string kind;  // of names that a completion asks for

  std::string authority = kCertificateDirectory;
  std::string output;  // of certificates; empty: the authority's
  unsigned days = kCertificateDays;
  bool replace = false;
  std::vector<std::string> hosts;
};

}  // namespace flocker
