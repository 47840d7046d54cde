#include "engine/lun/arena.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <deque>
#include <random>

namespace flocker::lun {
namespace {

constexpr size_t kData = 4 * kMaxRequest + 4096 - (4 * kMaxRequest) % 4096;
constexpr size_t kSmall = 4096 + 80;

// What a successor sees: the memfd, mapped again.
class View {
 public:
  explicit View(const Arena& arena) : size_(static_cast<size_t>(lseek(arena.fd(), 0, SEEK_END))) {
    base_ = static_cast<const std::byte*>(mmap(nullptr, size_, PROT_READ, MAP_SHARED, arena.fd(), 0));
  }
  ~View() { munmap(const_cast<std::byte*>(base_), size_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  const ArenaHeader& header() const { return *reinterpret_cast<const ArenaHeader*>(base_); }
  const Slot& slot(uint32_t i) const { return reinterpret_cast<const Slot*>(base_ + header().slots_offset)[i]; }
  const std::byte* at(uint64_t offset) const { return base_ + offset; }

 private:
  size_t size_;
  const std::byte* base_;
};

Arena NewArena(uint32_t slots = 64) {
  auto arena = Arena::Create(kData, slots);
  EXPECT_TRUE(arena.ok()) << arena.status();
  return *std::move(arena);
}

uint32_t Put(Arena& arena, size_t length, size_t answer = 0) {
  const auto slot = arena.Offer();
  EXPECT_TRUE(slot.has_value());
  arena.Deliver(*slot, length, answer);
  return *slot;
}

TEST(Arena, ASlotLivesFromOfferedOverDeliveredToFree) {
  Arena arena = NewArena();
  const View view(arena);
  const uint32_t slot = *arena.Offer();
  EXPECT_EQ(view.slot(slot).state, SlotState::kOffered);
  EXPECT_EQ(arena.request(slot).size(), kMaxRequest);
  EXPECT_EQ(arena.Offer(), slot) << "an offer stands until it is used";
  EXPECT_EQ(arena.in_flight(), 0u);
  std::memset(arena.request(slot).data(), 'q', kSmall);
  arena.Deliver(slot, kSmall, 0);
  EXPECT_EQ(view.slot(slot).state, SlotState::kDelivered);
  EXPECT_EQ(view.slot(slot).arrival, 1u);
  EXPECT_EQ(arena.request(slot).size(), kSmall);
  EXPECT_EQ(static_cast<char>(*view.at(view.slot(slot).offset)), 'q');
  EXPECT_EQ(arena.in_flight(), 1u);
  arena.Release(slot);
  EXPECT_EQ(view.slot(slot).state, SlotState::kFree);
  EXPECT_EQ(arena.in_flight(), 0u);
}

TEST(Arena, AnOfferedSlotShowsNoRequestOfBefore) {
  Arena arena = NewArena(1);
  const View view(arena);
  for (int i = 0; i < 3; ++i) {
    const uint32_t slot = *arena.Offer();
    fuse_in_header header;
    std::memcpy(&header, view.at(view.slot(slot).offset), sizeof header);
    EXPECT_EQ(header.len, 0u);
    std::memset(arena.request(slot).data(), 0xff, kMaxRequest);
    arena.Deliver(slot, kMaxRequest, 0);
    arena.Release(slot);
  }
}

TEST(Arena, WithoutRoomOrSlotsNothingIsOffered) {
  Arena arena = NewArena();
  std::vector<uint32_t> slots;
  for (int i = 0; i < 4; ++i) slots.push_back(Put(arena, kMaxRequest));
  EXPECT_FALSE(arena.Offer().has_value());
  arena.Release(slots[2]);
  EXPECT_TRUE(arena.Offer().has_value());

  Arena few = NewArena(2);
  Put(few, kSmall);
  const uint32_t second = Put(few, kSmall);
  EXPECT_FALSE(few.Offer().has_value());
  few.Release(second);
  EXPECT_TRUE(few.Offer().has_value());
}

TEST(Arena, ASlowRequestDoesNotStopTheRing) {
  Arena arena = NewArena();
  Put(arena, kSmall);  // never answered
  for (int i = 0; i < 100; ++i) arena.Release(Put(arena, kMaxRequest));
}

TEST(Arena, TheAnswerHasItsRoomBehindTheRequest) {
  Arena arena = NewArena();
  const uint32_t slot = Put(arena, 80, kMaxTransfer);
  EXPECT_GE(arena.answer(slot).size(), kMaxTransfer);
  EXPECT_GE(arena.answer(slot).data(), arena.request(slot).data() + 80);
  const uint32_t none = Put(arena, kSmall);
  EXPECT_TRUE(arena.answer(none).empty());
}

TEST(Arena, RequestsNeverOverlapAndStayInside) {
  Arena arena = NewArena();
  const View view(arena);
  std::mt19937 random(7);
  std::vector<uint32_t> live;
  for (int i = 0; i < 20000; ++i) {
    const auto slot = random() % 3 != 0 ? arena.Offer() : std::nullopt;
    if (slot) {
      const size_t length = random() % 4 == 0 ? kMaxRequest : 80 + random() % 70000;
      arena.Deliver(*slot, length, length < 1000 ? random() % kMaxTransfer : 0);
      live.push_back(*slot);
    } else if (!live.empty()) {
      const size_t victim = random() % live.size();
      arena.Release(live[victim]);
      live.erase(live.begin() + static_cast<ptrdiff_t>(victim));
    }
    std::vector<std::pair<uint64_t, uint64_t>> extents;
    for (const uint32_t s : live) extents.emplace_back(view.slot(s).offset, view.slot(s).capacity);
    std::sort(extents.begin(), extents.end());
    uint64_t end = view.header().data_offset;
    for (const auto& [offset, size] : extents) {
      ASSERT_GE(offset, end);
      end = offset + size;
    }
    ASSERT_LE(end, view.header().data_offset + view.header().data_size);
  }
}

TEST(Arena, KeepsTheBytesOfInit) {
  Arena arena = NewArena();
  const View view(arena);
  const std::vector<std::byte> init(104, std::byte{7});
  EXPECT_TRUE(arena.SaveInit(init));
  EXPECT_EQ(view.header().init_size, 104u);
  EXPECT_EQ(view.header().init[103], std::byte{7});
  EXPECT_FALSE(arena.SaveInit(std::vector<std::byte>(4096)));
}

TEST(Arena, NobodyCanShrinkIt) {
  Arena arena = NewArena();
  EXPECT_NE(ftruncate(arena.fd(), 4096), 0);
}

// A memfd as its process left it: another descriptor of it, adopted.
absl::StatusOr<Arena> AdoptFrom(const Arena& arena) {
  return Arena::Adopt(unique_fd(fcntl(arena.fd(), F_DUPFD_CLOEXEC, 0)));
}

TEST(Arena, ASuccessorFindsWhatWasNotAnsweredInItsOrder) {
  Arena arena = NewArena();
  std::vector<uint32_t> slots;
  for (int i = 0; i < 6; ++i) {
    slots.push_back(*arena.Offer());
    std::memset(arena.request(slots.back()).data(), 'a' + i, kSmall);
    arena.Deliver(slots.back(), kSmall, 0);
  }
  arena.Release(slots[0]);
  arena.Release(slots[3]);
  arena.Offer();  // nothing came
  ASSERT_TRUE(arena.SaveLun("naa:1", 512, 4096));
  arena.SaveEpoch(7);

  auto successor = AdoptFrom(arena);
  ASSERT_TRUE(successor.ok()) << successor.status();
  EXPECT_EQ(successor->Delivered(), (std::vector<uint32_t>{slots[1], slots[2], slots[4], slots[5]}));
  EXPECT_EQ(successor->Arrived(), 0u);
  EXPECT_EQ(successor->in_flight(), 4u);
  EXPECT_EQ(successor->request(slots[4]).size(), kSmall);
  EXPECT_EQ(static_cast<char>(successor->request(slots[4])[0]), 'e');
  EXPECT_STREQ(successor->header().identity, "naa:1");
  EXPECT_EQ(successor->header().epoch, 7u);
  // And goes on: nothing new overlaps what is there, and comes after it.
  const uint32_t next = Put(*successor, kSmall);
  EXPECT_GT(successor->arrival(next), successor->arrival(slots[5]));
  EXPECT_EQ(successor->Delivered().back(), next);
  for (const uint32_t slot : successor->Delivered()) successor->Release(slot);
  EXPECT_EQ(successor->in_flight(), 0u);
}

TEST(Arena, ARequestThatHadJustArrivedComesLast) {
  Arena arena = NewArena();
  Put(arena, kSmall);
  const uint32_t slot = *arena.Offer();
  fuse_in_header header{};
  header.len = 4096;
  std::memcpy(arena.request(slot).data(), &header, sizeof header);
  auto successor = AdoptFrom(arena);
  ASSERT_TRUE(successor.ok()) << successor.status();
  EXPECT_EQ(successor->Delivered().size(), 1u);
  EXPECT_EQ(successor->Arrived(), 4096u);
  EXPECT_EQ(successor->Offer(), slot);
  successor->Deliver(slot, 4096, 0);
  EXPECT_EQ(successor->Delivered().back(), slot);
}

TEST(Arena, AfterOneThatCannotBeReadItKeepsWhatTheHeaderSays) {
  Arena arena = NewArena();
  Put(arena, kSmall);
  ASSERT_TRUE(arena.SaveLun("naa:1", 512, 4096));
  ASSERT_TRUE(arena.SaveInit(std::vector<std::byte>(104, std::byte{7})));
  arena.SaveEpoch(7);
  const auto after = [&arena] {
    return Arena::CreateAfter(unique_fd(fcntl(arena.fd(), F_DUPFD_CLOEXEC, 0)), kData, 8);
  };
  const auto pass_off_as = [&arena](uint32_t version, uint64_t magic) {
    ASSERT_EQ(pwrite(arena.fd(), &version, sizeof version, offsetof(ArenaHeader, version)), ssize_t{sizeof version});
    ASSERT_EQ(pwrite(arena.fd(), &magic, sizeof magic, offsetof(ArenaHeader, magic)), ssize_t{sizeof magic});
  };
  pass_off_as(kArenaVersion + 1, kArenaMagic);
  ASSERT_FALSE(AdoptFrom(arena).ok());
  const auto next = after();
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->in_flight(), 0u);
  EXPECT_EQ(next->header().version, kArenaVersion);
  EXPECT_STREQ(next->header().identity, "naa:1");
  EXPECT_EQ(next->header().block_size, 512u);
  EXPECT_EQ(next->header().size, 4096u);
  EXPECT_EQ(next->header().epoch, 7u);
  EXPECT_EQ(next->header().init_size, 104u);
  EXPECT_EQ(next->header().init[103], std::byte{7});
  pass_off_as(kArenaVersion, 0);
  EXPECT_FALSE(after().ok());
}

TEST(Arena, WhatIsNoArenaIsRefused) {
  EXPECT_FALSE(Arena::Adopt(unique_fd(memfd_create("empty", MFD_CLOEXEC))).ok());
  Arena arena = NewArena();
  Put(arena, kSmall);
  Put(arena, kSmall);
  auto* base = static_cast<std::byte*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd(), 0));
  ASSERT_NE(base, MAP_FAILED);
  auto* header = reinterpret_cast<ArenaHeader*>(base);
  auto* slots = reinterpret_cast<Slot*>(base + header->slots_offset);
  EXPECT_TRUE(AdoptFrom(arena).ok());
  header->version = 1;
  EXPECT_FALSE(AdoptFrom(arena).ok());
  header->version = kArenaVersion;
  const uint64_t offset = slots[1].offset;
  slots[1].offset = slots[0].offset;
  EXPECT_FALSE(AdoptFrom(arena).ok()) << "two requests in one place";
  slots[1].offset = uint64_t{1} << 40;
  EXPECT_FALSE(AdoptFrom(arena).ok()) << "a request outside";
  slots[1].offset = offset;
  EXPECT_TRUE(AdoptFrom(arena).ok());
  munmap(base, 4096);
}

}  // namespace
}  // namespace flocker::lun
