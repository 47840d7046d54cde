#include "engine/control/sessions.h"

#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "engine/rpc/packed_view.h"

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
  Messages Take(SessionId session) { return sessions_.Take(session, cluster_, now_); }
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

TEST_F(SharedViews, AreToldInRounds) {
  EXPECT_TRUE(sessions_.BeginRound(now_));
  EXPECT_EQ(sessions_.NextRound(), absl::InfiniteDuration()) << "there is nothing to tell";
  EXPECT_FALSE(sessions_.BeginRound(now_ + absl::Hours(1)));
  sessions_.Changed(NodeNumber(2));
  EXPECT_EQ(sessions_.NextRound(), now_ + Sessions::kCoalesce);
  EXPECT_FALSE(sessions_.BeginRound(now_)) << "the last one was a moment ago";
  EXPECT_TRUE(sessions_.BeginRound(now_ + Sessions::kCoalesce));
  sessions_.Happened();
  EXPECT_TRUE(sessions_.BeginRound(now_ + 2 * Sessions::kCoalesce)) << "for the events";
  EXPECT_FALSE(sessions_.BeginRound(now_ + 3 * Sessions::kCoalesce));
}

TEST_F(SharedViews, OfTheWholeClusterArePackedForWhoUnderstandsThat) {
  sessions_.Open(2, NodeNumber(2), /*packed=*/true);
  const Messages plain = Take(1);
  const Messages packed = Take(2);
  rpc::AgentDown down;
  ASSERT_TRUE(down.ParseFromString(*packed.at(0)));
  const auto view = UnpackView(down.packed_view());
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->SerializeAsString(), ViewOf(plain.at(0)).SerializeAsString());
  sessions_.Changed(NodeNumber(3));
  EXPECT_EQ(Take(1), Take(2)) << "the delta is small anyway";
}

}  // namespace
}  // namespace flocker
