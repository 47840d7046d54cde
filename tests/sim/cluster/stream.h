// One stream between an agent and control: two pipes, and an end at each side. A side whose end is gone hears nothing.
#pragma once

#include <functional>
#include <memory>

#include "engine/control/sessions.h"
#include "engine/rpc/flocker.pb.h"
#include "network.h"

namespace flocker::sim {

struct Stream {
  Stream(Network& network, SessionId number, Place node)
      : id(number), up(network, node, kControlPlace), down(network, kControlPlace, node) {}

  const SessionId id;
  Pipe up;
  Pipe down;
  // At control's end.
  std::function<void(const rpc::AgentUp&)> on_up;
  std::function<void()> on_agent_gone;
  // At the agent's end.
  std::function<void(const rpc::AgentDown&)> on_down;
  std::function<void()> on_control_gone;
};

inline void SendUp(const std::shared_ptr<Stream>& stream, const rpc::AgentUp& message) {
  stream->up.Send([stream, message] {
    if (stream->on_up) stream->on_up(message);
  });
}
inline void SendDown(const std::shared_ptr<Stream>& stream, const rpc::AgentDown& message) {
  stream->down.Send([stream, message] {
    if (stream->on_down) stream->on_down(message);
  });
}
// One side ends it, after what it sent.
inline void EndUp(const std::shared_ptr<Stream>& stream) {
  stream->on_down = nullptr;
  stream->on_control_gone = nullptr;
  stream->down.Kill();
  stream->up.Send([stream] {
    if (stream->on_agent_gone) stream->on_agent_gone();
  });
}
inline void EndDown(const std::shared_ptr<Stream>& stream) {
  stream->on_up = nullptr;
  stream->on_agent_gone = nullptr;
  stream->up.Kill();
  stream->down.Send([stream] {
    if (stream->on_control_gone) stream->on_control_gone();
  });
}
// The network ends it: what is under way is lost, and each side hears of it when it can.
inline void BreakStream(const std::shared_ptr<Stream>& stream) {
  stream->up.LoseTail();
  stream->down.LoseTail();
  stream->up.Send([stream] {
    if (stream->on_agent_gone) stream->on_agent_gone();
  });
  stream->down.Send([stream] {
    if (stream->on_control_gone) stream->on_control_gone();
  });
}

}  // namespace flocker::sim
