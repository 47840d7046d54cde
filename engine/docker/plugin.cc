#include "engine/docker/plugin.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/status.h"

namespace flocker::docker {
namespace {

constexpr auto kTick = std::chrono::milliseconds(250);
constexpr char kContentType[] = "application/vnd.docker.plugins.v1.2+json";

HttpReply Reply(unsigned status, std::string json) {
  HttpReply reply = JsonReply(status, std::move(json));
  reply.headers.emplace_back("Content-Type", kContentType);
  return reply;
}

// Closed behind its answer, so that dockerd never sends a request into a connection that is about to go: it would
// repeat it with an empty body.
HttpLimits Limits() {
  return {.header = 8 << 10,
          .answer_time = absl::Seconds(10),
          .connections = 256,
          .one_request = true,
          .refusal = [](unsigned status) {
            return Reply(status, status == 413 ? R"({"Err":"the request's body has more than 1 MiB"})"
                                               : R"({"Err":"this is no HTTP request"})");
          }};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Plugin>> Plugin::Start(Config config, VolumeDriver::World world) {
  std::unique_ptr<Plugin> plugin(new Plugin(config, std::move(world)));
  std::set<std::string> sockets(config.sockets.begin(), config.sockets.end());
  for (const auto& [path, fd] : config.inherited) sockets.insert(path);
  std::vector<HttpListener> listeners;
  for (const std::string& socket : sockets) {
    const auto inherited = config.inherited.find(socket);
    listeners.push_back(
        {.address = "unix:" + socket,
         .inherited = inherited == config.inherited.end() ? unique_fd() : std::move(inherited->second)});
  }
  Plugin* const self = plugin.get();
  const auto handle = [self](const HttpRequest& request, const HttpServer::Answer& answer) {
    boost::asio::post(self->context_, [self, request, answer] { self->OnRequest(request, answer); });
  };
  auto server = HttpServer::Start(std::move(listeners), handle, Limits());
  RETURN_IF_ERROR(Annotate(server.status(), "Docker's volume plugin"));
  plugin->server_ = *std::move(server);
  plugin->thread_ = std::thread([self] {
    const auto work = boost::asio::make_work_guard(self->context_);
    self->context_.run();
  });
  spdlog::info("volumes for docker at {}", absl::StrJoin(sockets, ", "));
  return plugin;
}

Plugin::Plugin(const Config& config, VolumeDriver::World world)
    : timer_(context_), driver_(config.node, config.profiles, std::move(world)) {}

Plugin::~Plugin() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

void Plugin::OnRequest(const HttpRequest& request, const HttpServer::Answer& answer) {
  if (request.method != "POST") return answer(Reply(405, R"({"Err":"every call is a POST"})"));
  rpc::Caller caller;
  caller.set_via("docker");
  if (request.peer) {
    caller.set_uid(request.peer->uid);
    caller.set_gid(request.peer->gid);
    caller.set_pid(request.peer->pid);
  }
  const auto done = [answer](std::string json) { answer(Reply(200, std::move(json))); };
  if (!driver_.Handle(request.path, request.body, caller, done, SteadyNow())) {
    answer(Reply(404, R"({"Err":"there is no such call"})"));
  }
  Tick();
}

void Plugin::OnReply(const rpc::OperationReply& reply) {
  boost::asio::post(context_, [this, reply] { driver_.OnReply(reply, SteadyNow()); });
}

void Plugin::OnChanged() {
  boost::asio::post(context_, [this] { driver_.OnChanged(SteadyNow()); });
}

void Plugin::Tick() {
  if (ticking_ || driver_.idle()) return;
  ticking_ = true;
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    ticking_ = false;
    if (error) return;
    driver_.OnTick(SteadyNow());
    Tick();
  });
}

}  // namespace flocker::docker
