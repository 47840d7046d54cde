// The agent's side of the catalogue.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/heap.h"
#include "engine/catalog/layout.h"
#include "engine/catalog/segment.h"

namespace flocker {

// One process writes a catalogue, one thread at a time. Nothing here waits for a reader.
class CatalogWriter {
 public:
  // Makes a fresh generation of the catalogue at `path` (a file the agent alone writes, on tmpfs or disk, with
  // `path`.new beside it) and switches readers over to it. It begins with what the previous generation said, so that
  // the tree stays while the agent restarts; with `self` alone when there is none, or it is of an earlier boot, another
  // layout, another node, or damaged.
  static absl::StatusOr<std::unique_ptr<CatalogWriter>> Open(const std::string& path, const CatalogNode& self);
  CatalogWriter(const CatalogWriter&) = delete;
  CatalogWriter& operator=(const CatalogWriter&) = delete;

  // Applies the change, all of it or, on an error, nothing: kInvalid for a name that cannot be one or a missing id, the
  // errno's code when the file cannot grow. Costs the change, not the catalogue; what is already so costs a look-up.
  // Self is never gone. What is both gone and in a list stays.
  absl::Status Publish(const CatalogChange& change);

  // Of the last Publish that changed something; grows across generations.
  uint64_t version() const { return committed_.version; }

 private:
  CatalogWriter(std::string path, NodeId self, std::shared_ptr<catalog::Segment> segment, uint64_t version);

  absl::Status Apply(const CatalogChange& change);
  absl::Status Commit();
  void Rollback();

  // Room to put or drop one entry, in a larger generation if need be.
  absl::Status Reserve();

  // Entry is CatalogNode or CatalogDataset.
  template <class Entry>
  uint32_t Find(const typename Entry::Id& id);
  template <class Entry>
  absl::Status Put(const Entry& entry);
  template <class Entry>
  absl::Status Drop(const typename Entry::Id& id);
  template <class Entry>
  absl::Status DropAllBut(const std::vector<Entry>& kept);
  template <class Entry>
  void Erase(uint32_t item, const Entry& entry);

  const std::string path_;
  const NodeId self_;
  std::shared_ptr<catalog::Segment> published_;  // what readers see; empty until Open is done
  std::shared_ptr<catalog::Segment> segment_;    // the same, or a larger one that the next Commit switches to
  catalog::Heap heap_;                           // of segment_
  catalog::Root committed_;
  catalog::Root root_;  // with the change under way
};

}  // namespace flocker
