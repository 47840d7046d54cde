// What the kernel asks, and which part of it is served.
#include <gtest/gtest.h>
#include <linux/falloc.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <vector>

#include "engine/lun/arena.h"
#include "engine/lun/file_face.h"
#include "engine/lun/fuse_request.h"
#include "engine/lun/range.h"

namespace flocker::lun {
namespace {

template <class Body>
std::vector<std::byte> Bytes(uint32_t opcode, const Body& body, size_t payload = 0) {
  std::vector<std::byte> bytes(sizeof(fuse_in_header) + sizeof body + payload);
  fuse_in_header header{};
  header.len = static_cast<uint32_t>(bytes.size());
  header.opcode = opcode;
  header.unique = 42;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
  return bytes;
}

Geometry SmallLun() {
  Geometry geometry;
  geometry.block_size = 512;
  geometry.blocks = 100;
  return geometry;
}

TEST(FuseRequest, AWriteHasItsPayloadWhereItArrived) {
  fuse_write_in body{};
  body.offset = 4096;
  body.size = 512;
  auto bytes = Bytes(FUSE_WRITE, body, 512);
  const auto request = ParseFuseRequest(bytes);
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->unique, 42u);
  EXPECT_EQ(request->offset, 4096u);
  EXPECT_EQ(request->payload.data(), bytes.data() + sizeof(fuse_in_header) + sizeof body);
  EXPECT_EQ(request->payload.size(), 512u);
}

TEST(FuseRequest, LengthsThatLieAreRefused) {
  fuse_write_in write{};
  write.size = 512;
  auto bytes = Bytes(FUSE_WRITE, write, 511);
  EXPECT_FALSE(ParseFuseRequest(bytes).ok());
  fuse_read_in read{};
  read.size = kMaxTransfer + 1;
  bytes = Bytes(FUSE_READ, read);
  EXPECT_FALSE(ParseFuseRequest(bytes).ok());
  read.size = 512;
  bytes = Bytes(FUSE_READ, read);
  EXPECT_TRUE(ParseFuseRequest(bytes).ok());
  EXPECT_FALSE(ParseFuseRequest(std::span(bytes).first(bytes.size() - 1)).ok());
  EXPECT_FALSE(ParseFuseRequest(std::span(bytes).first(10)).ok());
}

TEST(FuseRequest, SurvivesAnyBytes) {
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> bytes(random() % 200);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    if (bytes.size() >= 8) {
      const auto length = static_cast<uint32_t>(bytes.size());
      const auto opcode = static_cast<uint32_t>(random() % 60);
      std::memcpy(bytes.data(), &length, sizeof length);
      std::memcpy(bytes.data() + 4, &opcode, sizeof opcode);
    }
    const auto request = ParseFuseRequest(bytes);
    if (!request.ok()) continue;
    AnswerOf(*request, bytes, SmallLun(), 64);
    const Range range = RangeOf(*request, SmallLun());
    EXPECT_TRUE(range.length == 0 || request->offset + range.length <= SmallLun().size());
  }
}

FuseRequest Ask(fuse_opcode opcode, uint64_t offset, uint64_t length, uint32_t mode = 0) {
  FuseRequest request;
  request.opcode = opcode;
  request.offset = offset;
  request.length = length;
  request.mode = mode;
  return request;
}

TEST(Range, IsClippedAtTheEnd) {
  EXPECT_EQ(RangeOf(Ask(FUSE_READ, 99 * 512, 1024), SmallLun()).length, 512u);
  EXPECT_EQ(RangeOf(Ask(FUSE_WRITE, 99 * 512, 1024), SmallLun()).length, 512u);
  EXPECT_EQ(RangeOf(Ask(FUSE_READ, 200 * 512, 512), SmallLun()).length, 0u);
  EXPECT_EQ(RangeOf(Ask(FUSE_READ, 200 * 512, 512), SmallLun()).error, 0);
  EXPECT_EQ(RangeOf(Ask(FUSE_WRITE, 100 * 512, 512), SmallLun()).error, ENOSPC);
}

TEST(Range, WantsWholeBlocks) {
  EXPECT_EQ(RangeOf(Ask(FUSE_READ, 1, 512), SmallLun()).error, EINVAL);
  EXPECT_EQ(RangeOf(Ask(FUSE_WRITE, 0, 100), SmallLun()).error, EINVAL);
}

TEST(Range, OfFallocateKnowsTwoModes) {
  constexpr uint32_t kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  constexpr uint64_t kHuge = uint64_t{1} << 62;
  EXPECT_EQ(RangeOf(Ask(FUSE_FALLOCATE, 0, kHuge, kPunch), SmallLun()).length, 100u * 512);
  EXPECT_EQ(RangeOf(Ask(FUSE_FALLOCATE, 0, 512, FALLOC_FL_ZERO_RANGE), SmallLun()).length, 512u);
  EXPECT_EQ(RangeOf(Ask(FUSE_FALLOCATE, 0, kHuge, FALLOC_FL_ZERO_RANGE), SmallLun()).error, ENOSPC);
  EXPECT_EQ(RangeOf(Ask(FUSE_FALLOCATE, 512, ~uint64_t{511}, FALLOC_FL_ZERO_RANGE), SmallLun()).error, ENOSPC);
  for (const uint32_t mode : {0u, 1u, 2u, 8u, 0x20u, 0x40u, 0x13u}) {
    EXPECT_EQ(RangeOf(Ask(FUSE_FALLOCATE, 0, 512, mode), SmallLun()).error, EOPNOTSUPP) << mode;
  }
}

TEST(FileFace, RefusesToBeTruncatedOrGivenAway) {
  fuse_setattr_in in{};
  in.valid = FATTR_SIZE;
  in.size = 512;
  auto bytes = Bytes(FUSE_SETATTR, in);
  EXPECT_EQ(AnswerOf(*ParseFuseRequest(bytes), bytes, SmallLun(), 64).error, EPERM);
  in.size = SmallLun().size();
  bytes = Bytes(FUSE_SETATTR, in);
  EXPECT_EQ(AnswerOf(*ParseFuseRequest(bytes), bytes, SmallLun(), 64).error, 0);
  in.valid = FATTR_UID;
  bytes = Bytes(FUSE_SETATTR, in);
  EXPECT_EQ(AnswerOf(*ParseFuseRequest(bytes), bytes, SmallLun(), 64).error, EPERM);
}

TEST(FileFace, AsksForAsynchronousDirectIoOfOneMiB) {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 38;
  in.flags = ~0u;
  auto bytes = Bytes(FUSE_INIT, in);
  const FileAnswer answer = AnswerOf(*ParseFuseRequest(bytes), bytes, SmallLun(), 64);
  ASSERT_EQ(answer.size, sizeof(fuse_init_out));
  fuse_init_out out{};
  std::memcpy(&out, answer.bytes.data(), sizeof out);
  EXPECT_EQ(out.max_write, kMaxTransfer);
  EXPECT_EQ(out.max_pages, 256);
  EXPECT_NE(out.flags & FUSE_ASYNC_DIO, 0u);
  EXPECT_EQ(out.flags & FUSE_WRITEBACK_CACHE, 0u);
}

}  // namespace
}  // namespace flocker::lun
