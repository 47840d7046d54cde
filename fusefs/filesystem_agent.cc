// What the agent says, and what it is told.
#include <spdlog/spdlog.h>

#include <utility>

#include "fusefs/filesystem.h"

namespace flocker {

void Filesystem::Connect(const std::string& agent, const rpc::TreeHello& hello) {
  link_ = std::make_unique<AgentLink>(agent, hello, *this);
  link_->Start();
}

bool Filesystem::Send(rpc::TreeUp message) { return link_ != nullptr && link_->Send(std::move(message)); }

bool Filesystem::ControlReached() const { return link_ != nullptr && link_->connected() && control_reachable_.load(); }

Reach Filesystem::Reached() const {
  return {.agent = link_ != nullptr && link_->connected(), .control = ControlReached()};
}

void Filesystem::Interrupted(uint64_t id) {
  // Not here: libfuse holds its lock on the request.
  deadlines_.Soon([this, id] { datasets_.Interrupt(id); });
}

void Filesystem::OnWelcome(const rpc::TreeWelcome& welcome) {
  control_reachable_ = false;  // until this stream says so
  rpc::TreeWelcome saved = welcome;
  saved.clear_gated();
  state_.SaveWelcome(saved.SerializeAsString());
  view_.Adopt(welcome);
  OpenAgain();  // before the gates: what is open counts
  std::vector<DatasetId> gated;
  for (const std::string& id : welcome.gated()) gated.push_back(DatasetId::Parse(id).value_or(DatasetId()));
  datasets_.GateOnly(gated);
  operations_.Resend();
  News();
}

void Filesystem::OnBroken() {
  control_reachable_ = false;
  operations_.OnBroken();
  // Whoever gated cannot go on with it; an agent that comes back gates again.
  datasets_.UngateAll();
}

void Filesystem::OnMessage(const rpc::TreeDown& message) {
  switch (message.kind_case()) {
    case rpc::TreeDown::kReply:
      return operations_.OnReply(message.reply());
    case rpc::TreeDown::kGate:
      return OnGate(message.gate());
    case rpc::TreeDown::kUngate:
      return datasets_.Ungate(DatasetId::Parse(message.ungate().dataset_id()).value_or(DatasetId()));
    case rpc::TreeDown::kDrop:
      return OnDrop(message.drop());
    case rpc::TreeDown::kChanged:
      return News();
    case rpc::TreeDown::kDescription:
      return operations_.OnDescription(message.description());
    case rpc::TreeDown::kControl:
      control_reachable_ = message.control().reachable();
      return Heard();
    case rpc::TreeDown::kEvents:
      return info_.Happened(message.events());
    case rpc::TreeDown::kWelcome:  // the link's
    case rpc::TreeDown::KIND_NOT_SET:
      return;
  }
}

void Filesystem::News() {
  view_.Refresh();
  OpenAgain();
  datasets_.CatalogChanged();
  operations_.CatalogChanged();
}

void Filesystem::OnGate(const rpc::Gate& gate) {
  const auto dataset = DatasetId::Parse(gate.dataset_id()).value_or(DatasetId());
  datasets_.Gate(dataset, absl::Milliseconds(gate.grace_ms()), [this, id = gate.dataset_id()](uint32_t uses) {
    rpc::TreeUp message;
    message.mutable_gated()->set_dataset_id(id);
    message.mutable_gated()->set_open_handles(uses);
    Send(std::move(message));
  });
}

void Filesystem::OnDrop(const rpc::DropDescriptors& drop) {
  const auto dataset = DatasetId::Parse(drop.dataset_id()).value_or(DatasetId());
  const auto close_files = [this](const LocalMount& attachment) {
    for (auto& file : files_.RemoveAll(attachment)) CloseOnWorker(std::move(file));
  };
  datasets_.Drop(dataset, drop.mount_epoch(), close_files, [this, drop] {
    rpc::TreeUp message;
    message.mutable_dropped()->set_dataset_id(drop.dataset_id());
    message.mutable_dropped()->set_mount_epoch(drop.mount_epoch());
    Send(std::move(message));
  });
}

}  // namespace flocker
