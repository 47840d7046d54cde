// .flocker: read-only files that say how the cluster is, for people, monitors and scripts. INFO.md describes them.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/rpc/flocker.pb.h"
#include "fusefs/event_file.h"
#include "fusefs/handles.h"
#include "fusefs/info_text.h"
#include "fusefs/inode_table.h"
#include "fusefs/request.h"
#include "fusefs/view.h"

namespace flocker {

inline constexpr char kInfoName[] = ".flocker";

// All is answered at once and from memory, whoever is away. A file other than `events` is what it was when it was
// opened. `events` is read as it grows: its inode remembers where it begins (Inode::from), and a reader who comes for
// what is no longer kept gets ESTALE. `events@<seq>`, which is not listed, begins with that event.
class InfoFiles {
 public:
  InfoFiles(const View& view, InodeTable& inodes, std::function<Reach()> reach);

  // What .flocker shows by that name, counted as InodeTable says; null when there is none.
  std::shared_ptr<const Inode> Find(std::string_view name);
  struct Listed {
    std::string name;
    struct stat shown;
  };
  std::vector<Listed> List() const;
  // Of the directory itself and of its files.
  struct stat Attributes(const Inode& node) const;

  // Handles of these files, as against those of OpenFiles.
  static bool Owns(uint64_t handle) { return (handle & kHandleBit) != 0; }
  void Open(Request request, const Inode& node, int flags);
  void Read(Request request, uint64_t handle, size_t size, off_t offset);
  // Readable while it has what the handle did not read yet.
  void Poll(Request request, uint64_t handle, PollHandle wanted);
  void Release(Request request, uint64_t handle);

  // From the agent. Wakes who polls.
  void Happened(const rpc::Events& events);

 private:
  static constexpr uint64_t kHandleBit = uint64_t{1} << 63;

  struct Opened {
    InfoFile file = InfoFile::kVersion;
    std::string content;  // but of events
    uint64_t from = 0;    // of events: where it begins
    uint64_t read = 0;    // up to where it was read, as a place in it
    PollHandle polled;    // who is to be told of more
  };
  std::string Content(InfoFile file) const;

  const View& view_;
  InodeTable& inodes_;
  const std::function<Reach()> reach_;
  // Where this daemon's handles and places begin: behind all that an earlier one on the same mount can have given out,
  // so that none of those is taken for one of ours.
  const uint64_t start_;
  EventFile events_;

  Handles<Opened> opened_;  // its lock comes before events_'s own
};

}  // namespace flocker
