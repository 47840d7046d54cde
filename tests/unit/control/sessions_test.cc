#include "engine/control/sessions.h"

#include <gtest/gtest.h>

#include "absl/strings/str_format.h"

namespace flocker {
namespace {

class SharedViews : public ::testing::Test {
 protected:
  using Messages = std::vector<std::shared_ptr<const std::string>>;

  static NodeId NodeNumber(int n) { return NodeId::FromRandomHex(absl::StrFormat("%032x", n)); }

  SharedViews() {
    for (int n = 1; n <= 3; ++n) {
      cluster_.PutNode({.id = NodeNumber(n), .name = absl::StrFormat("node%d", n)});
      sessions_.Changed(NodeNumber(n));
      sessions_.Open(static_cast<SessionId>(n), NodeNumber(n));
    }
  }
  Messages Take(SessionId session) { return sessions_.Take(session, cluster_, /*urgent=*/true, now_); }
  static rpc::ViewDelta ViewOf(const std::shared_ptr<const std::string>& message) {
    rpc::AgentDown down;
    EXPECT_TRUE(down.ParseFromString(*message));
    return down.view();
  }

  Cluster cluster_;
  Sessions sessions_;
  absl::Duration now_ = absl::Hours(1);
};

TEST_F(SharedViews, OfTheWholeClusterAreOneMessage) {
  const Messages first = Take(1);
  const Messages second = Take(2);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first, second);
  EXPECT_EQ(ViewOf(first[0]).from(), 0U);
  EXPECT_EQ(ViewOf(first[0]).nodes_size(), 3);
  EXPECT_TRUE(Take(1).empty()) << "it has everything";
}

TEST_F(SharedViews, OfWhatChangedSinceTooAndFollowTheWhole) {
  const Messages whole = Take(1);
  sessions_.Changed(NodeNumber(2));
  const Messages delta = Take(1);
  ASSERT_EQ(delta.size(), 1U);
  EXPECT_EQ(ViewOf(delta[0]).from(), ViewOf(whole[0]).to());
  EXPECT_EQ(ViewOf(delta[0]).to(), sessions_.version());
  EXPECT_EQ(ViewOf(delta[0]).nodes_size(), 1);
  EXPECT_EQ(Take(2), (Messages{whole[0], delta[0]}));
}

TEST_F(SharedViews, OfTheWholeClusterAreNotKeptForLong) {
  const Messages whole = Take(1);
  sessions_.Changed(NodeNumber(2));
  now_ += absl::Minutes(1);
  const Messages later = Take(2);
  ASSERT_EQ(later.size(), 1U);
  EXPECT_NE(later[0], whole[0]);
  EXPECT_EQ(ViewOf(later[0]).to(), sessions_.version());
}

TEST_F(SharedViews, ComeWholeToWhoIsTooFarBehind) {
  EXPECT_EQ(Take(1).size(), 1U);
  for (int i = 0; i < 30'000; ++i) sessions_.Changed(NodeNumber(1 + i % 3));
  const Messages later = Take(1);
  ASSERT_EQ(later.size(), 1U);
  EXPECT_EQ(ViewOf(later[0]).from(), 0U);
}

}  // namespace
}  // namespace flocker
