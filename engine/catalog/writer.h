// The agent's side of the catalogue.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/catalog/catalog.h"

namespace flocker {

// One process writes a catalogue, one thread at a time. Nothing here waits for a reader.
class CatalogWriter {
 public:
  // Makes a fresh generation of the catalogue at `path` (a file the agent alone writes, on tmpfs or disk) and switches
  // readers over to it. It begins with what the previous generation said, so that the tree stays while the agent
  // restarts; with `self` alone when there is none, it is of an earlier boot, of another layout, or damaged.
  static absl::StatusOr<std::unique_ptr<CatalogWriter>> Open(const std::string& path, const CatalogNode& self);
  virtual ~CatalogWriter() = default;

  // Applies the change, all of it or, on an error, nothing: kInvalid for a name that cannot be one or a missing id, the
  // errno's code when the file cannot grow. Costs the change, not the catalogue; what is already so costs a look-up.
  virtual absl::Status Publish(const CatalogChange& change) = 0;

  // Of the last Publish that changed something; grows across generations.
  virtual uint64_t version() const = 0;
};

}  // namespace flocker
