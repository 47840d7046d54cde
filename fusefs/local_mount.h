// One mount of a dataset on this machine, as long as this daemon uses it.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "engine/model/ids.h"
#include "fusefs/worker_pool.h"

namespace flocker {

//     Open -> in use: any number of Use, new ones at any time
//               | Retire
//               v
//             retired: no new Use; the last one to end closes the mount descriptor -> closed
//
// The mount descriptor is the only one that is held for longer than a request, except by open files, and each of those
// holds a Use. So once `closed` ran, nothing of this daemon keeps the ext4 busy.
class LocalMount : public std::enable_shared_from_this<LocalMount> {
 public:
  // Opens the directory at `path`, which must be the root of a mount: FailedPrecondition when it is not (any more).
  // Touches memory only, so it may be called where nothing may block.
  static absl::StatusOr<std::shared_ptr<LocalMount>> Open(const DatasetId& dataset, uint32_t serial,
                                                          uint64_t mount_epoch, const std::string& path,
                                                          WorkerThreads& threads);

  // A request at work, or something open.
  class Use {
   public:
    Use(Use&& other) noexcept = default;
    Use& operator=(Use&& other) noexcept {
      Use moved(std::move(other));
      moved.attachment_.swap(attachment_);
      std::swap(moved.holds_, holds_);
      return *this;
    }
    ~Use() {
      if (attachment_) attachment_->Leave(holds_);
    }
    // This use, an open directory's, is from now on no reason to call the dataset busy: whoever only lists (find, ls)
    // is told ESTALE when it moves, and cannot finish and close while it is gated.
    void StopHolding() {
      if (std::exchange(holds_, false)) attachment_->Unhold();
    }
    LocalMount& operator*() const { return *attachment_; }
    LocalMount* operator->() const { return attachment_.get(); }

   private:
    friend class LocalMount;
    explicit Use(std::shared_ptr<LocalMount> attachment) : attachment_(std::move(attachment)) {}
    std::shared_ptr<LocalMount> attachment_;
    bool holds_ = true;
  };
  // Empty once it is retired.
  std::optional<Use> Enter() EXCLUDES(mutex_);

  // The same, but only while another use holds it.
  std::optional<Use> Join() EXCLUDES(mutex_);

  // How many uses hold it.
  uint32_t holds() const EXCLUDES(mutex_);

  using Callback = absl::AnyInvocable<void()>;
  // Runs `idle` when no Use holds it: at once, or on the thread that ends the last one.
  void WhenIdle(Callback idle) EXCLUDES(mutex_);
  // Runs `closed` once the mount descriptor is closed: at once, or on the thread that ends the last Use.
  void Retire(Callback closed) EXCLUDES(mutex_);

  // These three need a Use.
  int mount() const { return mount_.get(); }
  dev_t device() const { return root_.st_dev; }
  WorkerPool& workers() { return workers_; }

  const DatasetId& dataset() const { return dataset_; }
  uint32_t serial() const { return serial_; }
  uint64_t mount_epoch() const { return mount_epoch_; }

  // The root directory's attributes when it was opened, as the tree shows them.
  struct stat root() const {
    return Shown(root_);
  }
  // Attributes as ext4 has them, with the number that the tree shows instead of ext4's own.
  struct stat Shown(struct stat attributes) const;

 private:
  struct OpenOnly {};

 public:
  LocalMount(OpenOnly, const DatasetId& dataset, uint32_t serial, uint64_t mount_epoch, unique_fd mount,
             const struct stat& root, WorkerThreads& threads);

 private:
  void Leave(bool held) EXCLUDES(mutex_);
  void Unhold() EXCLUDES(mutex_);

  const DatasetId dataset_;
  const uint32_t serial_;
  const uint64_t mount_epoch_;
  const struct stat root_;
  unique_fd mount_;  // closed by whoever makes it retired without a Use, which happens once
  WorkerPool workers_;

  mutable Mutex mutex_;
  uint32_t uses_ GUARDED_BY(mutex_) = 0;   // all of them; the mount is closed after the last
  uint32_t holds_ GUARDED_BY(mutex_) = 0;  // those of them that make it busy
  bool retired_ GUARDED_BY(mutex_) = false;
  std::vector<Callback> when_idle_ GUARDED_BY(mutex_);
  std::vector<Callback> when_closed_ GUARDED_BY(mutex_);
};

}  // namespace flocker
