#include "lab/daemon.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "lab/json_socket.h"

namespace flocker::lab {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;
using nlohmann::json;

std::string SocketOf(const std::string& dir) { return dir + "/lab.sock"; }

class Commands {
 public:
  Commands(Cluster& cluster, std::function<void()> end)
      : cluster_(cluster), lab_(cluster.lab()), end_(std::move(end)) {}

  absl::StatusOr<CommandResult> Do(const json& request) {
    const std::string command = request.value("do", "");
    const std::string first = request.value("first", "");
    const std::string second = request.value("second", "");
    if (command == "ready") return Done(cluster_.WaitWhole());
    if (command == "status") return Status();
    if (command == "cut") return Done(lab_.SetLinks(first, second, {.cut = true}, request.value("one-way", false)));
    if (command == "slow") {
      const Link link = {.loss = request.value("loss", 0.0),
                         .delay = absl::Milliseconds(request.value("delay-ms", 0.0)),
                         .bytes_per_second = request.value("bytes-per-second", uint64_t{0})};
      return Done(lab_.SetLinks(first, second, link, request.value("one-way", false)));
    }
    if (command == "heal") return Done(first.empty() ? lab_.Heal() : lab_.SetLinks(first, second, {}));
    if (command == "down") {
      end_();
      return CommandResult{};
    }
    ASSIGN_OR_RETURN(Machine* const machine, lab_.Find(first));
    if (command == "run") return machine->guest().Run(second, absl::Seconds(request.value("seconds", 60.0)));
    if (command == "pause") return Done(machine->Pause());
    if (command == "resume") return Done(machine->Resume());
    if (command == "reset") return Done(machine->Reset());
    if (command == "shutdown") return Done(machine->Shutdown());
    if (command == "power-cut") {
      machine->PowerCut();
      return CommandResult{};
    }
    if (command == "boot") {
      RETURN_IF_ERROR(machine->Boot());
      return Done(machine->WaitReady());
    }
    return absl::InvalidArgumentError(absl::StrCat("no command ", command));
  }

 private:
  static absl::StatusOr<CommandResult> Done(const absl::Status& status) {
    if (!status.ok()) return status;
    return CommandResult{};
  }

  absl::StatusOr<CommandResult> Status() {
    CommandResult result;
    for (const Machine* machine : lab_.machines()) {
      absl::StrAppend(&result.output, absl::StrFormat("%-8s %s\n", machine->name(), machine->running() ? "on" : "off"));
    }
    for (const auto& [ends, link] : lab_.Links()) {
      absl::StrAppend(&result.output, ends.first, " -> ", ends.second, ": ", Describe(link), "\n");
    }
    const auto nodes = cluster_.Ctl("list-nodes; flockerctl ls", absl::Seconds(10));
    absl::StrAppend(&result.output, nodes.ok() ? nodes->output : nodes.status().message(), "\n");
    return result;
  }

  Cluster& cluster_;
  Lab& lab_;
  const std::function<void()> end_;
};

json Answer(const absl::StatusOr<CommandResult>& result) {
  if (result.ok()) return {{"exit", result->exit_code}, {"output", result->output}};
  return {{"exit", 1}, {"output", absl::StrCat("flocker-lab: ", result.status().message(), "\n")}};
}

// One request of one connection: commands are few and may take long, and none overtakes another.
void HandleOne(stream_protocol::socket& socket, Commands& commands) {
  std::string line;
  error_code error;
  asio::read_until(socket, asio::dynamic_buffer(line), '\n', error);
  if (error) return;
  const json request = json::parse(line, nullptr, /*allow_exceptions=*/false);
  const json answer = Answer(request.is_object() ? commands.Do(request) : absl::InvalidArgumentError("not an object"));
  // What a command printed need not be UTF-8.
  const std::string reply = answer.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  asio::write(socket, asio::buffer(reply), error);  // whoever asked may have gone
}

}  // namespace

absl::Status Serve(const std::string& dir, const std::string& binaries, const ClusterOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Cluster> cluster, Cluster::Create(dir, binaries, options));
  asio::io_context io;
  asio::signal_set signals(io, SIGTERM, SIGINT, SIGHUP);
  signals.async_wait([&io](const error_code&, int) { io.stop(); });
  for (Machine* machine : cluster->lab().machines()) RETURN_IF_ERROR(machine->Boot());

  unlink(SocketOf(dir).c_str());
  error_code error;
  stream_protocol::acceptor acceptor(io);
  acceptor.open(stream_protocol(), error);
  if (!error) acceptor.bind(stream_protocol::endpoint(SocketOf(dir)), error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return absl::InternalError(absl::StrCat("cannot listen at ", SocketOf(dir), ": ", error.message()));

  Commands commands(*cluster, [&io] { io.stop(); });
  std::function<void()> accept = [&] {
    acceptor.async_accept([&](const error_code& failed, stream_protocol::socket socket) {
      if (failed) return;
      HandleOne(socket, commands);
      accept();
    });
  };
  accept();
  io.run();
  return absl::OkStatus();
}

absl::StatusOr<CommandResult> Ask(const std::string& dir, const json& request, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  JsonSocket socket;
  const absl::Status connected = socket.Connect(SocketOf(dir));
  if (!connected.ok()) return Annotate(connected, "there is no lab; start one with `scripts/lab up`");
  RETURN_IF_ERROR(socket.Send(request, deadline));
  ASSIGN_OR_RETURN(const json answer, socket.Receive(deadline));
  return CommandResult{answer.value("exit", 1), answer.value("output", "")};
}

}  // namespace flocker::lab
