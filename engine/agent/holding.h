// One dataset on this node: runs the local steps of model/attachment.h, one after the other, on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/agent/descriptor_store.h"
#include "engine/agent/journal.h"
#include "engine/agent/lun_server.h"
#include "engine/agent/node_metrics.h"
#include "engine/agent/order.h"
#include "engine/agent/tree.h"
#include "engine/agent/watcher.h"
#include "engine/base/mutex.h"
#include "engine/model/attachment.h"
#include "engine/rpc/flocker.pb.h"
#include "engine/volume/filesystem.h"
#include "engine/volume/holders.h"
#include "engine/volume/loop.h"

namespace flocker {

// What all holdings of a node share.
struct NodeContext {
  std::string root;  // the agent's directory
  std::string node_name;
  std::string lun_binary;
  Journal* journal = nullptr;
  Watcher* watcher = nullptr;
  DescriptorStore* store = nullptr;
  Tree* tree = nullptr;
  // To control; queued, never blocks.
  std::function<void(const rpc::AgentUp&)> send;
  // The dataset is mounted here under this serial and mount epoch (serial 0: no more); published when it returns.
  std::function<void(const DatasetId&, uint32_t serial, uint64_t mount_epoch)> publish;
  // Its present name, which a rename changes without asking the holding.
  std::function<std::string(const DatasetId&)> name_of;
  // A step ended; never blocks.
  std::function<void(std::string_view step, bool ok, absl::Duration took)> count_step;
  // This holding is over: called once, last, on its own thread.
  std::function<void(const DatasetId&, uint64_t mount_epoch)> forget;
};

class Holding {
 public:
  // A new one, or one out of the journal (`order` empty), for which it looks at the machine first. Begins to work at
  // once.
  Holding(const NodeContext& context, Attachment attachment, std::optional<AttachOrder> order);
  ~Holding();
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

  // Blocks until it knows what the machine has of it: some milliseconds, or a second when its LUN server is paused.
  // Before that there is nothing to say about it.
  void WaitUntilFound();

  // Control's orders; they return at once. One for an older epoch does nothing.
  void OnAttach(const AttachOrder& order);
  void OnRelease(uint64_t epoch);
  void OnDrop(uint64_t epoch);
  void OnControlReachable(bool reachable);
  // The connection to control is new: what it has to know is said again.
  void Repeat();
  // Once a second: writes that wait for room in the pool are tried again.
  void OnTick();

  uint64_t mount_epoch() const { return mount_epoch_; }
  // As a hello says it; nullopt when it is only being cleaned up.
  std::optional<rpc::Held> held() const;
  // For a monitor; nullopt when it is only being cleaned up.
  std::optional<AttachmentFigures> Figures() const;
  // Who uses it just now, in words.
  std::string DescribeHolders() const;

 private:
  void Run();
  absl::Status RunStep(LocalStep step);
  void AdoptFromMachine();
  LunServer::Events LunEvents();

  absl::Status StartLun();
  absl::Status AttachLoopDevice();
  absl::Status Format();
  absl::Status MountHere();
  absl::Status GrowBeforeMount(const LoopDevice& loop);
  // Loop and ext4 take over what the LUN has grown by.
  absl::Status Grow();
  // What has not grown is said to control.
  void NoteRemark(const absl::Status& grown) REQUIRES(mutex_);
  absl::Status GateTree();
  absl::Status Scan();
  absl::Status Unmount();
  absl::Status DetachLoopDevice();
  absl::Status StopLun();
  // No I/O of this attachment waits any more, and none succeeds.
  void FailIo(const std::shared_ptr<LunServer>& server) const;
  void Drop();
  // A release was refused or failed: whoever waits at the gate goes on.
  void LetIn();
  // A step that only tells control; true when it was one.
  bool TellControl(LocalStep step) REQUIRES(mutex_);
  // True when the order comes too late to be carried out: then its answer is NOT_HELD, at once or at the end.
  bool TooLate(uint64_t epoch) REQUIRES(mutex_);
  void Report(rpc::Report::Kind kind, const std::string& message) REQUIRES(mutex_);
  void Save() REQUIRES(mutex_);
  // The thread looks for its next step; while it is growing, a renewal's report does not wait for it.
  void Wake() REQUIRES(mutex_);
  void Kick() REQUIRES(mutex_);
  void OnLunDied();
  void OnLunNotice(const std::string& kind, const std::string& message);
  std::shared_ptr<LunServer> lun() const;
  LunPaths Paths() const;
  absl::StatusOr<LoopDevice> Loop() const;
  HolderQuery Query() const;

  std::string SocketPath() const;
  std::string FilePath() const;
  std::string FormatPath() const;
  std::string NativePath() const;
  MountRequest MountOptions(const std::string& path) const;

  const NodeContext context_;
  const DatasetId id_;
  const uint64_t mount_epoch_;
  const uint32_t serial_;

  mutable Mutex mutex_;
  CondVar wake_;
  Attachment attachment_ GUARDED_BY(mutex_);
  std::optional<AttachOrder> order_ GUARDED_BY(mutex_);
  bool found_ GUARDED_BY(mutex_) = false;    // what of it is on the machine is known
  bool growing_ GUARDED_BY(mutex_) = false;  // the thread grows the filesystem, which may take minutes
  bool paused_ GUARDED_BY(mutex_) = false;   // the last step failed: control repeats its order
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool over_ GUARDED_BY(mutex_) = false;      // its last report is out; the agent is about to forget it
  bool not_held_ GUARDED_BY(mutex_) = false;  // control waits for the word that nothing of it is here any more
  bool writes_paused_ GUARDED_BY(mutex_) = false;
  bool write_failed_again_ GUARDED_BY(mutex_) = false;
  std::string busy_ GUARDED_BY(mutex_);    // who holds it
  std::string remark_ GUARDED_BY(mutex_);  // what is not as it should be although it is attached
  std::vector<rpc::TimelineStep> timeline_ GUARDED_BY(mutex_);
  std::shared_ptr<LunServer> lun_ GUARDED_BY(mutex_);
  bool control_reachable_ GUARDED_BY(mutex_) = true;  // for a LUN server that is started from now on
  std::thread thread_;                                // last: it uses all of the above
};

}  // namespace flocker
