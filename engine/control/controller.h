// The heart of flocker-control: takes events in, keeps the cluster, plans, and lets effects out only after what they
// rest on is on disk. Single-threaded, without I/O or clock of its own: the runner feeds it, and so does a simulation.
//
// Use: any number of On…() calls, then Flush(). Effects (agent messages, array actions, replies) leave in Flush, after
// the commit. Times are monotonic, counted from any fixed moment.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/array/array.h"
#include "engine/control/deadlines.h"
#include "engine/control/leases.h"
#include "engine/control/restored_state.h"
#include "engine/control/retention.h"
#include "engine/control/sessions.h"
#include "engine/model/admission.h"
#include "engine/model/cluster.h"
#include "engine/model/event.h"
#include "engine/model/outcome.h"
#include "engine/model/planner.h"
#include "engine/rpc/flocker.pb.h"
#include "engine/store/store.h"

namespace flocker {

// Where the reply to an operation goes: down an agent's stream, or to a call that waits in the world.
struct ReplyTo {
  SessionId session = 0;  // 0: not an agent
  uint64_t call = 0;      // a number the world gave out
};

// Everything the controller causes. Calls return at once except Commit.
class World {
 public:
  virtual ~World() = default;
  // Durable when it returns. An error is final: the controller must not go on.
  virtual absl::Status Commit(const Batch& batch) = 0;
  virtual void SendToAgent(SessionId session, const rpc::AgentDown& message) = 0;
  // The same of an encoded rpc::AgentDown that several sessions share.
  virtual void SendToAgent(SessionId session, const std::shared_ptr<const std::string>& encoded) {
    rpc::AgentDown message;
    message.ParseFromString(*encoded);
    SendToAgent(session, message);
  }
  // Lets the agents have the events that were committed so far. Not called for each commit, to spare a message to each
  // agent for each of them; a world that tells nobody has nothing to do.
  virtual void TellEvents() {}
  // Ends the stream after what was sent.
  virtual void CloseSession(SessionId session) = 0;
  // Its outcome comes back through OnArrayOutcome, exactly once. `dataset` is the record as committed.
  virtual void StartArrayAction(const Action& action, const Dataset& dataset) = 0;
  // Keeps the record beside its LUN up to date; a failure is the world's to report as a notice.
  virtual void WriteRecord(const Dataset& dataset) = 0;
  // The answer comes through OnCapacity.
  virtual void RequestCapacity() = 0;
  // The answer comes through OnArrayList.
  virtual void RequestArrayList() = 0;
  // Fences one initiator, or everybody when `initiator` is empty, before any later action on the same dataset; a
  // failure is the world's to report as a notice, and found again later.
  virtual void CutOffStray(const DatasetId& dataset, const std::string& initiator) = 0;
  // OK, or kNoSpace when the disk of the cluster's state has too little room to take on anything new.
  virtual absl::Status CheckRoom() = 0;
  virtual void Reply(uint64_t call, const rpc::OperationReply& reply) = 0;
  virtual std::string RandomHex(size_t bytes) = 0;
  virtual int64_t WallClockMs() = 0;
};

// Key of the store's meta, followed by the id of a node that is drained.
inline constexpr char kDrainedMeta[] = "drained.";

struct ControllerOptions {
  absl::Duration heartbeat_timeout = absl::Seconds(5);
  absl::Duration operation_timeout = absl::Seconds(10);
  double overcommit = 10;
  double pool_reserve = 0.05;
  absl::Duration reconcile_interval = absl::Minutes(1);
  absl::Duration capacity_interval = absl::Seconds(10);  // between two looks at the pool's figures
  absl::Duration retention = absl::Hours(24);            // how long the trash keeps a dataset; zero: not at all
  absl::Duration move_patience = absl::Minutes(2);       // how long a v1 client's move or delete is tried
  bool note_changes = false;                             // somebody calls TakeChanges
};

class Controller {
 public:
  Controller(const ControllerOptions& options, const Snapshot& snapshot, World& world, absl::Duration now);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Agents. The first message of a session must be its hello; every message counts as a sign of life.
  void OnAgentMessage(SessionId session, const rpc::AgentUp& message, absl::Duration now);
  void OnAgentGone(SessionId session, absl::Duration now);
  // Asked when an operation is about to be executed; an error is its answer, and nothing else comes of it.
  using Condition = std::function<absl::Status()>;
  // An operation from a client; `to` gets exactly one reply.
  void OnOperation(const rpc::OperationRequest& request, ReplyTo to, absl::Duration now,
                   const Condition& condition = nullptr);
  // Moves or destroys a dataset as soon as it is possible, for move_patience; then an event says why it was not. Takes
  // the place of an earlier wish for the same dataset; another client that moves or destroys it does away with it.
  absl::Status OnWish(Wish wish, absl::Duration now);
  // True when it was this node's already, and is renewed. `keep`: from now; nothing: until it is released. kExists when
  // another node has it. Nobody checks that the dataset exists.
  absl::StatusOr<bool> AcquireLease(const DatasetId& dataset, const NodeId& node, std::optional<absl::Duration> keep,
                                    absl::Duration now);
  // The lease as it was; kNotFound.
  absl::StatusOr<Lease> ReleaseLease(const DatasetId& dataset);
  // What came of StartArrayAction, and how long it took.
  void OnArrayOutcome(const Action& action, const StepOutcome& outcome, absl::Duration took, absl::Duration now);
  void OnCapacity(const absl::StatusOr<PoolCapacity>& capacity, absl::Duration now);
  void OnArrayList(const absl::StatusOr<std::vector<ArrayEntry>>& entries, absl::Duration now);
  // The array forgot every export: all sessions are dead, all grants must be renewed.
  void OnArrayRestart(absl::Duration now);
  // Something worth an event that answers nothing.
  void OnNotice(const DatasetId& dataset, const std::string& kind, const std::string& message);
  void OnTick(absl::Duration now);

  // Commits what the calls since the last Flush changed, then lets their effects out. An error is final.
  absl::Status Flush(absl::Duration now);
  // When OnTick wants to be called next, at the latest.
  absl::Duration NextTick() const;

  // What was refused before a restart, oldest first, so that Why still knows.
  void RememberRefusals(const std::vector<Event>& events);

  // Questions; they answer from memory.
  const Cluster& cluster() const { return cluster_; }
  rpc::ViewReply View(absl::Duration now, const rpc::ViewRequest& request = {}) const;
  absl::StatusOr<Event> Why(const std::string& name) const;
  // It existed, and its LUN is gone for good.
  bool Purged(const DatasetId& dataset) const { return purged_.contains(dataset); }
  const Wish* WishOf(const DatasetId& dataset) const;
  std::optional<absl::Duration> LeaseEnd(const DatasetId& dataset) const { return lease_ends_.Of(dataset); }
  // maximum_size as the v1 client gave it that made the dataset; 0: it gave none. Nothing: made by another client.
  std::optional<uint64_t> AskedSizeOf(const DatasetId& dataset) const;
  // What may look different since the last call: datasets with their leases and wishes, or some node.
  struct Changes {
    std::set<DatasetId> datasets;
    bool nodes = false;
  };
  Changes TakeChanges();
  uint64_t last_event_seq() const { return event_seq_; }
  const std::optional<PoolCapacity>& capacity() const { return capacity_; }  // as the array told last
  absl::Duration capacity_at() const { return capacity_at_; }                // when that was
  // Why the array did not answer when it was asked last, for its space or for what it holds; empty: it did.
  const std::string& array_error() const { return list_error_.empty() ? capacity_error_ : list_error_; }
  // How many strays were found on the array, and on nodes, in this run.
  uint64_t strays() const { return strays_; }
  // How often the array was compared with the records.
  uint64_t array_looks() const { return array_looks_; }

 private:
  // What is under way for a dataset that its record does not say.
  struct Work {
    std::optional<Action> running;
    absl::Duration retry_at;
    absl::Duration backoff;
    std::optional<absl::Duration> logging_in_since;  // the first grant that would renew its session, until it is used
    std::vector<StepTime> timeline;                  // the last steps since it was at rest

    void Took(StepTime step);
  };
  struct Waiter {
    DatasetId dataset;
    std::vector<ReplyTo> to;
  };
  // An answer that waits until the tree of the node where the dataset is to be shows it: whoever hears that a mv is
  // done looks there next.
  struct LateReply {
    ReplyTo to;
    rpc::OperationReply reply;
    SessionId reader = 0;  // 0: nobody to wait for
    uint64_t version = 0;
    absl::Duration deadline;  // a reader that hangs must not keep others waiting
  };
  struct Parked {  // until the array has told its capacity
    rpc::OperationRequest request;
    ReplyTo to;
    Condition condition;
  };
  struct PendingWish {
    Wish wish;
    absl::Duration deadline;
    absl::Duration backoff;
    std::string attempt;   // the operation that is to make it true; empty: none is under way
    absl::Status refusal;  // of the last one
  };

  void OnHello(SessionId session, const rpc::AgentHello& hello, absl::Duration now);
  absl::Status CheckHello(const Node& node) const;
  void ReconcileHeld(SessionId session, const NodeId& node, const rpc::AgentHello& hello, absl::Duration now);
  void OnReport(const NodeId& node, const rpc::Report& report, absl::Duration now);
  void OnRefusal(const NodeId& node, const rpc::Refusal& refusal);

  void Confirm(absl::Duration now);
  using Strays = std::set<std::pair<DatasetId, std::string>>;  // who is let in where; empty: the export as a whole
  void Reconcile(const DatasetId& id, const ArrayEntry& entry, const Strays& known_before, absl::Duration now);

  // What a refusal for want of space says of the trash; empty when it holds nothing.
  std::string TrashHint() const;
  absl::Status AdmitMore(uint64_t bytes) const;
  // The records to commit; the first is the one that is answered for.
  absl::StatusOr<std::vector<Dataset>> PlanOperation(const rpc::OperationRequest& request, absl::Duration now);
  void Execute(const rpc::OperationRequest& request, ReplyTo to, absl::Duration now, const Condition& condition);
  void Begin(const std::vector<Dataset>& planned, const rpc::OperationRequest& request);
  // What is asked of a node; controller_nodes.cc.
  void ChangeNode(const rpc::OperationRequest& request, ReplyTo to);
  absl::Status ApplyToNode(const rpc::NodeChange& change, const std::string& audit);
  void Wait(const std::string& operation_id, const DatasetId& dataset, ReplyTo to, absl::Duration now);
  void AnswerIfDone(const Dataset& dataset);
  SessionId ReaderOf(const ReplyTo& to, const rpc::OperationReply& reply) const;
  void SendReplies(absl::Duration now);
  void Answer(const ReplyTo& to, const std::string& operation_id, const DatasetId& dataset, const absl::Status& status);

  void ApplyOutcome(const StepOutcome& outcome, absl::Duration now);
  // Whether its node manages to log in again after a renewal (Cluster::CutOff).
  void NoteLogins(const Dataset& dataset, absl::Duration now);
  absl::Duration LoginDeadline(const DatasetId& id, const Work& work) const;
  void CheckLogin(const DatasetId& id, absl::Duration now);
  absl::Duration DueAt(const DatasetId& id, absl::Duration now) const;
  void CheckSilence(absl::Duration now);
  // The event that an applied outcome is worth, if any.
  void Note(const Dataset& before, const Dataset& after, const StepOutcome& outcome);
  void PutDataset(Dataset dataset);
  void PlanDirty(absl::Duration now);
  void Plan(const DatasetId& id, absl::Duration now);
  void PutExchanged(const std::vector<Dataset>& exchanged);
  void SendWork(const Action& action, const Dataset& dataset);
  void SendDrop(SessionId session, const std::string& dataset_id, uint64_t epoch);
  void PurgeExpired(absl::Duration now);
  void SetLiveness(const NodeId& node, Liveness liveness);
  void UpdateValve();
  void LoadPromises(const Snapshot& snapshot, absl::Duration now);
  void EraseLease(const Lease& lease, const std::string& event);
  void ExpireLeases(absl::Duration now);
  void ForgetWish(const DatasetId& dataset);
  void CheckWishes(absl::Duration now);
  void CheckWish(const DatasetId& id, absl::Duration now);
  void Changed(const DatasetId& dataset);
  Event& AddEvent(const std::string& kind, const Dataset* dataset, const std::string& message);
  void RememberRefusal(const Event& event);
  Fresh DrawFresh() { return {.secret = world_.RandomHex(8)}; }

  const ControllerOptions options_;
  World& world_;
  Cluster cluster_;
  Sessions sessions_;
  std::set<DatasetId> purged_;  // the tombstones: ids that are gone for good
  std::map<DatasetId, Work> work_;
  Deadlines<DatasetId> work_due_;          // when there is something to try again, or its node counts as cut off
  std::map<std::string, Waiter> waiters_;  // by operation id
  Deadlines<std::string> waiters_due_;
  std::vector<Parked> parked_;
  // The time of day decides only across a restart: within a run a lease's time is counted, so that a wrong clock frees
  // nothing that somebody relies on.
  Deadlines<DatasetId> lease_ends_;
  std::map<DatasetId, PendingWish> wishes_;
  Deadlines<DatasetId> wishes_due_;  // for another look
  std::map<DatasetId, uint64_t> asked_sizes_;
  Changes changes_;
  std::vector<LateReply> late_;
  std::map<std::string, Event, std::less<>> refusals_;  // the last one by dataset id and by name
  std::map<NodeId, absl::Duration> last_heard_;
  Deadlines<NodeId> silence_;  // when to look whether a node that is not down was heard lately
  std::map<NodeId, absl::Duration> vanished_at_;
  std::optional<PoolCapacity> capacity_;
  absl::Duration capacity_at_ = -absl::InfiniteDuration();
  std::string capacity_error_;
  std::string list_error_;
  absl::Duration next_capacity_;
  absl::Duration next_heartbeat_;
  RestoredState restored_;
  Retention retention_;
  absl::Duration next_list_;
  // What the array was told something about since it was asked for its list; nothing when no list is under way.
  std::optional<std::set<DatasetId>> touched_;
  // A hash of the text beside the LUN that was seen to say what the record says: reading it again would say nothing
  // new.
  std::map<DatasetId, size_t> described_;
  std::set<DatasetId> reported_;  // findings that are for people, said once a run
  uint64_t strays_ = 0;
  uint64_t array_looks_ = 0;
  uint64_t event_seq_ = 0;

  // Since the last Flush.
  std::set<DatasetId> dirty_;
  Batch batch_;
  std::set<DatasetId> put_;
  std::vector<std::pair<Action, Dataset>> actions_;
  std::vector<std::pair<ReplyTo, rpc::OperationReply>> replies_;
  std::vector<std::pair<SessionId, rpc::AgentDown>> messages_;
  std::vector<SessionId> closing_;
  std::set<SessionId> urgent_;   // who is told the news at once
  bool heartbeat_ = false;       // is due to all
  std::set<DatasetId> records_;  // whose description beside the LUN is out of date
  Strays strays_to_cut_;
  Strays known_strays_;  // of the last look: one that stays is not counted again
  bool list_wanted_ = false;
};

}  // namespace flocker
