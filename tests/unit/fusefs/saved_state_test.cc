#include "fusefs/saved_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

namespace flocker {
namespace {

TEST(SavedState, FitsWhoeverHasSavedItsVersionAlsoWhileItIsInUse) {
  auto memory = SavedState::NewMemory();
  ASSERT_TRUE(memory.ok());
  const unique_fd kept(dup(memory->get()));
  EXPECT_FALSE(SavedState::CheckThatItFits(kept).ok()) << "nothing was saved yet";
  const auto state = SavedState::Create(*std::move(memory), {64, 64, 64, 8, 16});
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(SavedState::CheckThatItFits(kept).ok());
  EXPECT_EQ((*state)->incarnation(), 0u);
}

TEST(SavedState, OfAnotherVersionFitsNobody) {
  auto memory = SavedState::NewMemory();
  ASSERT_TRUE(memory.ok());
  unique_fd kept(dup(memory->get()));
  ASSERT_TRUE(SavedState::Create(*std::move(memory), {64, 64, 64, 8, 16}).ok());
  const uint32_t version = kSavedVersion + 1;
  ASSERT_EQ(pwrite(kept.get(), &version, sizeof version, offsetof(SavedHeader, version)), ssize_t{sizeof version});
  EXPECT_FALSE(SavedState::CheckThatItFits(kept).ok());
  EXPECT_FALSE(SavedState::Inherit(std::move(kept)).ok());
}

}  // namespace
}  // namespace flocker
