// flocker-lun's end of the conversation in wire.h: a listening socket and the one connection that counts.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/wire.h"

namespace flocker::lun {

class AgentPort {
 public:
  // Listens at `path` with mode 0600; a socket that a dead predecessor left there is replaced, a living one is an
  // error.
  static absl::StatusOr<AgentPort> Listen(const std::string& path);
  AgentPort(AgentPort&&) = default;
  AgentPort& operator=(AgentPort&&) = delete;
  // Removes the socket from the directory.
  ~AgentPort();

  // Makes a connection that this process inherited the agent's.
  void Take(unique_fd agent) { agent_ = std::move(agent); }
  // Whether the other end of that connection is closed.
  bool AgentGone() const;
  // Takes the connection that waits; it replaces the one before. False when there is none after all.
  bool Accept();
  // The next command, nullopt when there is none now. An error: the connection is closed, for `the reason`.
  absl::StatusOr<std::optional<Command>> Receive();

  // Sends to the agent, if there is one. It never blocks: an agent that does not read is disconnected, and learns from
  // the next kHello how things are.
  template <class M>
  void Send(const M& message) {
    SendPacket(&message, sizeof message);
  }
  void SendHello(const Hello& hello, int fuse_fd, int arena_fd);

  int listen_fd() const { return listener_.get(); }
  int agent_fd() const { return agent_.get(); }  // -1: nobody is connected

 private:
  AgentPort(std::string path, unique_fd listener) : path_(std::move(path)), listener_(std::move(listener)) {}
  void SendPacket(const void* data, size_t size, const int* descriptors = nullptr, size_t count = 0);

  std::string path_;
  unique_fd listener_;
  unique_fd agent_;
};

}  // namespace flocker::lun
