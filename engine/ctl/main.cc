// flockerctl: Flocker's commands over the Cluster service. Results on standard output, errors on standard error, the
// cause in the exit code.
#include <langinfo.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/ctl/ca_commands.h"
#include "engine/ctl/client.h"
#include "engine/ctl/event_text.h"
#include "engine/ctl/exit_code.h"
#include "engine/ctl/listing.h"
#include "engine/ctl/selection.h"
#include "engine/model/size.h"
#include "engine/rpc/credentials.h"

namespace flocker {
namespace {

// The command line's values; each command reads its own.
struct Arguments {
  std::string control = "127.0.0.1:4524";
  Transport transport;
  std::string user = "user";
  double timeout = 60;
  bool long_ids = false;
  bool deleted = false;
  bool trash = false;
  std::string node;
  std::string dataset;
  std::string metadata;
  std::string size;
  std::string name;
  bool force = false;
  std::string directory;
  uint64_t from = 0;
  bool follow = false;
};

class Commands {
 public:
  Commands(const Arguments& arguments, const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : arguments_(arguments), client_(arguments.control, absl::Seconds(arguments.timeout), credentials) {}

  absl::Status ListNodes() {
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    std::cout << FormatNodes(view, Options());
    return absl::OkStatus();
  }

  absl::Status List() {
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    std::cout << FormatDatasets(view, Options());
    return absl::OkStatus();
  }

  absl::Status Create() {
    rpc::OperationRequest request;
    rpc::Create& create = *request.mutable_create();
    ASSIGN_OR_RETURN(const auto metadata, ParseMetadata(arguments_.metadata));
    const auto name = metadata.find("name");
    if (name == metadata.end()) {
      return Refuse(Cause::kInvalid, "a dataset needs a name: add name=… to --metadata");
    }
    create.set_name(name->second);
    create.mutable_metadata()->insert(metadata.begin(), metadata.end());
    create.set_root_mode(0777);  // as Flocker made them: containers run as any user
    if (!arguments_.size.empty()) {
      ASSIGN_OR_RETURN(const uint64_t size, ParseSize(arguments_.size));
      create.set_size(size);
    }
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, arguments_.node));
    create.set_node_id(node.id());
    RETURN_IF_ERROR(client_.Execute(request));
    std::cout << "created dataset in configuration, manually poll state with 'flockerctl list' to see it show up.\n";
    return absl::OkStatus();
  }

  absl::Status Move() {
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectDataset(view, arguments_.dataset));
    ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, arguments_.node));
    rpc::OperationRequest request;
    rpc::Rename& rename = *request.mutable_rename();
    rename.set_dataset_id(dataset.id());
    rename.set_node_id(node.id());
    rename.set_name(dataset.name());
    rename.set_force(arguments_.force);
    RETURN_IF_ERROR(client_.Execute(request));
    std::cout << "initiated move of dataset, please check state to observe it actually move.\n";
    return absl::OkStatus();
  }

  absl::Status Destroy() {
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectDataset(view, arguments_.dataset));
    rpc::OperationRequest request;
    request.mutable_destroy()->set_dataset_id(dataset.id());
    request.mutable_destroy()->set_force(arguments_.force);
    RETURN_IF_ERROR(client_.Execute(request));
    std::cout << "marked dataset as deleted. poll list manually to see it disappear.\n";
    return absl::OkStatus();
  }

  absl::Status Restore() {
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectTrashed(view, arguments_.dataset));
    rpc::OperationRequest request;
    rpc::Restore& restore = *request.mutable_restore();
    restore.set_dataset_id(dataset.id());
    restore.set_name(arguments_.name);
    if (!arguments_.node.empty()) {
      ASSIGN_OR_RETURN(const rpc::NodeView node, SelectNode(view, arguments_.node));
      restore.set_node_id(node.id());
    }
    RETURN_IF_ERROR(client_.Execute(request));
    std::cout << "restored the dataset, poll state with 'flockerctl list' to see it attached.\n";
    return absl::OkStatus();
  }

  absl::Status Purge() {
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    ASSIGN_OR_RETURN(const rpc::DatasetView dataset, SelectTrashed(view, arguments_.dataset));
    rpc::OperationRequest request;
    request.mutable_purge()->set_dataset_id(dataset.id());
    RETURN_IF_ERROR(client_.Execute(request));
    std::cout << "purged the dataset, its LUN is deleted.\n";
    return absl::OkStatus();
  }

  absl::Status Why() {
    ASSIGN_OR_RETURN(const auto names, NodeNames());
    ASSIGN_OR_RETURN(const rpc::EventView event, client_.Why(arguments_.dataset));
    std::cout << FormatEvent(event, names) << "\n";
    return absl::OkStatus();
  }

  absl::Status Events() {
    ASSIGN_OR_RETURN(const auto names, NodeNames());
    return client_.Events(arguments_.from, arguments_.follow, [&](const rpc::EventView& event) {
      std::cout << FormatEvent(event, names) << std::endl;  // flushed: whoever follows reads it now
    });
  }

  absl::Status Backup() {
    ASSIGN_OR_RETURN(const rpc::BackupReply reply, client_.Backup(arguments_.directory));
    std::cout << "backup " << reply.number() << " of the cluster's state, " << reply.bytes() << " bytes, is in "
              << arguments_.directory << " on control's machine.\n";
    return absl::OkStatus();
  }

  absl::Status Version() {
    std::cout << "flockerctl " FLOCKER_VERSION "\n";
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    std::cout << "flocker-control " << view.version() << "\n";
    return absl::OkStatus();
  }

 private:
  ListingOptions Options() const {
    return {.long_ids = arguments_.long_ids,
            .deleted = arguments_.deleted || arguments_.trash,
            .live = !arguments_.trash,
            .symbols = isatty(STDOUT_FILENO) == 1 && std::string_view(nl_langinfo(CODESET)) == "UTF-8"};
  }

  absl::StatusOr<std::map<std::string, std::string>> NodeNames() {
    ASSIGN_OR_RETURN(const rpc::ViewReply view, client_.View());
    std::map<std::string, std::string> names;
    for (const rpc::NodeView& node : view.nodes()) names.emplace(node.id(), node.name());
    return names;
  }

  const Arguments& arguments_;
  ClusterClient client_;
};

using Command = absl::Status (Commands::*)();

absl::Status Run(const Arguments& arguments, Command command) {
  ASSIGN_OR_RETURN(const auto credentials,
                   ClientCredentials(arguments.transport, arguments.control, Role::kUser, arguments.user));
  Commands commands(arguments, credentials);
  return (commands.*command)();
}

int Main(int argc, char** argv) {
  std::setlocale(LC_ALL, "");
  Arguments arguments;
  Command chosen = nullptr;
  std::function<absl::Status()> ca_command;
  CLI::App app("Flocker: datasets and the nodes they are on");
  app.footer(ExitCodeTable());
  app.require_subcommand(1);
  app.add_option("--control", arguments.control, "where flocker-control listens: host:port or unix:/path")
      ->envname("FLOCKER_CONTROL")
      ->capture_default_str();
  auto* certificates = app.add_option("--certificates", arguments.transport.certificates,
                                      "directory of cluster.crt, <user>.crt and <user>.key (/etc/flocker), for a "
                                      "control that is not at a unix socket")
                           ->envname("FLOCKER_CERTS_PATH");
  app.add_option("--user", arguments.user, "whose certificate it is")->envname("FLOCKER_USER")->capture_default_str();
  app.add_flag("--insecure", arguments.transport.insecure, "speak over a network without certificates")
      ->envname("FLOCKER_INSECURE")
      ->excludes(certificates);
  app.add_option("--timeout", arguments.timeout, "seconds to wait for an answer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  const auto command = [&](const char* name, const char* text, Command function) {
    CLI::App* sub = app.add_subcommand(name, text);
    sub->callback([&chosen, function] { chosen = function; });
    return sub;
  };

  CLI::App* list_nodes = command("list-nodes", "list the nodes", &Commands::ListNodes)->alias("status");
  list_nodes->add_flag("-l,--long", arguments.long_ids, "whole ids");

  CLI::App* list = command("ls", "list the datasets", &Commands::List)->alias("list");
  list->add_flag("-l,--long", arguments.long_ids, "whole ids of nodes");
  list->add_flag("-d,--deleted", arguments.deleted, "destroyed ones too");
  list->add_flag("--trash", arguments.trash, "destroyed ones alone");

  CLI::App* create = command("create", "create a dataset", &Commands::Create);
  create->add_option("-n,--node", arguments.node, "the node's name, or a prefix of its id")->required();
  create->add_option("-m,--metadata", arguments.metadata, "k=v,…; its name is name=…")->required();
  create->add_option("-s,--size", arguments.size, "for example 512M or 15G; 75G without");

  CLI::App* move = command("move", "move a dataset to another node", &Commands::Move);
  move->add_option("-d,--dataset", arguments.dataset, "its name, or a prefix of its id")->required();
  move->add_option("-t,--destination", arguments.node, "the node's name, or a prefix of its id")->required();
  move->add_flag("--force", arguments.force, "although many nodes vanished together: take it off a silent node");

  CLI::App* destroy = command("destroy", "destroy a dataset; its LUN is kept in the trash", &Commands::Destroy);
  destroy->add_option("-d,--dataset", arguments.dataset, "its name, or a prefix of its id")->required();
  destroy->add_flag("--force", arguments.force, "although many nodes vanished together: take it off a silent node");

  CLI::App* restore = command("restore", "bring a destroyed dataset back", &Commands::Restore);
  restore->add_option("dataset", arguments.dataset, "its name, or a prefix of its id; see ls --trash")->required();
  restore->add_option("--to", arguments.node, "the node's name, or a prefix of its id; where it was without");
  restore->add_option("--name", arguments.name, "its new name; as it was without");

  CLI::App* purge = command("purge", "delete a destroyed dataset's LUN, for good", &Commands::Purge);
  purge->add_option("dataset", arguments.dataset, "its name, or a prefix of its id; see ls --trash")->required();

  CLI::App* why = command("why", "the last refusal that concerned a dataset", &Commands::Why);
  why->add_option("name", arguments.dataset, "its name, or a prefix of its id")->required();

  CLI::App* events = command("events", "what happened, with the time each step took", &Commands::Events);
  events->add_option("--from", arguments.from, "the number of the first event to show");
  events->add_flag("-f,--follow", arguments.follow, "go on showing new ones");

  CLI::App* backup =
      command("backup", "back up the cluster's state, not the data, on control's machine", &Commands::Backup);
  backup->add_option("directory", arguments.directory, "an absolute path there; flocker-control --restore reads it")
      ->required();

  command("version", "the versions of flockerctl and of control", &Commands::Version);

  AddCaCommands(app, ca_command);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : ExitCode(Refuse(Cause::kInvalid, "command line"));
  }
  InitLogging("flockerctl");
  const absl::Status status = ca_command ? ca_command() : Run(arguments, chosen);
  if (!status.ok()) std::cerr << "flockerctl: " << CauseName(CauseOf(status)) << ": " << status.message() << "\n";
  return ExitCode(status);
}

}  // namespace
}  // namespace flocker

int main(int argc, char** argv) { return flocker::Main(argc, argv); }
