#include "sim_agent.h"

#include <algorithm>
#include <utility>

#include "engine/rpc/packed_view.h"

namespace flocker::sim {
namespace {

constexpr absl::Duration kHeartbeatTimeout = absl::Seconds(2);
constexpr absl::Duration kOperationTimeout = absl::Seconds(4);
constexpr absl::Duration kReconnectPause = absl::Milliseconds(100);
constexpr absl::Duration kReconnectMax = absl::Seconds(1);
constexpr absl::Duration kConnectTimeout = absl::Seconds(1);

// What engine/agent/journal.cc writes down of an attachment.
Attachment Journaled(const Attachment& attachment) {
  Attachment read;
  read.id = attachment.id;
  read.name = attachment.name;
  read.mount_epoch = attachment.mount_epoch;
  read.epoch = attachment.epoch;
  read.serial = attachment.serial;
  read.formatted = attachment.formatted;
  if (attachment.aim == Aim::kDrop) read.aim = Aim::kDrop;
  return read;
}

}  // namespace

SimAgent::SimAgent(Sim& sim, Machine& machine, ControlHost& control) : sim_(sim), machine_(machine), control_(control) {
  sim_.Say("agent   ", machine_.name(), " starts");
  for (const auto& [key, entry] : machine_.journal) {
    holdings_[key] = std::make_unique<SimHolding>(sim_, machine_, Context(), Journaled(entry), std::nullopt);
  }
  Connect();
}

SimAgent::~SimAgent() {
  if (stream_ == nullptr) return;
  if (sim_.random.Percent(50)) stream_->up.LoseTail();
  EndUp(stream_);
}

SimHolding::Context SimAgent::Context() {
  return {.send = [this](const rpc::AgentUp& message) { Send(message); },
          .forget =
              [this](const MountKey& key) {
                const auto it = holdings_.find(key);
                if (it == holdings_.end()) return;
                finished_.push_back(std::move(it->second));  // it is still on its way out
                holdings_.erase(it);
                spent_[key.first] = std::max(spent_[key.first], key.second);
              }};
}

// ---- the stream ----

void SimAgent::Connect() {
  const Place node = machine_.place();
  machine_.After(life_, sim_.network.Delay() + sim_.network.Delay(), [this, node] {
    const bool passes = sim_.network.Passes(node, kControlPlace) && sim_.network.Passes(kControlPlace, node);
    const auto stream = passes ? control_.Accept(node) : nullptr;
    if (stream != nullptr) return Connected(stream);
    machine_.After(life_, passes ? absl::ZeroDuration() : kConnectTimeout, [this] { Reconnect(); });
  });
}

void SimAgent::Connected(const std::shared_ptr<Stream>& stream) {
  finished_.clear();
  stream_ = stream;
  heard_ = sim_.clock.now();
  stream->on_down = [this, token = linked_.token()](const rpc::AgentDown& message) {
    machine_.Do([this, token, message] {
      if (!token.expired()) OnControl(message);
    });
  };
  stream->on_control_gone = [this, token = linked_.token()] {
    machine_.Do([this, token] {
      if (!token.expired()) Disconnect();
    });
  };
  rpc::AgentUp up;
  *up.mutable_hello() = Hello();
  SendUp(stream_, up);
  Beat();
}

void SimAgent::Disconnect() {
  linked_.End();
  EndUp(stream_);
  stream_ = nullptr;
  if (reachable_) pause_ = kReconnectPause;
  reachable_ = false;
  Reconnect();
}

void SimAgent::Reconnect() {
  machine_.After(life_, pause_, [this] { Connect(); });
  pause_ = std::min(pause_ * 2, kReconnectMax);
}

void SimAgent::Beat() {
  const absl::Duration now = sim_.clock.now();
  if (now - heard_ > kHeartbeatTimeout) return Disconnect();
  std::erase_if(pending_, [&](const auto& item) { return now - item.second.since > kOperationTimeout; });
  rpc::AgentUp up;
  up.mutable_heartbeat();
  Send(up);
  machine_.After(linked_, kHeartbeatTimeout / 5, [this] { Beat(); });
}

void SimAgent::Send(const rpc::AgentUp& message) {
  if (stream_ != nullptr) SendUp(stream_, message);
}

bool SimAgent::Execute(const rpc::OperationRequest& request, Answer answer) {
  if (!reachable_) return false;
  pending_[request.id()] = {.request = request, .answer = std::move(answer), .since = sim_.clock.now()};
  rpc::AgentUp up;
  *up.mutable_operation() = request;
  Send(up);
  return true;
}

rpc::AgentHello SimAgent::Hello() {
  spent_.clear();
  rpc::AgentHello hello;
  hello.mutable_node()->set_id(machine_.id().str());
  hello.mutable_node()->set_name(machine_.name());
  hello.mutable_node()->set_address(machine_.name());
  hello.set_boot_id(std::to_string(machine_.boots));
  hello.set_view_version(view_version_);
  hello.set_packed_views(true);
  for (const auto& [key, holding] : holdings_) {
    if (const auto held = holding->held()) *hello.add_held() = *held;
  }
  return hello;
}

// ---- what control says ----

void SimAgent::OnControl(const rpc::AgentDown& message) {
  heard_ = sim_.clock.now();
  switch (message.kind_case()) {
    case rpc::AgentDown::kWelcome:
      return OnWelcome();
    case rpc::AgentDown::kAttach:
      return OnAttach(message.attach());
    case rpc::AgentDown::kRelease:
      return OnRelease(message.release());
    case rpc::AgentDown::kDrop:
      if (const auto id = DatasetId::Parse(message.drop().dataset_id())) {
        for (SimHolding* holding : HoldingsOf(*id)) holding->OnDrop(message.drop().epoch());
      }
      return;
    case rpc::AgentDown::kView:
      return OnView(message.view());
    case rpc::AgentDown::kPackedView:
      return OnView(UnpackView(message.packed_view()).value());
    case rpc::AgentDown::kReply:
      return OnReply(message.reply());
    default:
      return;
  }
}

void SimAgent::OnWelcome() {
  reachable_ = true;
  for (const auto& [key, holding] : holdings_) holding->Repeat();
  for (const auto& [id, operation] : pending_) {
    rpc::AgentUp up;
    *up.mutable_operation() = operation.request;
    Send(up);
  }
}

std::vector<SimHolding*> SimAgent::HoldingsOf(const DatasetId& id) {
  std::vector<SimHolding*> all;
  for (auto it = holdings_.lower_bound({id, 0}); it != holdings_.end() && it->first.first == id; ++it) {
    all.push_back(it->second.get());
  }
  return all;
}

void SimAgent::OnAttach(const rpc::Attach& attach) {
  const auto id = DatasetId::Parse(attach.dataset_id());
  const AttachOrder order = FromRpc(attach, *id);
  bool known = false;
  for (SimHolding* holding : HoldingsOf(*id)) {
    if (holding->mount_epoch() == order.mount_epoch) {
      known = true;
      holding->OnAttach(order);
    } else {
      holding->OnDrop(order.epoch);
    }
  }
  if (known) return;
  const auto spent = spent_.find(*id);
  if (order.epoch != order.mount_epoch || (spent != spent_.end() && order.mount_epoch <= spent->second)) {
    return TellOfNothing(attach.dataset_id(), order.epoch, rpc::Report::NOT_HELD);
  }
  Attachment attachment;
  attachment.id = *id;
  attachment.name = order.name;
  attachment.epoch = order.epoch;
  attachment.mount_epoch = order.mount_epoch;
  attachment.formatted = order.formatted;
  attachment.serial = ++machine_.last_serial;
  const MountKey key{*id, order.mount_epoch};
  machine_.journal[key] = attachment;
  holdings_[key] = std::make_unique<SimHolding>(sim_, machine_, Context(), attachment, order);
}

void SimAgent::OnRelease(const rpc::Release& release) {
  const auto id = DatasetId::Parse(release.dataset_id());
  const auto holdings = HoldingsOf(*id);
  if (!holdings.empty()) return holdings.back()->OnRelease(release.epoch());
  TellOfNothing(release.dataset_id(), release.epoch(), rpc::Report::RELEASED);
}

void SimAgent::TellOfNothing(const std::string& dataset_id, uint64_t epoch, rpc::Report::Kind kind) {
  rpc::AgentUp up;
  up.mutable_report()->set_dataset_id(dataset_id);
  up.mutable_report()->set_epoch(epoch);
  up.mutable_report()->set_kind(kind);
  Send(up);
}

void SimAgent::OnView(const rpc::ViewDelta& delta) {
  if (delta.from() == 0) {
    view_.clear();
  } else if (delta.from() != view_version_) {
    sim_.truth.Violated("a view delta does not begin where the last one ended");
  }
  for (const rpc::DatasetView& dataset : delta.datasets()) view_[dataset.id()] = dataset;
  for (const std::string& id : delta.gone_datasets()) view_.erase(id);
  view_version_ = delta.to();
  rpc::AgentUp shown;
  shown.mutable_heartbeat()->set_view_version(view_version_);
  Send(shown);
}

void SimAgent::OnReply(const rpc::OperationReply& reply) {
  const auto it = pending_.find(reply.id());
  if (it == pending_.end()) return;
  const Answer answer = std::move(it->second.answer);
  pending_.erase(it);
  answer(reply);
}

}  // namespace flocker::sim
