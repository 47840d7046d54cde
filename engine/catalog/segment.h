// One generation of the catalogue: a mapped file of fixed size.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/catalog/arena.h"
#include "engine/catalog/layout.h"

namespace flocker::catalog {

class Segment {
 public:
  // The writer's: a new file of `file_size` bytes, all of them allocated, as `path`.new. Readers do not see it yet.
  static absl::StatusOr<std::shared_ptr<Segment>> Create(const std::string& path, uint64_t file_size,
                                                         const Bytes16& self);
  // The readers': the file at `path`, mapped read-only, once its header was found to be sound. Errors as
  // CatalogReader::Open.
  static absl::StatusOr<std::shared_ptr<Segment>> Open(const std::string& path);

  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  // Puts a created file at `path` and tells readers of what was there to look again. In this order: the old file is
  // marked, then replaced. A crash between the two leaves readers with an old file that is still whole and still the
  // one at the path; the other order could leave them with one that nobody marks any more.
  absl::Status Switch(const std::string& path);

  uint64_t version() const { return Load(header().version); }
  uint64_t oldest() const { return Load(header().oldest); }
  bool superseded() const { return Load(header().superseded) != 0; }
  Root root(uint64_t version) const;
  const Bytes16& self() const { return header().self; }  // constant
  uint64_t file_size() const { return region_.get_size(); }
  Arena arena() const;

  // What Header::version and Header::oldest say from now on. The version's root must be there by then.
  void set_oldest(uint64_t version);
  void Commit(const Root& root);
  // The first `granules` granules of another generation.
  void CopyFrom(const Segment& other, size_t granules);

  // Whether `path` still names this very file.
  bool IsAt(const std::string& path) const;

 private:
  Segment(boost::interprocess::mapped_region region, uint64_t device, uint64_t inode)
      : region_(std::move(region)), device_(device), inode_(inode) {}

  Header& header() const { return *static_cast<Header*>(region_.get_address()); }

  template <class T>
  static T Load(T& word) {
    return std::atomic_ref<T>(word).load(std::memory_order_acquire);
  }

  boost::interprocess::mapped_region region_;
  uint64_t device_;
  uint64_t inode_;
};

}  // namespace flocker::catalog
