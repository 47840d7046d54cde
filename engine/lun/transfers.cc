#include "engine/lun/transfers.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/lun/zero_plan.h"

namespace flocker::lun {
namespace {

// Unit attentions and aborted commands come in ones and twos; more means that the target is out of its mind.
constexpr uint32_t kMaxAttempts = 16;

bool Writes(Verb verb) { return verb == Verb::kWrite || verb == Verb::kWriteSame || verb == Verb::kUnmap; }

}  // namespace

Transfers::Transfers(Owner& owner, Arena& arena, FuseDevice& fuse, Session& session, Clock::duration busy_limit,
                     Witness* witness)
    : owner_(owner),
      arena_(arena),
      fuse_(fuse),
      session_(&session),
      busy_limit_(busy_limit),
      witness_(witness),
      transfers_(arena.slot_count()) {
  batch_.reserve(arena.slot_count());
}

template <class F>
uint64_t Transfers::ForEachAt(Stage stage, F f) {
  batch_.clear();
  for (uint32_t slot = 0; slot < transfers_.size(); ++slot) {
    if (transfers_[slot].stage == stage) batch_.push_back(slot);
  }
  std::sort(batch_.begin(), batch_.end(),
            [this](uint32_t a, uint32_t b) { return arena_.arrival(a) < arena_.arrival(b); });
  for (const uint32_t slot : batch_) f(slot);
  return batch_.size();
}

void Transfers::Add(uint32_t slot, const FuseRequest& request, uint64_t length) {
  Transfer& transfer = transfers_[slot];
  transfer = {};
  transfer.stage = Stage::kWaiting;
  transfer.request = request;
  transfer.length = length;
}

void Transfers::Issue(uint32_t slot, Clock::time_point now) {
  transfers_[slot].stage = Stage::kIssued;
  Pump(slot, now);
}

uint64_t Transfers::IssueWaiting(Clock::time_point now) {
  const uint64_t count = ForEachAt(Stage::kWaiting, [&](uint32_t slot) { Issue(slot, now); });
  counters_.reissued += count;
  return count;
}

void Transfers::Rewind(Transfer& transfer) {
  transfer.stage = Stage::kWaiting;
  transfer.issued = 0;
  transfer.flushed = false;
  transfer.outstanding = 0;
  transfer.judgement = {};
}

void Transfers::Suspend() {
  for (Transfer& transfer : transfers_) {
    if (transfer.stage != Stage::kNone) Rewind(transfer);
  }
  held_ = 0;
}

uint64_t Transfers::FailAll(int error) {
  uint64_t failed = 0;
  for (const Stage stage : {Stage::kWaiting, Stage::kHeld, Stage::kLater}) {
    failed += ForEachAt(stage, [&](uint32_t slot) { Finish(slot, error); });
  }
  held_ = 0;
  return failed;
}

void Transfers::ReleaseHeld() {
  ForEachAt(Stage::kHeld, [&](uint32_t slot) { Rewind(transfers_[slot]); });
  held_ = 0;
}

uint64_t Transfers::FailHeld() {
  held_ = 0;
  return ForEachAt(Stage::kHeld, [&](uint32_t slot) { Finish(slot, transfers_[slot].judgement.error); });
}

uint32_t Transfers::issued() const {
  return static_cast<uint32_t>(std::count_if(
      transfers_.begin(), transfers_.end(), [](const Transfer& transfer) { return transfer.stage == Stage::kIssued; }));
}

void Transfers::ReleaseLater() {
  ForEachAt(Stage::kLater, [&](uint32_t slot) { Rewind(transfers_[slot]); });
}

bool Transfers::Complete(const Transfer& transfer) const {
  return transfer.request.opcode == FUSE_FSYNC ? transfer.flushed : transfer.issued == transfer.length;
}

Command16 Transfers::NextCommand(uint32_t slot, const Transfer& transfer) const {
  const uint64_t offset = transfer.request.offset + transfer.issued;
  const uint64_t left = transfer.length - transfer.issued;
  switch (transfer.request.opcode) {
    case FUSE_READ:
      return {Verb::kRead, offset, std::min(left, geometry_.max_transfer),
              arena_.answer(slot).data() + transfer.issued};
    case FUSE_WRITE:
      return {Verb::kWrite, offset, std::min(left, geometry_.max_transfer),
              transfer.request.payload.data() + transfer.issued};
    case FUSE_FALLOCATE: {
      const ZeroStep step = NextZeroStep(geometry_.zero, offset, offset + left);
      return {step.unmap ? Verb::kUnmap : Verb::kWriteSame, offset, step.length, nullptr};
    }
    default:
      return {Verb::kFlush, 0, 0, nullptr};
  }
}

void Transfers::Pump(uint32_t slot, Clock::time_point now) {
  Transfer& transfer = transfers_[slot];
  while (!Complete(transfer) && transfer.outstanding < kCommandsPerRequest) {
    const Command16 command = NextCommand(slot, transfer);
    if (!session_->Issue(slot, command, geometry_.block_size, now)) return;  // Lost follows, and Suspend with it
    if (witness_ != nullptr) witness_->Issued(slot, command);
    transfer.issued += command.length;
    transfer.flushed = command.verb == Verb::kFlush;
    ++transfer.outstanding;
  }
  if (transfer.outstanding == 0) Finish(slot, 0);
}

void Transfers::Answered(uint32_t slot, const Command16& command, const ScsiAnswer& answer, Clock::time_point now) {
  Transfer& transfer = transfers_[slot];
  --transfer.outstanding;
  const Judgement judgement = Judge(answer, Writes(command.verb));
  if (judgement.remedy == Remedy::kCut) return session_->Cut(judgement.loss, Describe(answer));
  if (judgement.remedy == Remedy::kNone && witness_ != nullptr) witness_->Acknowledged(slot, command);
  if (judgement.remedy != Remedy::kNone && transfer.judgement.remedy == Remedy::kNone) {
    transfer.judgement = judgement;
    transfer.answer = answer;
    transfer.failed = command;
  }
  if (transfer.judgement.remedy == Remedy::kNone) return Pump(slot, now);
  if (transfer.outstanding == 0) Resolve(slot, now);
}

void Transfers::Resolve(uint32_t slot, Clock::time_point now) {
  Transfer& transfer = transfers_[slot];
  const Judgement judgement = transfer.judgement;
  const Command16 failed = transfer.failed;
  const ScsiAnswer answer = transfer.answer;
  if (log_.Allow()) {
    spdlog::warn("{} of {} bytes at {}: {} ({} more lines suppressed before)",
                 failed.verb == Verb::kRead    ? "read"
                 : failed.verb == Verb::kFlush ? "flush"
                 : failed.verb == Verb::kUnmap ? "unmap"
                                               : "write",
                 failed.length, failed.offset, Describe(answer), log_.TakeSuppressed());
  }
  switch (judgement.remedy) {
    case Remedy::kAgain:
    case Remedy::kCheckAndAgain:
      if (++transfer.attempts > kMaxAttempts) {
        return session_->Cut(Loss::kProtocol, "the LUN refuses again and again: " + Describe(answer));
      }
      Rewind(transfer);
      if (judgement.remedy == Remedy::kCheckAndAgain) return owner_.LunInDoubt(answer);
      return Issue(slot, now);
    case Remedy::kLater:
      if (!transfer.busy_since) transfer.busy_since = now;
      if (now - *transfer.busy_since >= busy_limit_) return Finish(slot, judgement.error);
      transfer.stage = Stage::kLater;
      return owner_.LunBusy();
    case Remedy::kHold:
      transfer.stage = Stage::kHeld;
      if (++held_ == 1) owner_.WriteHeld(failed, answer);
      return;
    case Remedy::kUnsupported:
      if (failed.verb == Verb::kUnmap) {
        geometry_.zero.unmap = false;  // it promised UNMAP and refuses it: zeroes can be written too
        Rewind(transfer);
        return Issue(slot, now);
      }
      return Finish(slot, failed.verb == Verb::kWriteSame ? judgement.error : EIO);
    default:
      return Finish(slot, judgement.error);
  }
}

void Transfers::Finish(uint32_t slot, int error) {
  Transfer& transfer = transfers_[slot];
  const FuseRequest request = transfer.request;
  transfer.stage = Stage::kNone;
  const uint64_t length = error == 0 ? transfer.length : 0;
  fuse_write_out written{};
  std::span<const std::byte> data;
  switch (request.opcode) {
    case FUSE_READ:
      ++counters_.reads;
      counters_.read_bytes += length;
      data = arena_.answer(slot).first(length);
      break;
    case FUSE_WRITE:
      ++counters_.writes;
      counters_.written_bytes += length;
      written.size = static_cast<uint32_t>(length);
      if (error == 0) data = std::as_bytes(std::span(&written, 1));
      break;
    case FUSE_FSYNC:
      ++counters_.flushes;
      break;
    default:
      ++counters_.discards;
  }
  Reply(slot, request, error, data);
}

void Transfers::Reply(uint32_t slot, const FuseRequest& request, int error, std::span<const std::byte> data) {
  if (error != 0 && error != ENOSYS) ++counters_.errors;
  const absl::Status replied = fuse_.Reply(request.unique, error, data);
  if (!replied.ok()) spdlog::error("{}", std::string(replied.message()));
  arena_.Release(slot);
}

}  // namespace flocker::lun
