// The calls of Docker's volume plugin protocol, turned into operations of the cluster and answered from what this node
// knows. No I/O, no threads, no clock: plugin.h has those, and a test has others.
//
//     Create -> operation -----------------------------------> answer
//     Remove -> operation (to the trash) --------------------> answer
//     Mount  -> here, mounted? ------------------------------> its native mount
//                 | here, not yet: wait for the news
//                 | elsewhere: move it here; refused while it is in use there, as mv is
//     the rest -> answer, from memory
//
// There is no counting of Mounts, and an Unmount does nothing: dockerd repeats and forgets both (README.md). Whether a
// volume is in use is what the kernel's mounts say when somebody wants to move or destroy it.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/docker/request.h"
#include "engine/model/ids.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker::docker {

// A dataset as this node knows it.
struct Volume {
  DatasetId id;
  std::string name;
  std::string node;   // the name of the node that it is on, or on its way to
  bool here = false;  // that is this one
  std::string path;   // its native mount, while that is to stay; else empty
  std::string phase;
  std::string error;  // why its present step failed
  uint64_t size = 0;  // bytes
  uint64_t used = 0;  // bytes of the pool
  int64_t created_ms = 0;
};

class VolumeDriver {
 public:
  struct World {
    std::function<std::optional<Volume>(const std::string& name)> find;
    std::function<std::vector<Volume>()> list;
    // To control; false: it cannot be reached, and nothing was sent.
    std::function<bool(const rpc::OperationRequest&)> execute;
    // Control can be reached and has told what datasets there are: one that is unknown does not exist.
    std::function<bool()> informed;
  };
  // The answer's JSON text. Called once, at once or later; never calls back.
  using Answer = std::function<void(std::string)>;

  VolumeDriver(NodeId self, Profiles profiles, World world);

  // `call` as in "/VolumeDriver.Mount"; false when there is no such call. `caller`: who is at the other end.
  bool Handle(const std::string& call, const std::string& body, const rpc::Caller& caller, Answer answer,
              absl::Time now);

  // What control answered, to whomever; what this node knows of the cluster has changed; some time has passed.
  void OnReply(const rpc::OperationReply& reply, absl::Time now);
  void OnChanged(absl::Time now);
  void OnTick(absl::Time now);

  // Nobody waits: there is nothing to tick for.
  bool idle() const { return waiting_.empty() && operations_.empty(); }

 private:
  enum class Kind { kCreate, kRemove, kMount };
  struct Waiting {
    Kind kind = Kind::kMount;
    std::string name;
    rpc::Caller caller;
    Answer answer;
    absl::Time since;
    std::string operation;  // its id, when one is under way
  };
  struct Operation {
    rpc::OperationRequest request;
    absl::Time sent;
  };
  void Create(const VolumeRequest& request, const rpc::Caller& caller, Answer answer, absl::Time now);
  void Remove(const VolumeRequest& request, const rpc::Caller& caller, Answer answer, absl::Time now);
  void Mount(const VolumeRequest& request, const rpc::Caller& caller, Answer answer, absl::Time now);
  void Get(const VolumeRequest& request, const Answer& answer) const;
  void List(const Answer& answer) const;
  void Path(const VolumeRequest& request, const Answer& answer) const;
  // Looks how a mount stands; true when it was answered.
  bool AdvanceMount(Waiting& mount, absl::Time now);
  // The id of the operation that brings it here: the one under way, or a new one. Empty: control is away.
  std::string MoveHere(const Volume& volume, const rpc::Caller& caller, absl::Time now);
  // The id under which it was sent, or nothing.
  std::string Send(rpc::OperationRequest request, absl::Time now);
  // What came of an operation, told to one who waits for it; true when that was his answer.
  bool Settle(Waiting& waiting, const absl::Status& outcome, absl::Time now);
  bool Expire(const Waiting& waiting, absl::Time now) const;

  const NodeId self_;
  const Profiles profiles_;
  const World world_;
  std::list<Waiting> waiting_;
  std::map<std::string, Operation> operations_;  // by id
};

}  // namespace flocker::docker
