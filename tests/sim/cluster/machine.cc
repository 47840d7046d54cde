#include "machine.h"

#include <algorithm>
#include <utility>

namespace flocker::sim {

// ---- filesystem ----

Filesystem::Filesystem(Sim& sim, Machine& machine, std::shared_ptr<LunProcess> lun, const DatasetId& id,
                       const Blocks& blocks)
    : sim_(sim), machine_(machine), lun_(std::move(lun)), id_(id) {
  next_ = *std::max_element(blocks.begin(), blocks.end()) + 1;
  machine_.After(life_, sim_.random.Between(absl::Milliseconds(1), absl::Milliseconds(100)), [this] { Write(); });
}

void Filesystem::Write() {
  if (failed_) return;
  dirty_.push_back(next_++);
  if (sim_.random.Percent(40)) Sync([](bool) {});
  machine_.After(life_, sim_.random.Between(absl::Milliseconds(20), absl::Milliseconds(500)), [this] { Write(); });
}

void Filesystem::Sync(Done done) {
  if (syncing_) {
    waiting_.push_back(std::move(done));
  } else {
    Flush({std::move(done)});
  }
}

// Writes the newest number of each block, as a page cache holds nothing else, then the flush that acknowledges all.
void Filesystem::Flush(std::vector<Done> waiting) {
  const std::vector<uint64_t> numbers = dirty_;
  if (failed_ || numbers.empty()) return Flushed(waiting, !failed_);
  syncing_ = true;
  Blocks newest{};
  for (const uint64_t number : numbers) newest[number % kBlocks] = number;
  Command write{.kind = Command::Kind::kWrite};
  for (const uint64_t number : newest) {
    if (number != 0) write.numbers.push_back(number);
  }
  lun_->Submit(write, [this, token = mount_.token(), numbers, waiting](bool written, const Disk&) {
    if (token.expired()) return;
    if (!written) return Flushed(waiting, false);
    lun_->Submit({.kind = Command::Kind::kSync}, [this, token, numbers, waiting](bool ok, const Disk&) {
      if (token.expired()) return;
      if (ok && !failed_) {
        std::erase_if(dirty_, [&](uint64_t number) { return number <= numbers.back(); });
        sim_.truth.Acknowledged(id_, numbers);
      }
      Flushed(waiting, ok && !failed_);
    });
  });
}

void Filesystem::Flushed(const std::vector<Done>& waiting, bool ok) {
  if (!ok) Shutdown();  // errors=remount-ro
  syncing_ = false;
  std::vector<Done> next = std::exchange(waiting_, {});
  for (const Done& done : waiting) done(ok);
  if (!next.empty()) Flush(std::move(next));
}

// ---- machine ----

void Machine::Do(std::function<void()> event) {
  if (paused_) {
    frozen_.push_back(std::move(event));
  } else {
    event();
  }
}

void Machine::After(const Life& life, absl::Duration delay, std::function<void()> event) {
  sim_.clock.After(delay, [this, token = life.token(), event = std::move(event)] {
    Do([token, event] {
      if (!token.expired()) event();
    });
  });
}

void Machine::Thaw() {
  if (!std::exchange(paused_, false)) return;
  for (const auto& event : std::exchange(frozen_, {})) Do(event);
}

void Machine::Crash() {
  for (auto& [key, stack] : stacks_) {
    if (stack.filesystem != nullptr) stack.filesystem->Shutdown();
    if (stack.lun != nullptr) stack.lun->Die(/*with_machine=*/true);
  }
  stacks_.clear();
  frozen_.clear();
  paused_ = false;
  ++boots;
}

std::shared_ptr<LunProcess> Machine::StartLun(const MountKey& key) {
  Stack& stack = stacks_[key];
  stack.lun = std::make_shared<LunProcess>(sim_, *this, array_, key.first);
  return stack.lun;
}

bool Machine::Holds(const DatasetId& id, uint64_t mount_epoch) const {
  const auto it = stacks_.find({id, mount_epoch});
  if (it == stacks_.end()) return false;
  return it->second.filesystem != nullptr || it->second.loop || (it->second.lun != nullptr && it->second.lun->alive());
}

}  // namespace flocker::sim
