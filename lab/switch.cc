#include "lab/switch.h"

#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <deque>
#include <fstream>
#include <future>
#include <map>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"

namespace flocker::lab {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr size_t kAddress = 6;  // bytes of an Ethernet address
constexpr size_t kHeader = 4;   // of the length before a frame
constexpr size_t kMaxFrame = 65536 + 64;
constexpr size_t kReceive = 256 * 1024;
// What may wait for a machine that does not read, as a paused one; a card's queue holds no more.
constexpr size_t kMaxWaiting = 4 << 20;
constexpr auto kMaxQueueing = std::chrono::milliseconds(500);

using Address = std::array<uint8_t, kAddress>;
// A frame with its length before it, shared by all the ports it is flooded to.
using Frame = std::shared_ptr<const std::string>;

}  // namespace

std::string Describe(const Link& link) {
  std::string text = link.cut ? "cut" : "whole";
  if (link.loss > 0) absl::StrAppend(&text, ", loss ", link.loss);
  if (link.delay > absl::ZeroDuration()) absl::StrAppend(&text, ", delay ", absl::FormatDuration(link.delay));
  if (link.bytes_per_second != 0) absl::StrAppend(&text, ", ", link.bytes_per_second, " bytes/s");
  return text;
}

// All of it belongs to the one thread that runs `io_`; callers hand it work and wait.
class Switch::Fabric {
 public:
  explicit Fabric(const std::string& log) : log_(log, std::ios::app) {}

  bool log_is_open() const { return log_.is_open(); }
  void Run() {
    thread_ = std::thread([this] { io_.run(); });
  }
  void Stop();

  // Runs `work` on the switch's thread and returns its result.
  template <class Work>
  auto Do(Work work) -> decltype(work()) {
    std::packaged_task<decltype(work())()> task(std::move(work));
    auto result = task.get_future();
    asio::post(io_, [&task] { task(); });
    return result.get();
  }

  absl::Status AddPort(const std::string& name, const std::string& path);
  absl::Status SetLink(const std::string& from, const std::string& to, const Link& link);
  Count CountOf(const std::string& from, const std::string& to);
  bool Connected(const std::string& name) {
    const Port* port = Find(name);
    return port != nullptr && port->socket.is_open();
  }

 private:
  struct Port {
    Port(asio::io_context& io, std::string port_name)
        : name(std::move(port_name)), acceptor(io), socket(io), received(kReceive) {}
    const std::string name;
    stream_protocol::acceptor acceptor;
    stream_protocol::socket socket;
    uint64_t connection = 0;  // which one: a handler of an earlier connection does nothing
    std::vector<char> received;
    size_t filled = 0;
    std::deque<Frame> waiting;  // the first `writing` of them are being written
    size_t waiting_bytes = 0;
    size_t writing = 0;
  };
  struct Delayed {
    Clock::time_point at;
    Frame frame;
  };
  // One direction between two ports.
  struct Path {
    explicit Path(asio::io_context& io) : timer(io) {}
    Link link;
    Count count;
    Clock::time_point free_at;  // when the narrow link has carried what it was given
    std::deque<Delayed> delayed;
    asio::steady_timer timer;
  };

  void Accept(Port& port);
  void Receive(Port& port);
  void Forward(Port& from, Frame frame);
  void Send(Port& from, Port& to, const Frame& frame);
  void DeliverDue(Path& path, Port& to);
  void Hand(Path& path, Port& to, const Frame& frame);
  void Write(Port& port);
  Port* Find(const std::string& name);
  Path& PathOf(const Port& from, const Port& to);
  void Log(const std::string& line);

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::ofstream log_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::map<Address, Port*> learned_;
  std::map<std::pair<const Port*, const Port*>, std::unique_ptr<Path>> paths_;
  std::mt19937_64 random_{std::random_device{}()};
  std::thread thread_;
};

void Switch::Fabric::Stop() {
  Do([this] {
    for (const auto& [ends, path] : paths_) {
      Log(absl::StrFormat("%s -> %s: %d frames, %d dropped", ends.first->name, ends.second->name, path->count.frames,
                          path->count.dropped));
    }
  });
  io_.stop();
  thread_.join();
}

void Switch::Fabric::Log(const std::string& line) {
  log_ << absl::FormatTime("%H:%M:%E3S ", absl::Now(), absl::UTCTimeZone()) << line << std::endl;
}

Switch::Fabric::Port* Switch::Fabric::Find(const std::string& name) {
  for (const auto& port : ports_) {
    if (port->name == name) return port.get();
  }
  return nullptr;
}

Switch::Fabric::Path& Switch::Fabric::PathOf(const Port& from, const Port& to) {
  std::unique_ptr<Path>& path = paths_[{&from, &to}];
  if (!path) path = std::make_unique<Path>(io_);
  return *path;
}

absl::Status Switch::Fabric::AddPort(const std::string& name, const std::string& path) {
  if (Find(name) != nullptr) return absl::AlreadyExistsError(absl::StrCat("the switch has a port ", name));
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is too long for a unix socket"));
  }
  unlink(path.c_str());
  auto port = std::make_unique<Port>(io_, name);
  error_code error;
  port->acceptor.open(stream_protocol(), error);
  if (!error) port->acceptor.bind(stream_protocol::endpoint(path), error);
  if (!error) port->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return absl::InternalError(absl::StrCat("cannot listen at ", path, ": ", error.message()));
  ports_.push_back(std::move(port));
  Accept(*ports_.back());
  return absl::OkStatus();
}

absl::Status Switch::Fabric::SetLink(const std::string& from, const std::string& to, const Link& link) {
  const Port* source = Find(from);
  const Port* target = Find(to);
  if (source == nullptr || target == nullptr) {
    return absl::NotFoundError(absl::StrCat("the switch has no port ", source == nullptr ? from : to));
  }
  Path& path = PathOf(*source, *target);
  path.link = link;
  if (link.cut) {
    path.count.dropped += path.delayed.size();
    path.delayed.clear();
  }
  Log(absl::StrCat(from, " -> ", to, ": ", Describe(link)));
  return absl::OkStatus();
}

Switch::Count Switch::Fabric::CountOf(const std::string& from, const std::string& to) {
  const Port* source = Find(from);
  const Port* target = Find(to);
  return source == nullptr || target == nullptr ? Count{} : PathOf(*source, *target).count;
}

void Switch::Fabric::Accept(Port& port) {
  port.acceptor.async_accept([this, &port](const error_code& error, stream_protocol::socket socket) {
    if (error) return;  // the switch ends
    port.socket = std::move(socket);
    ++port.connection;
    port.filled = port.writing = port.waiting_bytes = 0;
    port.waiting.clear();
    Log(port.name + ": connected");
    Receive(port);
    Accept(port);
  });
}

void Switch::Fabric::Receive(Port& port) {
  port.socket.async_read_some(
      asio::buffer(port.received.data() + port.filled, port.received.size() - port.filled),
      [this, &port, connection = port.connection](const error_code& error, size_t got) {
        if (connection != port.connection) return;
        if (error) {
          Log(port.name + ": disconnected");
          ++port.connection;
          port.socket.close();
          return;
        }
        port.filled += got;
        size_t at = 0;
        while (port.filled - at >= kHeader) {
          uint32_t length = 0;
          std::memcpy(&length, port.received.data() + at, kHeader);
          length = ntohl(length);
          if (length > kMaxFrame) {
            Log(absl::StrCat(port.name, ": a frame of ", length, " bytes; disconnecting"));
            ++port.connection;
            port.socket.close();
            return;
          }
          if (port.filled - at < kHeader + length) break;
          if (length >= 2 * kAddress) {
            Forward(port, std::make_shared<const std::string>(port.received.data() + at, kHeader + length));
          }
          at += kHeader + length;
        }
        std::memmove(port.received.data(), port.received.data() + at, port.filled - at);
        port.filled -= at;
        Receive(port);
      });
}

void Switch::Fabric::Forward(Port& from, Frame frame) {
  Address target{};
  Address source{};
  std::memcpy(target.data(), frame->data() + kHeader, kAddress);
  std::memcpy(source.data(), frame->data() + kHeader + kAddress, kAddress);
  constexpr uint8_t kGroup = 1;  // the bit of broadcast and multicast (IEEE 802)
  if ((source[0] & kGroup) == 0) learned_[source] = &from;
  const auto known = learned_.find(target);
  if ((target[0] & kGroup) == 0 && known != learned_.end()) {
    if (known->second != &from) Send(from, *known->second, frame);
    return;
  }
  for (const auto& port : ports_) {
    if (port.get() != &from) Send(from, *port, frame);
  }
}

void Switch::Fabric::Send(Port& from, Port& to, const Frame& frame) {
  Path& path = PathOf(from, to);
  const Link& link = path.link;
  if (link.cut || (link.loss > 0 && std::uniform_real_distribution<>()(random_) < link.loss)) {
    ++path.count.dropped;
    return;
  }
  const Clock::time_point now = Clock::now();
  Clock::time_point at = now;
  if (link.bytes_per_second != 0) {
    const Clock::time_point start = std::max(now, path.free_at);
    if (start - now > kMaxQueueing) {
      ++path.count.dropped;
      return;
    }
    path.free_at = start + std::chrono::nanoseconds(frame->size() * 1'000'000'000 / link.bytes_per_second);
    at = path.free_at;
  }
  at += absl::ToChronoNanoseconds(link.delay);
  if (path.delayed.empty() && at <= now) {
    Hand(path, to, frame);
    return;
  }
  if (!path.delayed.empty()) at = std::max(at, path.delayed.back().at);
  path.delayed.push_back({at, frame});
  if (path.delayed.size() == 1) DeliverDue(path, to);
}

void Switch::Fabric::DeliverDue(Path& path, Port& to) {
  while (!path.delayed.empty() && path.delayed.front().at <= Clock::now()) {
    const Frame frame = std::move(path.delayed.front().frame);
    path.delayed.pop_front();
    Hand(path, to, frame);
  }
  if (path.delayed.empty()) return;
  path.timer.expires_at(path.delayed.front().at);
  path.timer.async_wait([this, &path, &to](const error_code& error) {
    if (!error) DeliverDue(path, to);
  });
}

void Switch::Fabric::Hand(Path& path, Port& to, const Frame& frame) {
  if (!to.socket.is_open() || to.waiting_bytes + frame->size() > kMaxWaiting) {
    ++path.count.dropped;
    return;
  }
  ++path.count.frames;
  to.waiting.push_back(frame);
  to.waiting_bytes += frame->size();
  if (to.writing == 0) Write(to);
}

void Switch::Fabric::Write(Port& port) {
  constexpr size_t kAtOnce = 64;
  port.writing = std::min(port.waiting.size(), kAtOnce);
  if (port.writing == 0) return;
  std::vector<asio::const_buffer> buffers;
  // The handler holds the frames: a new connection clears `waiting` while this write may still be on its way.
  std::vector<Frame> frames(port.waiting.begin(), port.waiting.begin() + static_cast<ptrdiff_t>(port.writing));
  buffers.reserve(frames.size());
  for (const Frame& frame : frames) buffers.push_back(asio::buffer(*frame));
  asio::async_write(
      port.socket, buffers,
      [this, &port, frames = std::move(frames), connection = port.connection](const error_code& error, size_t written) {
        if (connection != port.connection || error) return;  // the reader notices, too
        port.waiting.erase(port.waiting.begin(), port.waiting.begin() + static_cast<ptrdiff_t>(frames.size()));
        port.waiting_bytes -= written;
        Write(port);
      });
}

absl::StatusOr<std::unique_ptr<Switch>> Switch::Start(const std::string& log) {
  auto fabric = std::make_unique<Fabric>(log);
  if (!fabric->log_is_open()) return absl::InternalError(absl::StrCat("cannot write ", log));
  fabric->Run();
  return std::unique_ptr<Switch>(new Switch(std::move(fabric)));  // the constructor is private
}

Switch::Switch(std::unique_ptr<Fabric> fabric) : fabric_(std::move(fabric)) {}

Switch::~Switch() { fabric_->Stop(); }

absl::Status Switch::AddPort(const std::string& name, const std::string& socket) {
  return fabric_->Do([&] { return fabric_->AddPort(name, socket); });
}

absl::Status Switch::SetLink(const std::string& from, const std::string& to, const Link& link) {
  return fabric_->Do([&] { return fabric_->SetLink(from, to, link); });
}

bool Switch::Connected(const std::string& port) const {
  return fabric_->Do([&] { return fabric_->Connected(port); });
}

Switch::Count Switch::CountOf(const std::string& from, const std::string& to) const {
  return fabric_->Do([&] { return fabric_->CountOf(from, to); });
}

}  // namespace flocker::lab
