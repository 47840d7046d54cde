// The Tree service: the agent's end of the stream that flocker-fs opens on the agent's unix socket.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "engine/agent/tree.h"
#include "engine/base/mutex.h"
#include "engine/rpc/event_log.h"
#include "engine/rpc/flocker.grpc.pb.h"

namespace flocker {

class TreeService : public rpc::Tree::Service, public Tree {
 public:
  // Called on a thread of gRPC's, one stream's messages one after the other.
  struct Events {
    std::function<void(pid_t)> serves;                          // a flocker-fs has said hello
    std::function<bool(const rpc::OperationRequest&)> execute;  // false: control cannot be reached
    std::function<void(const rpc::Refusal&)> refusal;
    std::function<rpc::Description(const DatasetId&, bool holders)> describe;
    std::function<bool()> control_reachable;
  };

  // `mountpoint` of the tree; `welcome` is said to every flocker-fs that comes.
  TreeService(std::string mountpoint, rpc::TreeWelcome welcome)
      : mountpoint_(std::move(mountpoint)), welcome_(std::move(welcome)) {}
  // Once, before the first stream.
  void SetEvents(Events events) { events_ = std::move(events); }

  grpc::Status Serve(grpc::ServerContext* context,
                     grpc::ServerReaderWriter<rpc::TreeDown, rpc::TreeUp>* stream) override;

  // To flocker-fs, when there is one. Queued: one that hangs holds nobody up, and is given up when too much waits.
  void Reply(const rpc::OperationReply& reply);
  void CatalogChanged(uint64_t version);
  void ControlReachable(bool reachable);
  // Kept as well, for the next flocker-fs.
  void Happened(const rpc::Events& events) EXCLUDES(mutex_);
  // A flocker-fs is connected.
  bool serving() const EXCLUDES(mutex_);
  // The last event that Happened.
  rpc::EventMark last_event() const;

  absl::StatusOr<uint32_t> Gate(const DatasetId& id, absl::Duration grace) override;
  absl::Status DropDescriptors(const DatasetId& id, uint64_t mount_epoch) override;
  void Ungate(const DatasetId& id) override;
  dev_t device() const override;
  std::string mountpoint() const override { return mountpoint_; }
  std::set<pid_t> own_processes() const override;

 private:
  using Stream = grpc::ServerReaderWriter<rpc::TreeDown, rpc::TreeUp>;
  void Handle(const rpc::TreeUp& message);
  void Send(const rpc::TreeDown& message) EXCLUDES(mutex_);
  void Queue(rpc::TreeDown message) REQUIRES(mutex_);
  void QueueEvents() REQUIRES(mutex_);
  // Writes what is queued for this stream, as long as it is the newest.
  void WriteQueue(Stream& stream) EXCLUDES(mutex_);
  bool Mounted() const;
  // Sends and waits until `answers_` has the key, or the time is over; nullopt when there is no flocker-fs and no mount
  // that one could go on with.
  absl::StatusOr<std::optional<uint32_t>> Ask(const rpc::TreeDown& message, const std::string& key,
                                              absl::Duration timeout);

  const std::string mountpoint_;
  const rpc::TreeWelcome welcome_;
  Events events_;
  mutable Mutex mutex_;
  CondVar changed_;
  Stream* stream_ GUARDED_BY(mutex_) = nullptr;  // of the newest flocker-fs
  uint64_t streams_ GUARDED_BY(mutex_) = 0;      // how many there were
  std::set<DatasetId> gated_ GUARDED_BY(mutex_);
  grpc::ServerContext* context_ GUARDED_BY(mutex_) = nullptr;
  std::deque<rpc::TreeDown> queue_ GUARDED_BY(mutex_);  // for stream_
  EventLog log_ GUARDED_BY(mutex_);
  std::map<std::string, uint32_t> answers_ GUARDED_BY(mutex_);
  dev_t device_ GUARDED_BY(mutex_) = 0;
  pid_t pid_ GUARDED_BY(mutex_) = 0;
};

}  // namespace flocker
