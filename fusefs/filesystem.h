// flocker-fs as a whole: where each request and each word of the agent goes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fusefs/agent_link.h"
#include "fusefs/datasets.h"
#include "fusefs/deadlines.h"
#include "fusefs/in_flight.h"
#include "fusefs/info_files.h"
#include "fusefs/inode_table.h"
#include "fusefs/interrupt.h"
#include "fusefs/open_files.h"
#include "fusefs/operations.h"
#include "fusefs/passthrough.h"
#include "fusefs/refusals.h"
#include "fusefs/request.h"
#include "fusefs/saved_state.h"
#include "fusefs/tree.h"
#include "fusefs/view.h"
#include "fusefs/worker_pool.h"

namespace flocker {

// Threads: the session's receivers call the request methods, and none of these ever blocks. What concerns the tree they
// answer at once (Tree), or an operation keeps the request until the agent answers (Operations). What concerns a
// dataset's content passes Datasets and is done by that attachment's own workers (Passthrough). The link's thread calls
// the Listener methods; Deadlines has one for timeouts and interrupts.
class Filesystem : public SessionOwner, public AgentLink::Listener {
 public:
  struct Options {
    std::string node_name;
    Datasets::Options datasets;
    Operations::Options operations;
    bool create_on_bind = true;  // also dockerd may make datasets
  };
  Filesystem(const Options& options, SavedState& state);
  ~Filesystem() override;

  // Before a predecessor's session goes on: knows again what that knew. Blocks while there is no catalogue to read,
  // some seconds at most.
  void TakeUp();
  // Once, when the tree is mounted.
  void Connect(const std::string& agent, const rpc::TreeHello& hello);
  // Answers everybody who waits and lets go of every mount. Requests may still come and are answered, until the session
  // is over. False when threads are stuck in a device after `patience`.
  bool Shutdown(absl::Duration patience);

  // One method per request of the kernel's; fuse_lowlevel.h says what each means. Inode ids and handles are the
  // kernel's. filesystem.cc:
  void Forget(uint64_t node, uint64_t lookups) { inodes_.Forget(node, lookups); }
  void Lookup(Request request, uint64_t parent, const std::string& name);
  void GetAttributes(Request request, uint64_t node, std::optional<uint64_t> handle);
  void SetAttributes(Request request, uint64_t node, const struct stat& to, int which, std::optional<uint64_t> handle);
  void ReadLink(Request request, uint64_t node);
  void MakeNode(Request request, uint64_t parent, const std::string& name, mode_t mode, dev_t device);
  void MakeDirectory(Request request, uint64_t parent, const std::string& name, mode_t mode);
  void MakeSymlink(Request request, uint64_t parent, const std::string& name, const std::string& target);
  void Link(Request request, uint64_t node, uint64_t parent, const std::string& name);
  void Unlink(Request request, uint64_t parent, const std::string& name);
  void RemoveDirectory(Request request, uint64_t parent, const std::string& name);
  void Rename(Request request, uint64_t from, const std::string& name, uint64_t to, const std::string& new_name,
              unsigned flags);
  void Access(Request request, uint64_t node, int mask);
  void Statfs(Request request, uint64_t node);
  void GetXattr(Request request, uint64_t node, const std::string& name, size_t room);
  void ListXattr(Request request, uint64_t node, size_t room);
  void SetXattr(Request request, uint64_t node, const std::string& name, const std::string& value, int flags);
  void RemoveXattr(Request request, uint64_t node, const std::string& name);

  // filesystem_files.cc:
  void Open(Request request, uint64_t node, int flags);
  void Create(Request request, uint64_t parent, const std::string& name, mode_t mode, int flags);
  void Read(Request request, uint64_t handle, size_t size, off_t offset, int flags);
  void Write(Request request, uint64_t handle, Passthrough::Write write);
  void Sync(Request request, uint64_t handle, bool data_only);
  void Allocate(Request request, uint64_t handle, int mode, off_t offset, off_t size);
  void Seek(Request request, uint64_t handle, off_t offset, int whence);
  void CopyRange(Request request, uint64_t from, off_t from_offset, uint64_t to, off_t to_offset, size_t size,
                 int flags);
  void Control(Request request, uint64_t node, uint64_t handle, Passthrough::Control control);
  void Poll(Request request, uint64_t handle, PollHandle wanted);
  void Release(Request request, uint64_t handle);
  void OpenDirectory(Request request, uint64_t node);
  void ReadDirectory(Request request, uint64_t node, uint64_t handle, size_t size, off_t offset);
  void SyncDirectory(Request request, uint64_t node, uint64_t handle, bool data_only);
  void ReleaseDirectory(Request request, uint64_t node, uint64_t handle);

  InFlight& in_flight() override { return in_flight_; }
  void Interrupted(uint64_t id) override;
  void OnWelcome(const rpc::TreeWelcome& welcome) override;
  void OnMessage(const rpc::TreeDown& message) override;
  void OnBroken() override;

 private:
  using InodePtr = std::shared_ptr<const Inode>;
  // Runs `work(Request, LocalMount::Use)` inside the dataset of `node` when that can be. `listing`: see
  // Datasets::Visit.
  void Inside(Request request, const InodePtr& node, Datasets::Work work, bool listing = false);
  static void Work(Request request, LocalMount::Use use, Datasets::Work work);
  // For what must not wait, such as all that `ls -l` asks of a dataset's own directory: empty unless the dataset of
  // `node` is open right now.
  std::optional<LocalMount::Use> TryEnter(const Inode& node);
  // Runs `work(Request, OpenFile&)` on a worker; ESTALE for a handle of an attachment that was let go. A predecessor's
  // that could not be opened again yet waits as if it were opened now.
  using FileWork = absl::AnyInvocable<void(Request, OpenFile&)>;
  void WithFile(Request request, uint64_t handle, FileWork work);
  // The end of a reference that may be the last: closing may block, so a worker does it.
  static void CloseOnWorker(std::shared_ptr<OpenFile> file);

  // What a predecessor had open, where its attachment can be entered now.
  void OpenAgain();
  // Runs `change`, of the tree itself; in a successor not before the agent has said whether control can be reached.
  using Change = absl::AnyInvocable<void(Request)>;
  void WhenHeard(Request request, Change change) EXCLUDES(mutex_);
  void Heard() EXCLUDES(mutex_);

  void OnGate(const rpc::Gate& gate);
  void OnDrop(const rpc::DropDescriptors& drop);
  void News();
  bool Send(rpc::TreeUp message);
  bool ControlReached() const;
  Reach Reached() const;

  // In this order: each uses only those above it, and the link, which calls into all of them, ends first.
  SavedState& state_;
  WorkerThreads threads_;
  Deadlines deadlines_;
  InFlight in_flight_;
  View view_;
  InodeTable inodes_;
  OpenFiles files_;
  Passthrough passthrough_;
  Refusals refusals_;
  Operations operations_;
  Datasets datasets_;
  InfoFiles info_;
  Tree tree_;
  std::atomic<bool> control_reachable_{false};
  Mutex mutex_;
  bool heard_ GUARDED_BY(mutex_);
  struct Waiting {
    Request request;
    Change change;
  };
  std::vector<Waiting> waiting_ GUARDED_BY(mutex_);
  std::unique_ptr<AgentLink> link_;  // set once before requests that use it can come
};

}  // namespace flocker
