#include "fusefs/in_flight.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace flocker {
namespace {

// The kernel is a pipe: what is answered can be read from it.
class InFlightTest : public ::testing::Test {
 protected:
  InFlightTest() {
    auto memory = SavedState::NewMemory();
    kept_.reset(dup(memory->get()));
    auto state = SavedState::Create(*std::move(memory), {64, 64, 64, 8, 16});
    EXPECT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
    in_flight_ = std::make_unique<InFlight>(*state_);
    offered_ = in_flight_->Offer();
  }

  // Another process, after this one was killed.
  void Succeed() {
    in_flight_.reset();
    state_.reset();
    auto state = SavedState::Inherit(unique_fd(dup(kept_.get())));
    ASSERT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
    in_flight_ = std::make_unique<InFlight>(*state_);
    offered_ = in_flight_->Offer();
  }

  // What read(2) does: the first `arrived` bytes of a request of `size`.
  void Read(uint64_t unique, size_t size, size_t arrived, uint32_t opcode = FUSE_WRITE) {
    std::span<std::byte> room = in_flight_->Room(offered_);
    fuse_in_header header{};
    header.len = static_cast<uint32_t>(size);
    header.opcode = opcode;
    header.unique = unique;
    std::memset(room.data(), static_cast<int>('0' + unique), arrived);
    std::memcpy(room.data(), &header, sizeof header);
  }
  size_t Receive(uint64_t unique, size_t size = 100) {
    Read(unique, size, size);
    return *in_flight_->Deliver(offered_, size)->slot;
  }
  ssize_t Answer(uint64_t unique, int error, const std::string& text = "") {
    fuse_out_header header{};
    header.len = static_cast<uint32_t>(sizeof header + text.size());
    header.error = -error;
    header.unique = unique;
    std::string data = text;
    const std::array<iovec, 2> parts = {{{&header, sizeof header}, {data.data(), data.size()}}};
    return in_flight_->Answer(writer_.get(), parts.data(), 2);
  }
  // "<unique> <error> <text>" of the next answer, or an empty text.
  std::string Answered() {
    fuse_out_header header{};
    if (read(reader_.get(), &header, sizeof header) != sizeof header) return "";
    std::string text(header.len - sizeof header, '\0');
    if (!text.empty() && read(reader_.get(), text.data(), text.size()) < 0) return "cut";
    return std::to_string(header.unique) + " " + std::to_string(-header.error) + " " + text;
  }

  unique_fd kept_;
  unique_fd reader_;
  unique_fd writer_;
  std::unique_ptr<SavedState> state_;
  std::unique_ptr<InFlight> in_flight_;
  size_t offered_ = 0;
};

TEST_F(InFlightTest, AnAnsweredRequestIsForgotten) {
  Receive(2);
  EXPECT_GT(Answer(2, 0, "done"), 0);
  EXPECT_EQ(Answered(), "2 0 done");
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_TRUE(in_flight_->Unfinished().empty());
}

TEST_F(InFlightTest, ADeliveredRequestIsExecutedAgainInTheOrderOfArrival) {
  Receive(6);
  Receive(2, 20000);
  Receive(4);
  ASSERT_NO_FATAL_FAILURE(Succeed());
  const std::vector<size_t> unfinished = in_flight_->Unfinished();
  ASSERT_EQ(unfinished.size(), 3u);
  EXPECT_EQ(in_flight_->unique(unfinished[0]), 6u);
  EXPECT_EQ(in_flight_->unique(unfinished[1]), 2u);
  EXPECT_EQ(in_flight_->unique(unfinished[2]), 4u);
  const auto again = in_flight_->Again(unfinished[1]);
  ASSERT_TRUE(again.has_value());
  ASSERT_EQ(again->bytes.size(), 20000u);
  EXPECT_EQ(static_cast<char>(again->bytes[19999]), '2');
  EXPECT_GT(Answer(2, 0), 0);
  EXPECT_EQ(Answered(), "2 0 ");
}

TEST_F(InFlightTest, WhatHasBegunIsNotExecutedAgain) {
  in_flight_->Begin(Receive(2), {});
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ASSERT_EQ(in_flight_->Unfinished().size(), 1u);
  const size_t slot = in_flight_->Unfinished()[0];
  EXPECT_TRUE(in_flight_->Unanswered(2));
  EXPECT_FALSE(in_flight_->Again(slot).has_value());
  in_flight_->Finish(writer_.get(), slot);
  EXPECT_EQ(Answered(), "2 5 ");  // EIO
}

TEST_F(InFlightTest, WhatHasBegunWithANoteComesAgainWithIt) {
  in_flight_->Begin(Receive(2), "operation 7");
  ASSERT_NO_FATAL_FAILURE(Succeed());
  const auto again = in_flight_->Again(in_flight_->Unfinished().at(0));
  ASSERT_TRUE(again.has_value());
  {
    const InFlight::Processing processing(*in_flight_, *again);
    EXPECT_EQ(InFlight::Current().note, "operation 7");
    EXPECT_EQ(InFlight::Current().unique, 2u);
  }
  EXPECT_EQ(InFlight::Current().note, "");
}

TEST_F(InFlightTest, ARecordedAnswerIsGivenAgainAsItWas) {
  const size_t slot = Receive(2);
  in_flight_->Begin(slot, {});
  // As Answer leaves it when the process is killed before it has freed it.
  SavedRequest& request = state_->requests()[slot];
  fuse_out_header header{};
  header.len = sizeof header + 4;
  header.unique = 2;
  std::memcpy(request.reply, &header, sizeof header);
  std::memcpy(request.reply + sizeof header, "made", 4);
  request.reply_size = header.len;
  request.state = RequestState::kAnswered;
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ASSERT_EQ(in_flight_->Unfinished().size(), 1u);
  EXPECT_FALSE(in_flight_->Unanswered(2));
  EXPECT_FALSE(in_flight_->Again(slot).has_value());
  in_flight_->Finish(writer_.get(), slot);
  EXPECT_EQ(Answered(), "2 0 made");
}

// Direct I/O takes them from there: no copy.
TEST_F(InFlightTest, TheDataOfAWriteBeginWithAPage) {
  const auto data_in_page = [](std::span<const std::byte> request) {
    return (reinterpret_cast<uintptr_t>(request.data()) + sizeof(fuse_in_header) + sizeof(fuse_write_in)) % 4096;
  };
  for (const size_t size : {size_t{80} + 4096, kMaxWrite + 80}) {  // the one is moved to another room, the other stays
    Read(2, size, size);
    const auto received = in_flight_->Deliver(offered_, size);
    EXPECT_EQ(data_in_page(received->bytes), 0u);
    ASSERT_NO_FATAL_FAILURE(Succeed());
    const auto again = in_flight_->Again(in_flight_->Unfinished().at(0));
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(data_in_page(again->bytes), 0u);
    EXPECT_EQ(static_cast<char>(again->bytes[size - 1]), '2');
    EXPECT_GT(Answer(2, 0), 0);
  }
}

TEST_F(InFlightTest, OneThatArrivedWhileItsReceiverDiedIsTakenUp) {
  Receive(2);
  Read(4, 9000, 9000);
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ASSERT_EQ(in_flight_->Unfinished().size(), 2u);
  const auto again = in_flight_->Again(in_flight_->Unfinished()[1]);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->bytes.size(), 9000u);
  EXPECT_EQ(static_cast<char>(again->bytes[8999]), '4');
}

TEST_F(InFlightTest, OneThatDidNotArriveWholeIsNotExecuted) {
  Receive(2, 30000);  // leaves its bytes in the room that is read into next
  EXPECT_GT(Answer(2, 0), 0);
  EXPECT_EQ(Answered(), "2 0 ");
  Read(4, 9000, 4096);
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ASSERT_EQ(in_flight_->Unfinished().size(), 1u);
  EXPECT_FALSE(in_flight_->Again(in_flight_->Unfinished()[0]).has_value());
  in_flight_->Finish(writer_.get(), in_flight_->Unfinished()[0]);
  EXPECT_EQ(Answered(), "4 5 ");
}

TEST_F(InFlightTest, WhatKilledSeveralProcessesIsGivenUp) {
  Receive(2);
  for (int death = 0; death < 2; ++death) {
    ASSERT_NO_FATAL_FAILURE(Succeed());
    EXPECT_TRUE(in_flight_->Again(in_flight_->Unfinished().at(0)).has_value());
  }
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_FALSE(in_flight_->Again(in_flight_->Unfinished().at(0)).has_value());
  in_flight_->Finish(writer_.get(), in_flight_->Unfinished().at(0));
  EXPECT_EQ(Answered(), "2 5 ");
}

TEST_F(InFlightTest, AnInterruptIsNotedAtItsRequest) {
  Receive(2);
  std::span<std::byte> room = in_flight_->Room(offered_);
  struct {
    fuse_in_header header;
    fuse_interrupt_in whom;
  } interrupt{};
  interrupt.header.len = sizeof interrupt;
  interrupt.header.opcode = FUSE_INTERRUPT;
  interrupt.header.unique = 3;
  interrupt.whom.unique = 2;
  std::memcpy(room.data(), &interrupt, sizeof interrupt);
  EXPECT_FALSE(in_flight_->Deliver(offered_, sizeof interrupt)->slot.has_value());
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ASSERT_EQ(in_flight_->Unfinished().size(), 1u);
  EXPECT_TRUE(in_flight_->interrupted(in_flight_->Unfinished()[0]));
}

TEST_F(InFlightTest, WhatIsTranslatedInPlaceComesAgainAsTheKernelSentIt) {
  Read(2, 100, 100, 52);
  const auto received = in_flight_->Deliver(offered_, 100);
  reinterpret_cast<fuse_in_header*>(received->bytes.data())->opcode = FUSE_GETATTR;
  ASSERT_NO_FATAL_FAILURE(Succeed());
  const auto again = in_flight_->Again(in_flight_->Unfinished().at(0));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(reinterpret_cast<const fuse_in_header*>(again->bytes.data())->opcode, 52u);
}

TEST_F(InFlightTest, NothingBeginsWhileItIsHandedOver) {
  const size_t slot = Receive(2);
  in_flight_->Begin(slot, {});
  EXPECT_FALSE(in_flight_->HandOver(absl::Milliseconds(50)));
  EXPECT_GT(Answer(2, 0), 0);
  EXPECT_TRUE(in_flight_->HandOver(absl::Seconds(5)));
}

TEST_F(InFlightTest, WhatDiesWhileItsAnswerIsRecordedIsNotExecutedAgain) {
  const size_t begun = Receive(2);
  in_flight_->Begin(begun, {});
  const size_t noted = Receive(4);
  in_flight_->Begin(noted, "operation 7");
  for (const size_t slot : {begun, noted}) {
    std::memset(state_->requests()[slot].reply, 'x', 24);
    state_->requests()[slot].reply_size = 24;
  }
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ASSERT_EQ(in_flight_->Unfinished().size(), 2u);
  EXPECT_FALSE(in_flight_->Again(in_flight_->Unfinished()[0]).has_value());
  const auto again = in_flight_->Again(in_flight_->Unfinished()[1]);
  ASSERT_TRUE(again.has_value());
  const InFlight::Processing processing(*in_flight_, *again);
  EXPECT_EQ(InFlight::Current().note, "operation 7");
}

// Offer blocks while there is none: a successor that must wait for the answers it is to give would wait for ever.
TEST_F(InFlightTest, ASuccessorHasARoomToReadIntoWhateverItInherits) {
  for (uint64_t unique = 2; unique <= 20; unique += 2) Receive(unique, 20000);
  Read(22, 20000, 20000);  // and its receiver died with it
  ASSERT_NO_FATAL_FAILURE(Succeed());
  EXPECT_EQ(in_flight_->Unfinished().size(), 11u);
}

TEST_F(InFlightTest, MoreThanTheLockedRoomsAreReceived) {
  for (uint64_t unique = 2; unique <= 20; unique += 2) Receive(unique, 20000);
  ASSERT_NO_FATAL_FAILURE(Succeed());
  ASSERT_EQ(in_flight_->Unfinished().size(), 10u);
  for (const size_t slot : in_flight_->Unfinished()) {
    const auto again = in_flight_->Again(slot);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(static_cast<char>(again->bytes[19999]), static_cast<char>('0' + in_flight_->unique(slot)));
  }
}

}  // namespace
}  // namespace flocker
