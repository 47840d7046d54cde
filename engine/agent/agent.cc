#include "engine/agent/agent.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "engine/agent/agent_yml.h"
#include "engine/base/clock.h"
#include "engine/base/fault.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"
#include "engine/rpc/packed_view.h"
#include "engine/volume/filesystem.h"
#include "engine/volume/fuse_mount.h"

namespace flocker {
namespace {

constexpr std::string_view kIscsi = "iscsi";
constexpr std::string_view kLoopback = "loopback";
constexpr char kCatalogFile[] = "catalog";
// One that was killed is gone within moments: what waits for a device is not in it (base/apart).
constexpr absl::Duration kTick = absl::Seconds(1);
constexpr absl::Duration kPredecessorTimeout = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(const AgentConfig& config) {
  for (const char* directory : {"", "/mnt"}) RETURN_IF_ERROR(MakeDirectories(config.root + directory, 0711));
  for (const char* directory : {"/lun", "/format"}) RETURN_IF_ERROR(MakeDirectories(config.root + directory, 0700));
  RETURN_IF_ERROR(EnsureFuseControl());
  const absl::Time deadline = SteadyNow() + kPredecessorTimeout;
  auto journal = Journal::Open(config.root);
  while (absl::IsFailedPrecondition(journal.status()) && SteadyNow() < deadline) {
    absl::SleepFor(absl::Milliseconds(100));
    journal = Journal::Open(config.root);
  }
  RETURN_IF_ERROR(journal.status());
  std::unique_ptr<Agent> agent(new Agent(config, *std::move(journal)));
  RETURN_IF_ERROR(agent->Open());
  return agent;
}

Agent::Agent(AgentConfig config, Journal journal) : config_(std::move(config)), journal_(std::move(journal)) {}

Agent::~Agent() {
  if (metrics_ != nullptr) metrics_->StopServing();
  ticker_.reset();
  owned_link_.reset();
  link_ = nullptr;
  plugin_ = nullptr;
  owned_plugin_.reset();
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
}

absl::Status Agent::Open() {
  rpc::TreeWelcome welcome;
  welcome.set_node_id(journal_.node().str());
  welcome.set_node_name(config_.name);
  welcome.set_catalog(absl::StrCat(config_.root, "/", kCatalogFile));
  welcome.set_mount_root(absl::StrCat(config_.root, "/mnt"));
  tree_ = std::make_unique<TreeService>(config_.tree, welcome);
  ASSIGN_OR_RETURN(auto catalog, CatalogWriter::Open(welcome.catalog(), {.id = journal_.node(), .name = config_.name}));
  view_ = std::make_unique<NodeView>(std::move(catalog), [this](uint64_t version) {
    tree_->CatalogChanged(version);
    if (docker::Plugin* plugin = plugin_) plugin->OnChanged();
  });
  ASSIGN_OR_RETURN(const auto before, CatalogReader::Open(welcome.catalog()));
  view_->Remember(*before);
  if (!config_.metrics.empty()) {
    ASSIGN_OR_RETURN(metrics_, NodeMetrics::Serve(
                                   config_.metrics, [this] { return Figures(); }, [this] { return WhyNotReady(); }));
  }

  ASSIGN_OR_RETURN(const std::vector<Attachment> held, journal_.Load());
  for (const Attachment& attachment : held) {
    const MutexLock lock(mutex_);  // its thread may end, and Forget it, before it stands here
    holdings_[{attachment.id, attachment.mount_epoch}] = std::make_shared<Holding>(Context(), attachment, std::nullopt);
  }
  // All of them look at once, each on its own thread.
  for (const auto& holding : Holdings()) holding->WaitUntilFound();
  auto kept_tree = store_.Take(DescriptorStore::OfTree());
  std::set<std::string> owners = {DescriptorStore::OfTree()};
  for (const auto& [id, mount_epoch] : Keys()) owners.insert(DescriptorStore::OfLun(id, mount_epoch));
  store_.RemoveAllBut(owners);
  view_->ForgetUnmounted();
  if (held.empty()) RETURN_IF_ERROR(SweepMountPaths(config_.root));

  std::vector<std::string> arguments = {"--node",       config_.name,
                                        "--agent",      absl::StrCat("unix:", config_.root, "/agent.sock"),
                                        "--mountpoint", config_.tree};
  if (!config_.create_on_bind) arguments.push_back("--no-create-on-bind");
  tree_process_ =
      std::make_unique<TreeProcess>(TreeProcess::Config{.binary = absl::StrCat(config_.binaries, "/flocker-fs"),
                                                        .arguments = std::move(arguments),
                                                        .mountpoint = config_.tree,
                                                        .store = &store_},
                                    std::move(kept_tree).value_or(KeptDescriptors()));
  RETURN_IF_ERROR(StartTreeServer());
  auto inherited = store_.TakeSockets();
  if (!config_.docker_sockets.empty() || !inherited.empty()) {
    RETURN_IF_ERROR(StartDockerPlugin(std::move(inherited)));
  }
  reconciler_ = std::make_unique<Reconciler>(Reconciler::Config{
      .root = config_.root, .interval = config_.reconcile_interval, .held = [this] { return Keys(); }});
  owned_link_ = std::make_unique<ControlLink>(
      config_.control, config_.transport,
      ControlLink::Events{.hello = [this] { return Hello(); },
                          .reachable = [this](bool reachable) { OnReachable(reachable); },
                          .message = [this](const rpc::AgentDown& message) { OnControl(message); }});
  link_ = owned_link_.get();
  // Not by the link: looking up control's name can block it for longer than a dead LUN server may wait.
  ticker_ = std::make_unique<Ticker>(kTick, [this] { OnTick(); });
  return absl::OkStatus();
}

absl::Status Agent::StartTreeServer() {
  tree_->SetEvents({.serves = [this](pid_t pid) { tree_process_->OnServing(pid); },
                    .execute =
                        [this](const rpc::OperationRequest& request) {
                          ControlLink* link = link_;
                          return link != nullptr && link->Execute(request);
                        },
                    .refusal =
                        [this](const rpc::Refusal& refusal) {
                          rpc::AgentUp up;
                          *up.mutable_refusal() = refusal;
                          Send(up);
                        },
                    .describe =
                        [this](const DatasetId& id, bool holders) {
                          rpc::Description description = view_->Describe(id);
                          const auto holdings = HoldingsOf(id);
                          if (holders && !holdings.empty()) {
                            description.set_holders(holdings.back()->DescribeHolders());
                          }
                          return description;
                        },
                    .control_reachable =
                        [this] {
                          ControlLink* link = link_;
                          return link != nullptr && link->reachable();
                        }});
  grpc::ServerBuilder builder;
  builder.RegisterService(tree_.get());
  ASSIGN_OR_RETURN(server_, StartServer(builder, {.addresses = {absl::StrCat("unix:", config_.root, "/agent.sock")}}));
  return absl::OkStatus();
}

docker::Volume Agent::ToVolume(const CatalogDataset& dataset) const {
  docker::Volume volume;
  volume.id = dataset.id;
  volume.name = dataset.name;
  volume.node = view_->NodeName(dataset.node);
  volume.here = dataset.node == journal_.node();
  volume.phase = std::string(PhaseName(dataset.phase));
  volume.error = dataset.error;
  volume.size = dataset.size;
  volume.used = dataset.used;
  volume.created_ms = dataset.created_ms;
  // One that is about to be let go may be gone before a container has bound it.
  const bool stays = dataset.phase != Phase::kDetaching && dataset.phase != Phase::kFencing;
  if (volume.here && stays && dataset.serial != 0) {
    volume.path = MountPath(config_.root, dataset.id, dataset.mount_epoch);
  }
  return volume;
}

absl::Status Agent::StartDockerPlugin(std::map<std::string, unique_fd> inherited) {
  docker::VolumeDriver::World world;
  world.find = [this](const std::string& name) -> std::optional<docker::Volume> {
    const auto dataset = view_->Find(name);
    if (!dataset) return std::nullopt;
    return ToVolume(*dataset);
  };
  world.list = [this] {
    std::vector<docker::Volume> volumes;
    for (const CatalogDataset& dataset : view_->Datasets()) volumes.push_back(ToVolume(dataset));
    return volumes;
  };
  world.execute = [this](const rpc::OperationRequest& request) {
    ControlLink* link = link_;
    return link != nullptr && link->Execute(request);
  };
  world.informed = [this] {
    const ControlLink* link = link_;
    return link != nullptr && link->reachable() && view_->version() != 0;
  };
  ASSIGN_OR_RETURN(owned_plugin_, docker::Plugin::Start({.node = journal_.node(),
                                                         .sockets = config_.docker_sockets,
                                                         .inherited = std::move(inherited),
                                                         .profiles = config_.docker_profiles},
                                                        std::move(world)));
  plugin_ = owned_plugin_.get();
  return absl::OkStatus();
}

NodeContext Agent::Context() {
  return {.root = config_.root,
          .node_name = config_.name,
          .lun_binary = absl::StrCat(config_.binaries, "/flocker-lun"),
          .journal = &journal_,
          .watcher = &watcher_,
          .store = &store_,
          .tree = tree_.get(),
          .send = [this](const rpc::AgentUp& message) { Send(message); },
          .publish = [this](const DatasetId& id, uint32_t serial,
                            uint64_t mount_epoch) { view_->SetMounted(id, serial, mount_epoch); },
          .name_of = [this](const DatasetId& id) { return view_->NameOf(id); },
          .count_step =
              [this](std::string_view step, bool ok, absl::Duration took) {
                if (metrics_ != nullptr) metrics_->CountStep(step, ok, took);
              },
          .forget = [this](const DatasetId& id, uint64_t mount_epoch) { Forget(id, mount_epoch); }};
}

NodeFigures Agent::Figures() {
  NodeFigures figures{.strays = strays_};
  if (const ControlLink* link = link_) figures.control_reachable = link->reachable();
  for (const auto& holding : Holdings()) {
    if (auto one = holding->Figures()) figures.attachments.push_back(*std::move(one));
  }
  return figures;
}

std::vector<std::string> Agent::WhyNotReady() const {
  std::vector<std::string> reasons;
  const ControlLink* link = link_;
  if (link == nullptr || !link->reachable()) reasons.push_back("not connected to control at " + config_.control);
  if (!tree_->serving()) reasons.push_back("flocker-fs does not serve the tree at " + config_.tree);
  return reasons;
}

std::vector<std::shared_ptr<Holding>> Agent::Holdings() {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Holding>> all;
  all.reserve(holdings_.size());
  for (const auto& [key, holding] : holdings_) all.push_back(holding);
  return all;
}

// In the order of their mount epochs: the last is the present one, the others are being cleaned up.
std::vector<std::shared_ptr<Holding>> Agent::HoldingsOf(const DatasetId& id) {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Holding>> all;
  for (auto it = holdings_.lower_bound({id, 0}); it != holdings_.end() && it->first.first == id; ++it) {
    all.push_back(it->second);
  }
  return all;
}

std::set<AttachmentKey> Agent::Keys() {
  const MutexLock lock(mutex_);
  std::set<AttachmentKey> keys;
  for (const auto& [key, holding] : holdings_) keys.insert(key);
  return keys;
}

// Only while control listens: what is sent to nobody is lost.
void Agent::TellStrays() {
  const ControlLink* link = link_;
  if (link == nullptr || !link->reachable()) return;
  for (const Reconciler::Finding& finding : reconciler_->TakeFindings()) {
    rpc::AgentUp up;
    up.mutable_notice()->set_dataset_id(finding.dataset.str());
    up.mutable_notice()->set_kind("stray");
    up.mutable_notice()->set_message(absl::StrCat("on ", config_.name, ": ", finding.message));
    Send(up);
    ++strays_;
  }
}

void Agent::Send(const rpc::AgentUp& message) {
  ControlLink* link = link_;
  if (link != nullptr) link->Send(message);
}

void Agent::Forget(const DatasetId& id, uint64_t mount_epoch) {
  const MutexLock lock(mutex_);
  const auto it = holdings_.find({id, mount_epoch});
  if (it == holdings_.end()) return;
  finished_.push_back(std::move(it->second));
  holdings_.erase(it);
  spent_[id] = std::max(spent_[id], mount_epoch);
}

bool Agent::Spent(const DatasetId& id, uint64_t mount_epoch) {
  const MutexLock lock(mutex_);
  const auto it = spent_.find(id);
  return it != spent_.end() && mount_epoch <= it->second;
}

rpc::AgentHello Agent::Hello() {
  {
    const MutexLock lock(mutex_);
    spent_.clear();  // orders of an earlier stream come no more, and this hello says what is here
  }
  rpc::AgentHello hello;
  hello.mutable_node()->set_id(journal_.node().str());
  hello.mutable_node()->set_name(config_.name);
  // Again each time: when the first hello went out, there may have been no route yet.
  if (auto address = OwnAddressTowards(config_.control)) own_address_ = *std::move(address);
  hello.mutable_node()->set_address(config_.address.empty() ? own_address_ : config_.address);
  const auto boot = ReadFile("/proc/sys/kernel/random/boot_id");
  if (boot.ok()) hello.set_boot_id(std::string(absl::StripSuffix(*boot, "\n")));
  hello.set_view_version(view_->version());
  hello.set_version(FLOCKER_VERSION);
  hello.set_packed_views(true);
  *hello.mutable_last_event() = tree_->last_event();
  for (const auto& holding : Holdings()) {
    if (const auto held = holding->held()) *hello.add_held() = *held;
  }
  return hello;
}

void Agent::OnReachable(bool reachable) {
  tree_->ControlReachable(reachable);
  for (const auto& holding : Holdings()) holding->OnControlReachable(reachable);
}

void Agent::OnTick() {
  sd_notify(0, "WATCHDOG=1");  // does nothing where nobody watches
  std::vector<std::shared_ptr<Holding>> finished;
  {
    const MutexLock lock(mutex_);
    finished.swap(finished_);
  }
  finished.clear();  // joins their threads, which have nothing left to do
  for (const auto& holding : Holdings()) holding->OnTick();
  TellStrays();
}

void Agent::OnControl(const rpc::AgentDown& message) {
  switch (message.kind_case()) {
    case rpc::AgentDown::kWelcome:
      for (const auto& holding : Holdings()) holding->Repeat();
      return;
    case rpc::AgentDown::kAttach:
      return OnAttach(message.attach());
    case rpc::AgentDown::kRelease:
      return OnRelease(message.release());
    case rpc::AgentDown::kDrop:
      if (const auto id = DatasetId::Parse(message.drop().dataset_id())) {
        for (const auto& holding : HoldingsOf(*id)) holding->OnDrop(message.drop().epoch());
      }
      return;
    case rpc::AgentDown::kView:
      return OnView(message.view());
    case rpc::AgentDown::kPackedView: {
      const auto view = UnpackView(message.packed_view());
      if (!view.ok()) return spdlog::error("control's view: {}", std::string(view.status().message()));
      return OnView(*view);
    }
    case rpc::AgentDown::kReply:
      // To both: who did not ask does not know the operation's id.
      if (docker::Plugin* plugin = plugin_) plugin->OnReply(message.reply());
      return tree_->Reply(message.reply());
    case rpc::AgentDown::kEvents:
      return tree_->Happened(message.events());
    default:
      return;
  }
}

void Agent::OnView(const rpc::ViewDelta& view) {
  view_->Apply(view);
  rpc::AgentUp shown;
  shown.mutable_heartbeat()->set_view_version(view_->version());
  Send(shown);
}

void Agent::OnAttach(const rpc::Attach& attach) {
  const auto id = DatasetId::Parse(attach.dataset_id());
  if (!id) return;
  const AttachOrder order = FromRpc(attach, *id);
  const std::string_view backend = order.portal.empty() ? kLoopback : kIscsi;
  if (!config_.backend.empty() && config_.backend != backend) {
    return Answer(
        *id, order.epoch, rpc::Report::FAILED,
        absl::StrCat("this node's backend is ", config_.backend, ", and what control grants is ", backend.data(),
                     ": set `backend` in agent.yml, or `array` in control.yml, to what the other one says"));
  }
  bool known = false;
  for (const auto& holding : HoldingsOf(*id)) {
    if (holding->mount_epoch() == order.mount_epoch) {
      known = true;
      holding->OnAttach(order);
    } else {
      holding->OnDrop(order.epoch);  // the record knows nothing of it any more
    }
  }
  if (known) return;
  // It was let go, or lost, while the order was on its way: to attach it (or, for a renewal, to attach it afresh) would
  // hold what control counts as released.
  if (order.epoch != order.mount_epoch || Spent(*id, order.mount_epoch)) {
    return Answer(*id, order.epoch, rpc::Report::NOT_HELD, "nothing of it is here any more");
  }
  Attachment attachment;
  attachment.id = *id;
  attachment.name = order.name;
  attachment.epoch = order.epoch;
  attachment.mount_epoch = order.mount_epoch;
  attachment.formatted = order.formatted;
  const auto serial = journal_.NewSerial();
  absl::Status status = serial.status();
  if (serial.ok()) {
    attachment.serial = *serial;
    status = journal_.Put(attachment);
  }
  if (!status.ok()) return Answer(*id, order.epoch, rpc::Report::FAILED, std::string(status.message()));
  FLOCKER_FAULT_POINT("agent.journaled");
  const MutexLock lock(mutex_);  // its thread may end, and Forget it, before it stands here
  holdings_[{*id, order.mount_epoch}] = std::make_shared<Holding>(Context(), attachment, order);
}

void Agent::OnRelease(const rpc::Release& release) {
  const auto id = DatasetId::Parse(release.dataset_id());
  if (!id) return;
  const auto holdings = HoldingsOf(*id);
  if (!holdings.empty()) return holdings.back()->OnRelease(release.epoch());
  // Nothing of it is here, so nothing of it is held: a repeated order, or a node that was rebooted.
  Answer(*id, release.epoch(), rpc::Report::RELEASED, "");
}

void Agent::Answer(const DatasetId& id, uint64_t epoch, rpc::Report::Kind kind, const std::string& message) {
  rpc::AgentUp up;
  up.mutable_report()->set_dataset_id(id.str());
  up.mutable_report()->set_epoch(epoch);
  up.mutable_report()->set_kind(kind);
  up.mutable_report()->set_message(message);
  Send(up);
}

}  // namespace flocker
