// The switch between sockets that take the place of machines.
#include "lab/switch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/scratch.h"
#include "tests/harness/wait.h"

namespace flocker::lab {
namespace {

// Long enough for a frame that comes; a frame that must not come is followed by one that does.
constexpr int kArrivesMs = 20'000;

// One machine's end of its card, speaking what QEMU's -netdev stream speaks.
class Card {
 public:
  Card(Switch& fabric, const std::string& dir, char id) : address_(6, id) {
    const std::string path = absl::StrCat(dir, "/", std::string(1, id));
    EXPECT_TRUE(fabric.AddPort(std::string(1, id), path).ok());
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.c_str(), path.size());
    socket_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_TRUE(flocker::testing::Eventually(absl::Seconds(20), [&] { return fabric.Connected(std::string(1, id)); }));
  }

  const std::string& address() const { return address_; }
  void Send(const std::string& target, const std::string& text) {
    const std::string frame = target + address_ + text;
    const uint32_t length = htonl(static_cast<uint32_t>(frame.size()));
    const std::string bytes = std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + frame;
    EXPECT_EQ(write(socket_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // The text of the next frame.
  std::string Receive() {
    uint32_t length = 0;
    pollfd ready{socket_.get(), POLLIN, 0};
    if (poll(&ready, 1, kArrivesMs) != 1) return "nothing arrives";
    EXPECT_EQ(recv(socket_.get(), &length, sizeof(length), MSG_WAITALL), static_cast<ssize_t>(sizeof(length)));
    std::string frame(ntohl(length), 0);
    EXPECT_EQ(recv(socket_.get(), frame.data(), frame.size(), MSG_WAITALL), static_cast<ssize_t>(frame.size()));
    return frame.substr(12);
  }

 private:
  const std::string address_;
  unique_fd socket_;
};

class SwitchTest : public ::testing::Test {
 protected:
  // Group bit clear in 'b', 'd', 'f', so these are addresses of one card each.
  SwitchTest() : switch_(*Switch::Start(scratch_ / "log")), b_(*switch_, scratch_.path(), 'b') {
    // Everybody's address is known once everybody was heard.
    for (Card* from : {&b_, &d_, &f_}) {
      from->Send(kBroadcast, "hello");
      for (Card* to : {&b_, &d_, &f_}) {
        if (to == from) continue;
        EXPECT_EQ(to->Receive(), "hello");
      }
    }
  }
  const std::string kBroadcast = std::string(6, '\xff');
  flocker::testing::ScratchDir scratch_;
  const std::unique_ptr<Switch> switch_;
  Card b_;
  Card d_{*switch_, scratch_.path(), 'd'};
  Card f_{*switch_, scratch_.path(), 'f'};
};

TEST_F(SwitchTest, AKnownAddressGetsItsFramesAlone) {
  b_.Send(d_.address(), "for d");
  EXPECT_EQ(d_.Receive(), "for d");
  b_.Send(kBroadcast, "for all");
  EXPECT_EQ(f_.Receive(), "for all");
}

TEST_F(SwitchTest, ACutIsForOneDirectionOfOnePairUntilItIsHealed) {
  ASSERT_TRUE(switch_->SetLink("b", "d", {.cut = true}).ok());
  b_.Send(d_.address(), "lost");
  b_.Send(f_.address(), "another pair");
  EXPECT_EQ(f_.Receive(), "another pair");
  d_.Send(b_.address(), "another direction");
  EXPECT_EQ(b_.Receive(), "another direction");
  ASSERT_TRUE(switch_->SetLink("b", "d", {}).ok());
  b_.Send(d_.address(), "healed");
  EXPECT_EQ(d_.Receive(), "healed");
  EXPECT_EQ(switch_->CountOf("b", "d").dropped, 1U);
  EXPECT_FALSE(switch_->SetLink("b", "x", {}).ok());
}

TEST_F(SwitchTest, ADelayHoldsFramesBackInTheirOrderAndACutDropsThem) {
  ASSERT_TRUE(switch_->SetLink("b", "d", {.delay = absl::Milliseconds(200)}).ok());
  const absl::Time start = absl::Now();
  b_.Send(d_.address(), "first");
  b_.Send(d_.address(), "second");
  EXPECT_EQ(d_.Receive(), "first");
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(200));
  EXPECT_EQ(d_.Receive(), "second");
  ASSERT_TRUE(switch_->SetLink("b", "d", {.delay = absl::Hours(1)}).ok());
  b_.Send(d_.address(), "on its way");
  b_.Send(f_.address(), "sent after it");
  EXPECT_EQ(f_.Receive(), "sent after it");
  ASSERT_TRUE(switch_->SetLink("b", "d", {.cut = true}).ok());
  ASSERT_TRUE(switch_->SetLink("b", "d", {}).ok());
  b_.Send(d_.address(), "after the cut");
  EXPECT_EQ(d_.Receive(), "after the cut");
}

TEST_F(SwitchTest, LossIsTheShareThatWasAskedFor) {
  ASSERT_TRUE(switch_->SetLink("b", "d", {.loss = 0.5}).ok());
  constexpr int kFrames = 1000;
  for (int i = 0; i < kFrames; ++i) b_.Send(d_.address(), "maybe");
  b_.Send(f_.address(), "sent after them");
  EXPECT_EQ(f_.Receive(), "sent after them");
  const Switch::Count count = switch_->CountOf("b", "d");
  EXPECT_NEAR(static_cast<double>(count.dropped), kFrames / 2.0, 100);  // six standard deviations
}

TEST_F(SwitchTest, ANarrowLinkTakesItsTime) {
  ASSERT_TRUE(switch_->SetLink("b", "d", {.bytes_per_second = 100'000}).ok());
  const absl::Time start = absl::Now();
  for (int i = 0; i < 10; ++i) b_.Send(d_.address(), std::string(1000, 'x'));
  for (int i = 0; i < 10; ++i) d_.Receive();
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(100));
}

}  // namespace
}  // namespace flocker::lab
