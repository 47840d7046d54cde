#include "engine/docker/plugin.h"

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

}  // namespace

absl::StatusOr<std::unique_ptr<Plugin>> Plugin::Start(Config config, VolumeDriver::World world) {
  std::unique_ptr<Plugin> plugin(new Plugin(config, std::move(world)));
  std::set<std::string> sockets(config.sockets.begin(), config.sockets.end());
  for (const auto& [path, fd] : config.inherited) sockets.insert(path);
  for (const std::string& socket : sockets) {
    Plugin* self = plugin.get();
    auto server = std::make_unique<HttpServer>(plugin->context_, HttpServer::Limits(),
                                               [self](HttpServer::Request request, const HttpServer::Respond& respond) {
                                                 self->OnRequest(std::move(request), respond);
                                               });
    const auto inherited = config.inherited.find(socket);
    RETURN_IF_ERROR(Annotate(
        inherited != config.inherited.end() ? server->Adopt(std::move(inherited->second)) : server->Listen(socket),
        "Docker's volume plugin"));
    plugin->servers_.push_back(std::move(server));
  }
  plugin->thread_ = std::thread([self = plugin.get()] { self->context_.run(); });
  spdlog::info("volumes for docker at {}", absl::StrJoin(sockets, ", "));
  return plugin;
}

Plugin::Plugin(const Config& config, VolumeDriver::World world)
    : timer_(context_), driver_(config.node, config.profiles, std::move(world)) {}

Plugin::~Plugin() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

void Plugin::OnRequest(HttpServer::Request request, const HttpServer::Respond& respond) {
  rpc::Caller caller;
  caller.set_uid(request.peer.uid);
  caller.set_gid(request.peer.gid);
  caller.set_pid(request.peer.pid);
  caller.set_via("docker");
  const auto answer = [respond](std::string json) { respond({200, std::move(json)}); };
  if (!driver_.Handle(request.target, request.body, caller, answer, SteadyNow())) {
    respond({404, R"({"Err":"there is no such call"})"});
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
