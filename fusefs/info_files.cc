#include "fusefs/info_files.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/catalog/inode_numbers.h"

namespace flocker {
namespace {

struct Row {
  InfoFile file;
  const char* name;
};
constexpr std::array<Row, 4> kFiles = {{{InfoFile::kEvents, "events"},
                                        {InfoFile::kMetrics, "metrics"},
                                        {InfoFile::kStatus, "status"},
                                        {InfoFile::kVersion, "version"}}};
constexpr std::string_view kEventsFrom = "events@";
constexpr char kVersionText[] = FLOCKER_VERSION "\n";

const char* NameOf(InfoFile file) {
  return std::find_if(kFiles.begin(), kFiles.end(), [&](const Row& row) { return row.file == file; })->name;
}

}  // namespace

InfoFiles::InfoFiles(const View& view, InodeTable& inodes, std::function<Reach()> reach)
    : view_(view),
      inodes_(inodes),
      reach_(std::move(reach)),
      // Nanoseconds: nobody opens files, or causes bytes of events, at such a rate.
      start_(static_cast<uint64_t>(absl::ToUnixNanos(SteadyNow()))),
      events_(start_),
      opened_(kHandleBit | start_) {}

std::shared_ptr<const Inode> InfoFiles::Find(std::string_view name) {
  for (const Row& row : kFiles) {
    if (name == row.name) return inodes_.Info(row.file, row.file == InfoFile::kEvents ? events_.extent().begin : 0);
  }
  uint64_t seq = 0;
  if (name.substr(0, kEventsFrom.size()) != kEventsFrom) return nullptr;
  const std::string_view number = name.substr(kEventsFrom.size());
  // One spelling for each: SimpleAtoi takes blanks, signs and zeroes in front as well.
  if (!absl::SimpleAtoi(absl::string_view(number.data(), number.size()), &seq) || absl::StrCat(seq) != number) {
    return nullptr;
  }
  const std::optional<uint64_t> from = events_.Find(seq);
  return from ? inodes_.Info(InfoFile::kEvents, *from) : nullptr;
}

std::vector<InfoFiles::Listed> InfoFiles::List() const {
  std::vector<Listed> listed;
  for (const Row& row : kFiles) {
    Inode node{.kind = InodeKind::kInfoFile, .file = row.file};
    if (row.file == InfoFile::kEvents) node.from = events_.extent().begin;
    listed.push_back({row.name, Attributes(node)});
  }
  return listed;
}

struct stat InfoFiles::Attributes(const Inode& node) const {
  struct stat attributes {};
  attributes.st_blksize = 4096;
  if (node.kind == InodeKind::kInfo) {
    attributes.st_ino = TreeInode(kInfoName);
    attributes.st_mode = S_IFDIR | 0555;
    attributes.st_nlink = 2;
    return attributes;
  }
  attributes.st_mode = S_IFREG | 0444;
  attributes.st_nlink = 1;
  attributes.st_ino = TreeInode(absl::StrCat(kInfoName, "/", NameOf(node.file), " ", node.from));
  if (node.file == InfoFile::kVersion) attributes.st_size = sizeof kVersionText - 1;
  if (node.file == InfoFile::kEvents) {
    // tail -f looks at size and time, and reads as much as the size has grown.
    const EventFile::Extent events = events_.extent();
    attributes.st_size = static_cast<off_t>(events.end - node.from);
    attributes.st_mtim.tv_sec = events.time_ms / 1000;
    attributes.st_mtim.tv_nsec = events.time_ms % 1000 * 1'000'000;
    attributes.st_atim = attributes.st_ctim = attributes.st_mtim;
  }
  return attributes;
}

std::string InfoFiles::Content(InfoFile file) const {
  switch (file) {
    case InfoFile::kStatus:
      return StatusText(view_, reach_(), events_.extent());
    case InfoFile::kMetrics:
      return MetricsText(view_, reach_(), events_.extent());
    case InfoFile::kVersion:
      return kVersionText;
    case InfoFile::kEvents:
      break;
  }
  return {};
}

void InfoFiles::Open(Request request, const Inode& node, int flags) {
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0) return request.Error(EPERM);
  Opened opened{.file = node.file, .content = Content(node.file), .from = node.from, .read = 0, .polled = nullptr};
  fuse_file_info info{};
  // Neither the size nor the kernel's pages decide what a read gets.
  info.direct_io = 1;
  opened_.Open(std::move(request), std::move(opened), info);
}

void InfoFiles::Read(Request request, uint64_t handle, size_t size, off_t offset) {
  if (offset < 0) return request.Error(EINVAL);
  const auto at = static_cast<uint64_t>(offset);
  std::optional<std::string> bytes;
  opened_.With(handle, [&](Opened& opened) {
    if (opened.file == InfoFile::kEvents) {
      bytes = events_.Read(opened.from + at, size);
    } else {
      bytes = at < opened.content.size() ? opened.content.substr(at, size) : std::string();
    }
    if (bytes) opened.read = at + bytes->size();
  });
  bytes ? request.Bytes(*bytes) : request.Error(ESTALE);
}

void InfoFiles::Poll(Request request, uint64_t handle, PollHandle wanted) {
  unsigned ready = 0;
  const bool known = opened_.With(handle, [&](Opened& opened) {
    // Before looking: what happens from here on wakes it.
    if (wanted != nullptr) opened.polled = std::move(wanted);
    const bool more = opened.file != InfoFile::kEvents || opened.from + opened.read < events_.extent().end;
    if (more) ready = POLLIN | POLLRDNORM;
  });
  known ? request.Polled(ready) : request.Error(ESTALE);
}

void InfoFiles::Release(Request request, uint64_t handle) { opened_.Release(std::move(request), handle); }

void InfoFiles::Happened(const rpc::Events& events) {
  if (!events_.Add(events)) return;
  std::vector<PollHandle> polled;
  opened_.ForEach([&](Opened& opened) {
    if (opened.file == InfoFile::kEvents && opened.polled != nullptr) polled.push_back(std::move(opened.polled));
  });
  // Takes none of the kernel's locks on inodes (fs/fuse/file.c, fuse_notify_poll_wakeup), so it waits for nobody. When
  // the file was closed meanwhile the kernel knows the handle no more, which is no error of ours.
  for (const PollHandle& one : polled) fuse_lowlevel_notify_poll(one.get());
}

}  // namespace flocker
