// The bodies of Flocker v1's requests, checked against its schema (flocker-v1.md §1.5) and turned into values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/model/ids.h"

namespace flocker {

struct CreateBody {
  NodeId primary;
  std::optional<DatasetId> dataset_id;
  uint64_t maximum_size = 0;  // bytes; 0: none was given
  std::map<std::string, std::string> metadata;
};

struct MoveBody {
  std::optional<NodeId> primary;
};

struct LeaseBody {
  DatasetId dataset;
  NodeId node;
  std::optional<double> expires;  // seconds from now; nothing: never
};

// What is wrong with a body.
struct BadBody {
  bool decoded = false;             // it was JSON
  std::vector<std::string> errors;  // then: what the schema has against it, never empty
};

template <class Body>
using Checked = std::variant<Body, BadBody>;

Checked<CreateBody> ReadCreate(const std::string& text);
Checked<MoveBody> ReadMove(const std::string& text);
Checked<LeaseBody> ReadLease(const std::string& text);

}  // namespace flocker
