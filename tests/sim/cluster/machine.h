// A simulated machine: its kernel's view of the attachments (LUN servers, loops, mounts), which an agent's crash does
// not touch and a machine's crash ends, and the workload that writes numbers into what is mounted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/attachment.h"
#include "lun_process.h"
#include "sim.h"
#include "sim_array.h"

namespace flocker::sim {

using MountKey = std::pair<DatasetId, uint64_t>;  // with the mount epoch

// A mounted ext4 with its page cache and its writer.
class Filesystem {
 public:
  using Done = std::function<void(bool ok)>;

  Filesystem(Sim& sim, Machine& machine, std::shared_ptr<LunProcess> lun, const DatasetId& id, const Blocks& blocks);

  // Everything written so far is on disk, and acknowledged, when `done` says ok.
  void Sync(Done done);
  void Shutdown() { failed_ = true, life_.End(); }

  bool failed() const { return failed_; }
  // Its last mount is gone and nobody holds it: nothing is written any more, and the last sync is its end, also when
  // the agent that unmounted it dies.
  void Die() { dying_ = true, life_.End(); }
  bool dying() const { return dying_; }
  // Somebody has a file open, visibly (to a scan) or not (only the proof sees it).
  bool held() const { return held_; }
  bool hidden() const { return hidden_; }
  void Hold(bool hidden) { held_ = true, hidden_ = hidden; }
  void LetGo() { held_ = false; }

 private:
  void Write();
  void Flush(std::vector<Done> waiting);
  void Flushed(const std::vector<Done>& waiting, bool ok);

  Sim& sim_;
  Machine& machine_;
  const std::shared_ptr<LunProcess> lun_;
  const DatasetId id_;
  uint64_t next_ = 1;
  std::vector<uint64_t> dirty_;
  bool syncing_ = false;
  std::vector<Done> waiting_;  // for the next sync: the present one began before them
  bool failed_ = false;
  bool dying_ = false;
  bool held_ = false;
  bool hidden_ = false;
  Life life_;   // of its writer
  Life mount_;  // of itself
};

// What stands on a machine for one attachment.
struct Stack {
  std::shared_ptr<LunProcess> lun;
  bool loop = false;
  bool formatting = false;                 // by a mkfs that outlives its agent and holds the device exclusively
  bool mounted = false;                    // where users find it
  std::shared_ptr<Filesystem> filesystem;  // alive also without a mount, while somebody hidden holds it
};

class Machine {
 public:
  Machine(Sim& sim, SimArray& array, Place place, NodeId id, std::string name)
      : sim_(sim), array_(array), place_(place), id_(std::move(id)), name_(std::move(name)) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Events of this machine: while it is paused they wait for its thaw.
  void Do(std::function<void()> event);
  void After(const Life& life, absl::Duration delay, std::function<void()> event);

  void Pause() { paused_ = true; }
  void Thaw();
  // Everything but its disk is gone.
  void Crash();

  Place place() const { return place_; }
  const NodeId& id() const { return id_; }
  const std::string& name() const { return name_; }
  bool paused() const { return paused_; }
  // Whether its service manager does, as on every second one: a LUN server may end together with its agent and have a
  // successor all the same.
  bool keeps_descriptors() const { return place_ % 2 == 1; }
  Sim& sim() { return sim_; }

  std::shared_ptr<LunProcess> StartLun(const MountKey& key);
  Stack& stack(const MountKey& key) { return stacks_[key]; }
  std::map<MountKey, Stack>& stacks() { return stacks_; }
  const std::map<MountKey, Stack>& stacks() const { return stacks_; }
  void Erase(const MountKey& key) { stacks_.erase(key); }
  bool Holds(const DatasetId& id, uint64_t mount_epoch) const;

  // The agent's root directory: of an attachment only what the real journal writes counts.
  std::map<MountKey, Attachment> journal;
  uint32_t last_serial = 0;
  uint64_t boots = 1;

 private:
  Sim& sim_;
  SimArray& array_;
  const Place place_;
  const NodeId id_;
  const std::string name_;
  std::map<MountKey, Stack> stacks_;
  bool paused_ = false;
  std::vector<std::function<void()>> frozen_;
};

}  // namespace flocker::sim
