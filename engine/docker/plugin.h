// Docker's volume plugin in the agent: the driver, its sockets, the thread they live on.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/docker/request.h"
#include "engine/docker/volume_driver.h"
#include "engine/http/http_server.h"
#include "engine/model/ids.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker::docker {

class Plugin {
 public:
  struct Config {
    NodeId node;                       // this one
    std::vector<std::string> sockets;  // dockerd calls the driver by the file's name without its suffix
    // Those that the service manager listens at already, by their path, whether `sockets` names them or not.
    std::map<std::string, unique_fd> inherited;
    Profiles profiles = DefaultProfiles();
  };
  // Serves when it returns. The world's functions are called on a thread of the plugin's, and may be from then on.
  static absl::StatusOr<std::unique_ptr<Plugin>> Start(Config config, VolumeDriver::World world);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  // From any thread, at once: what control answered (also to others), and that this node's view has news.
  void OnReply(const rpc::OperationReply& reply);
  void OnChanged();

 private:
  Plugin(const Config& config, VolumeDriver::World world);
  void OnRequest(const HttpRequest& request, const HttpServer::Answer& answer);
  // Ticks while somebody waits.
  void Tick();

  boost::asio::io_context context_;
  boost::asio::steady_timer timer_;  // on the thread alone, like the next two
  bool ticking_ = false;
  VolumeDriver driver_;
  std::thread thread_;
  std::unique_ptr<HttpServer> server_;  // posts to the thread
};

}  // namespace flocker::docker
