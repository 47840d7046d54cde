#include "engine/ctl/command_line.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "engine/ctl/ca_commands.h"
#include "engine/ctl/completion.h"
#include "engine/ctl/dataset_commands.h"
#include "engine/ctl/diagnosis_commands.h"
#include "engine/ctl/exit_code.h"
#include "engine/ctl/history_commands.h"
#include "engine/ctl/lease_commands.h"
#include "engine/ctl/node_commands.h"

namespace flocker {
namespace {

constexpr char kWhichDataset[] = "its name, or a prefix of its id";
constexpr char kWhichTrashed[] = "its name, or a prefix of its id; see trash";
constexpr char kWhichNode[] = "the node's name, or a prefix of its id";
constexpr char kForce[] = "although many nodes vanished together: take it off a silent node";

constexpr char kUsualSocket[] = "/run/flocker/control.sock";

std::string AtUsualPort(const std::string& host) { return absl::StrCat(host, ":4524"); }

// Where control is if the command line does not say.
std::string UsualControl() {
  if (const char* address = std::getenv("FLOCKER_CONTROL")) return address;
  if (const char* host = std::getenv("FLOCKER_CONTROL_SERVICE")) return AtUsualPort(host);
  // Of the package's control on this machine, for whom it lets in.
  if (access(kUsualSocket, W_OK) == 0) return absl::StrCat("unix:", kUsualSocket);
  return AtUsualPort("127.0.0.1");
}

void Describe(const CLI::App& app, const std::string& path, std::vector<DescribedCommand>& commands) {
  commands.push_back({path, &app});
  for (const CLI::App* sub : VisibleCommands(app)) {
    Describe(*sub, path.empty() ? sub->get_name() : absl::StrCat(path, " ", sub->get_name()), commands);
  }
}

}  // namespace

CommandLine::CommandLine(Arguments& arguments) : arguments_(arguments) {
  arguments_.control = UsualControl();
  app_.footer(ExitCodeTable());
  app_.require_subcommand(1);
  app_.fallthrough();  // --json may stand behind the command, too
  AddGlobals();
  AddDatasets();
  AddLeases();
  AddNodes();
  AddHistory();
  AddDiagnosis();
  AddAuthority();
}

Command CommandLine::chosen() const {
  const CLI::App* last = &app_;
  while (!last->get_subcommands().empty()) last = last->get_subcommands().front();
  return commands_.at(last);
}

CLI::App* CommandLine::Add(CLI::App* parent, const std::string& name, const std::string& text, Command command) {
  CLI::App* sub = parent->add_subcommand(name, text);
  commands_[sub] = command;
  return sub;
}

void CommandLine::AddGlobals() {
  auto* control = app_.add_option("--control", arguments_.control,
                                  "where flocker-control listens: host:port or unix:/path; $FLOCKER_CONTROL without");
  control->type_name("ADDRESS")->take_last()->capture_default_str();
  // Flocker's own way to say so; its port was REST's, ours is that of gRPC.
  app_.add_option_function<std::string>(
          "--control-service", [this](const std::string& host) { arguments_.control = AtUsualPort(host); },
          "the host of flocker-control, which listens at its usual port; $FLOCKER_CONTROL_SERVICE without")
      ->type_name("HOST")
      ->excludes(control);
  app_.add_option("--certificates", arguments_.transport.certificates,
                  "directory of cluster.crt, <user>.crt and <user>.key, for a control at host:port")
      ->envname("FLOCKER_CERTS_PATH")
      ->type_name(kDirectoryType)
      ->capture_default_str();
  app_.add_option("--user", arguments_.user, "whose certificate it is")
      ->envname("FLOCKER_USER")
      ->type_name("USER")
      ->capture_default_str();
  app_.add_flag("--insecure", arguments_.transport.insecure, "use no certificates, whoever says that it is control")
      ->envname("FLOCKER_INSECURE");
  app_.add_option("--timeout", arguments_.timeout,
                  "seconds to wait for an answer, or for the end of what is waited for")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS")
      ->capture_default_str();
  app_.add_flag("--json", arguments_.json, "print JSON; errors too");
}

void CommandLine::AddWait(CLI::App* command) {
  command->add_flag_callback(
      "--wait", [this] { arguments_.wait = true; }, "end when it is done, and say which step it is at");
  command->add_flag_callback(
      "--no-wait", [this] { arguments_.wait = false; }, "end when it is accepted");
}

void CommandLine::AddDatasets() {
  CLI::App* list = Add(&app_, "ls", "list the datasets", &ListDatasets)->alias("list");
  list->set_help_flag("--help", "print this and end");  // -h is Flocker's
  list->add_flag("-l,--long", arguments_.long_ids, "whole ids of nodes");
  list->add_flag("-d,--deleted", arguments_.deleted, "destroyed ones too");
  list->add_flag("--trash", arguments_.trash, "destroyed ones alone");
  list->add_flag_callback(
      "-h,--human", [] {}, "nothing: sizes are for people anyway, but with --json");

  CLI::App* create = Add(&app_, "create", "create a dataset", &CreateDataset);
  create->add_option("-n,--node", arguments_.node, kWhichNode)->required()->type_name(kNodeType);
  create->add_option("-m,--metadata", arguments_.metadata, "k=v,…; its name is name=…")
      ->required()
      ->type_name("METADATA");
  create->add_option("-s,--size", arguments_.size, "for example 512M or 15G; 75G without")->type_name("SIZE");
  AddWait(create);

  CLI::App* move = Add(&app_, "move", "move a dataset to another node", &MoveDataset);
  move->add_option("-d,--dataset", arguments_.dataset, kWhichDataset)->required()->type_name(kDatasetType);
  move->add_option("-t,--destination", arguments_.node, kWhichNode)->required()->type_name(kNodeType);
  move->add_flag("--force", arguments_.force, kForce);
  AddWait(move);

  CLI::App* destroy = Add(&app_, "destroy", "destroy a dataset; its LUN is kept in the trash", &DestroyDataset);
  destroy->add_option("-d,--dataset", arguments_.dataset, kWhichDataset)->required()->type_name(kDatasetType);
  destroy->add_flag("--force", arguments_.force, kForce);
  AddWait(destroy);

  CLI::App* grow = Add(&app_, "grow", "make a dataset larger, also while it is used", &GrowDataset);
  grow->add_option("dataset", arguments_.dataset, kWhichDataset)->required()->type_name(kDatasetType);
  grow->add_option("size", arguments_.size, "its new size, for example 20G")->required()->type_name("SIZE");
  AddWait(grow);

  CLI::App* trash = Add(&app_, "trash", "list what was destroyed and can be restored", &ListTrash);
  trash->add_flag("-l,--long", arguments_.long_ids, "whole ids of nodes");

  CLI::App* restore = Add(&app_, "restore", "bring a destroyed dataset back", &RestoreDataset);
  restore->add_option("dataset", arguments_.dataset, kWhichTrashed)->required()->type_name(kTrashedType);
  restore->add_option("--to", arguments_.node, absl::StrCat(kWhichNode, "; where it was without"))
      ->type_name(kNodeType);
  restore->add_option("--name", arguments_.name, "its new name; as it was without")->type_name("NAME");
  AddWait(restore);

  CLI::App* purge = Add(&app_, "purge", "delete a destroyed dataset's LUN, for good", &PurgeDataset);
  purge->add_option("dataset", arguments_.dataset, kWhichTrashed)->required()->type_name(kTrashedType);
}

void CommandLine::AddLeases() {
  CLI::App* leases = Add(&app_, "leases", "list the leases, which keep datasets on nodes, or change one", &ListLeases);
  leases->require_subcommand(0, 1);
  CLI::App* acquire = Add(leases, "acquire", "keep a dataset on a node; renews a lease that it has", &AcquireLease);
  acquire->add_option("dataset", arguments_.dataset, kWhichDataset)->required()->type_name(kDatasetType);
  acquire->add_option("-n,--node", arguments_.node, kWhichNode)->required()->type_name(kNodeType);
  acquire->add_option("--seconds", arguments_.seconds, "for how long; without, until it is released")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  CLI::App* release = Add(leases, "release", "release a lease, whosever it is", &ReleaseLease);
  release->add_option("dataset", arguments_.dataset, kWhichDataset)->required()->type_name(kDatasetType);
}

void CommandLine::AddNodes() {
  CLI::App* list = Add(&app_, "list-nodes", "list the nodes", &ListNodes)->alias("status");
  list->add_flag("-l,--long", arguments_.long_ids, "whole ids");

  CLI::App* nodes = Add(&app_, "nodes", "list the nodes, or change what is expected of one", &ListNodes);
  nodes->require_subcommand(0, 1);
  nodes->add_flag("-l,--long", arguments_.long_ids, "whole ids");
  CLI::App* drain = Add(nodes, "drain", "let a node take no more datasets, until undrain", &DrainNode);
  drain->add_option("node", arguments_.node, kWhichNode)->required()->type_name(kNodeType);
  drain
      ->add_option("--to", arguments_.name,
                   "move there what it has and nobody uses: a node's name, or a prefix of its id")
      ->type_name(kNodeType);
  CLI::App* undrain = Add(nodes, "undrain", "let a drained node take datasets again", &UndrainNode);
  undrain->add_option("node", arguments_.node, kWhichNode)->required()->type_name(kNodeType);
  CLI::App* remove = Add(nodes, "remove", "forget a node that is stopped and has no datasets", &RemoveNode);
  remove->add_option("node", arguments_.node, kWhichNode)->required()->type_name(kNodeType);
}

void CommandLine::AddHistory() {
  CLI::App* why = Add(&app_, "why", "the last refusal that concerned a dataset, and what to do", &Why);
  why->add_option("name", arguments_.dataset, kWhichDataset)->required()->type_name(kDatasetType);

  CLI::App* events = Add(&app_, "events", "what happened, with the time each step took", &Events);
  events->add_option("--from", arguments_.from, "the number of the first event to show")->type_name("NUMBER");
  events->add_flag("-f,--follow", arguments_.follow, "go on showing new ones");

  CLI::App* watch = Add(&app_, "watch", "what happens from now on, as it happens", &Watch);
  watch->add_option("dataset", arguments_.dataset, absl::StrCat("this one alone: ", kWhichDataset))
      ->type_name(kDatasetType);
}

void CommandLine::AddDiagnosis() {
  CLI::App* doctor = Add(&app_, "doctor", "look whether this machine and the cluster are in order", &Doctor);
  doctor->add_option("--for", arguments_.role, "what this machine is to be: client, node or control; told by what runs")
      ->check(CLI::IsMember({"client", "node", "control"}))
      ->type_name("ROLE");

  CLI::App* bundle =
      Add(&app_, "support-bundle", "put what helps to find a fault into one file, without secrets", &SupportBundle);
  bundle->add_option("file", arguments_.file, "its name; flocker-support-<time>.tar.gz without")->type_name(kFileType);
  bundle->add_option("--configuration", arguments_.configuration, "where the *.yml are")
      ->type_name(kDirectoryType)
      ->capture_default_str();

  CLI::App* backup = Add(&app_, "backup", "back up the cluster's state, not the data, on control's machine", &Backup);
  backup->add_option("directory", arguments_.directory, "an absolute path there; flocker-control --restore reads it")
      ->required()
      ->type_name(kDirectoryType);

  Add(&app_, "version", "the versions of flockerctl and of control", &Version);

  CLI::App* completion = Add(&app_, "completion", "print a script that completes flockerctl's words", &Completion);
  completion->add_option("shell", arguments_.shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}))
      ->type_name("SHELL");
  CLI::App* names = Add(&app_, "names", "the words that a completion asks for", &Names)->group("");
  names->add_option("kind", arguments_.kind, "a type name")->required();
}

void CommandLine::AddAuthority() {
  CLI::App* ca =
      app_.add_subcommand("ca", "make the certificates by which the cluster's machines and users know each other");
  ca->require_subcommand(1);
  CLI::App* init = Add(ca, "init", "make a cluster's authority: cluster.crt and cluster.key", &CaInit);
  init->add_option("name", arguments_.name, "the cluster's name")->required()->type_name("NAME");
  CLI::App* control = Add(ca, "control", "make control-service.crt and .key for flocker-control", &CaControl);
  control->add_option("hosts", arguments_.hosts, "names and addresses under which clients reach it")
      ->required()
      ->type_name("HOST");
  CLI::App* node = Add(ca, "node", "make node.crt and .key for a node's flocker-agent", &CaNode);
  node->add_option("--id", arguments_.node, "the id of a node that has one already; a new one without")
      ->type_name("UUID");
  CLI::App* user = Add(ca, "user", "make <name>.crt and .key for a user of flockerctl and REST", &CaUser);
  user->add_option("name", arguments_.name, "the user's name; user without")->type_name("NAME");
  for (CLI::App* each : {init, control, node, user}) {
    each->add_option("-i,--inputpath", arguments_.authority, "where cluster.crt and cluster.key are")
        ->type_name(kDirectoryType)
        ->capture_default_str();
    each->add_option("-o,--outputpath", arguments_.output, "where to write; the same without")
        ->type_name(kDirectoryType);
    each->add_option("--days", arguments_.days, "how long the certificate is valid")
        ->check(CLI::Range(1U, 2 * kCertificateDays))
        ->type_name("DAYS")
        ->capture_default_str();
    if (each != init) {
      each->add_flag("--replace", arguments_.replace, "although there is one: daemons take up the new one themselves");
    }
  }
}

std::vector<const CLI::App*> VisibleCommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); });
}

std::vector<DescribedCommand> DescribedCommands(const CLI::App& app) {
  std::vector<DescribedCommand> commands;
  Describe(app, "", commands);
  return commands;
}

std::vector<std::string> FlagsOf(const CLI::Option& option) {
  std::vector<std::string> flags;
  for (const std::string& name : option.get_snames()) flags.push_back(absl::StrCat("-", name));
  for (const std::string& name : option.get_lnames()) flags.push_back(absl::StrCat("--", name));
  return flags;
}

}  // namespace flocker
