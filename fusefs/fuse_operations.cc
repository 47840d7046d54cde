#include "fusefs/fuse_operations.h"

#include <cerrno>
#include <utility>

#include "fusefs/filesystem.h"
#include "fusefs/newer_requests.h"

namespace flocker {
namespace {

Filesystem& Of(fuse_req_t req) { return *static_cast<Filesystem*>(static_cast<SessionOwner*>(fuse_req_userdata(req))); }

constexpr unsigned kBackgroundRequests = 4096;

// Whoever changes what is asked for here changes kSavedVersion: a successor must agree with what its predecessor told
// the kernel.
void Init(void*, fuse_conn_info* connection) {
  connection->max_write = kMaxWrite;
  // Inodes are revived by lookups from the top, never by number alone.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_EXPORT_SUPPORT);
  // Payloads are kept where they were received (in_flight.h), not in a pipe; and every answer passes there.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ);
  // The native path writes to the same files: nothing may be held back or believed for longer than a request.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_WRITEBACK_CACHE);
  // umask and default ACLs are ext4's to apply; setuid and setgid bits too, which fuse_device.h has to say.
  const unsigned wanted = FUSE_CAP_DONT_MASK | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ATOMIC_O_TRUNC;
  connection->want |= wanted & connection->capable;
  // The kernel has one limit of reads ahead and mapped pages in flight for the whole mount, by default 12: the stuck
  // ones of a paused dataset would use it up for everybody.
  connection->max_background = kBackgroundRequests;
  connection->congestion_threshold = kBackgroundRequests;
}

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) { Of(req).Lookup(Request(req), parent, name); }

void Forget(fuse_req_t req, fuse_ino_t node, uint64_t lookups) {
  Of(req).Forget(node, lookups);
  Request(req).Forgotten();
}

void ForgetMulti(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) Of(req).Forget(forgets[i].ino, forgets[i].nlookup);
  Request(req).Forgotten();
}

// Some requests tell the handle they were made through (the header's comments are older than that).
std::optional<uint64_t> HandleOf(const fuse_file_info* info) {
  return info == nullptr ? std::nullopt : std::optional<uint64_t>(info->fh);
}

void GetAttr(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  Of(req).GetAttributes(Request(req, IsStatx() ? Request::Form::kStatx : Request::Form::kUsual), node, HandleOf(info));
}

void SetAttr(fuse_req_t req, fuse_ino_t node, struct stat* to, int which, fuse_file_info* info) {
  Of(req).SetAttributes(Request(req), node, *to, which, HandleOf(info));
}

void ReadLink(fuse_req_t req, fuse_ino_t node) { Of(req).ReadLink(Request(req), node); }

void MkNod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  Of(req).MakeNode(Request(req), parent, name, mode, device);
}

void MkDir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  Of(req).MakeDirectory(Request(req), parent, name, mode);
}

void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) { Of(req).Unlink(Request(req), parent, name); }

void RmDir(fuse_req_t req, fuse_ino_t parent, const char* name) { Of(req).RemoveDirectory(Request(req), parent, name); }

void SymLink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  Of(req).MakeSymlink(Request(req), parent, name, target);
}

void Rename(fuse_req_t req, fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name, unsigned flags) {
  Of(req).Rename(Request(req), from, name, to, new_name, flags);
}

void Link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  Of(req).Link(Request(req), node, parent, name);
}

void Open(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) { Of(req).Open(Request(req), node, info->flags); }

void Create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
  Of(req).Create(Request(req), parent, name, mode, info->flags);
}

void Read(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  Of(req).Read(Request(req), info->fh, size, offset, info->flags);
}

void Write(fuse_req_t req, fuse_ino_t, const char* data, size_t size, off_t offset, fuse_file_info* info) {
  Of(req).Write(Request(req), info->fh, {data, size, offset, info->flags, info->writepage != 0});
}

void FSync(fuse_req_t req, fuse_ino_t, int data_only, fuse_file_info* info) {
  Of(req).Sync(Request(req), info->fh, data_only != 0);
}

void FAllocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t size, fuse_file_info* info) {
  Of(req).Allocate(Request(req), info->fh, mode, offset, size);
}

void LSeek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  Of(req).Seek(Request(req), info->fh, offset, whence);
}

void CopyFileRange(fuse_req_t req, fuse_ino_t, off_t from_offset, fuse_file_info* from, fuse_ino_t, off_t to_offset,
                   fuse_file_info* to, size_t size, int flags) {
  Of(req).CopyRange(Request(req), from->fh, from_offset, to->fh, to_offset, size, flags);
}

void IoCtl(fuse_req_t req, fuse_ino_t node, unsigned command, void*, fuse_file_info* info, unsigned, const void* in,
           size_t in_size, size_t out_size) {
  const std::string_view argument(static_cast<const char*>(in), in == nullptr ? 0 : in_size);
  Of(req).Control(Request(req), node, info->fh, {command, std::string(argument), out_size});
}

void Poll(fuse_req_t req, fuse_ino_t, fuse_file_info* info, fuse_pollhandle* wanted) {
  Of(req).Poll(Request(req), info->fh, PollHandle(wanted));
}

void Release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) { Of(req).Release(Request(req), info->fh); }

void OpenDir(fuse_req_t req, fuse_ino_t node, fuse_file_info*) { Of(req).OpenDirectory(Request(req), node); }

void ReadDir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* info) {
  Of(req).ReadDirectory(Request(req), node, info->fh, size, offset);
}

void FSyncDir(fuse_req_t req, fuse_ino_t node, int data_only, fuse_file_info* info) {
  Of(req).SyncDirectory(Request(req), node, info->fh, data_only != 0);
}

void ReleaseDir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  Of(req).ReleaseDirectory(Request(req), node, info->fh);
}

void StatFs(fuse_req_t req, fuse_ino_t node) { Of(req).Statfs(Request(req), node); }

void Access(fuse_req_t req, fuse_ino_t node, int mask) { Of(req).Access(Request(req), node, mask); }

void GetXattr(fuse_req_t req, fuse_ino_t node, const char* name, size_t room) {
  Of(req).GetXattr(Request(req), node, name, room);
}

void ListXattr(fuse_req_t req, fuse_ino_t node, size_t room) { Of(req).ListXattr(Request(req), node, room); }

void SetXattr(fuse_req_t req, fuse_ino_t node, const char* name, const char* value, size_t size, int flags) {
  Of(req).SetXattr(Request(req), node, name, std::string(value, size), flags);
}

void RemoveXattr(fuse_req_t req, fuse_ino_t node, const char* name) { Of(req).RemoveXattr(Request(req), node, name); }

fuse_lowlevel_ops MakeOperations() {
  fuse_lowlevel_ops ops{};
  ops.init = Init;
  ops.lookup = Lookup;
  ops.forget = Forget;
  ops.forget_multi = ForgetMulti;
  ops.getattr = GetAttr;
  ops.setattr = SetAttr;
  ops.readlink = ReadLink;
  ops.mknod = MkNod;
  ops.mkdir = MkDir;
  ops.unlink = Unlink;
  ops.rmdir = RmDir;
  ops.symlink = SymLink;
  ops.rename = Rename;
  ops.link = Link;
  ops.open = Open;
  ops.create = Create;
  ops.read = Read;
  ops.write = Write;
  ops.fsync = FSync;
  ops.fallocate = FAllocate;
  ops.lseek = LSeek;
  ops.copy_file_range = CopyFileRange;
  ops.ioctl = IoCtl;
  ops.poll = Poll;
  ops.release = Release;
  ops.opendir = OpenDir;
  ops.readdir = ReadDir;
  ops.fsyncdir = FSyncDir;
  ops.releasedir = ReleaseDir;
  ops.statfs = StatFs;
  ops.access = Access;
  ops.getxattr = GetXattr;
  ops.listxattr = ListXattr;
  ops.setxattr = SetXattr;
  ops.removexattr = RemoveXattr;
  return ops;
}

}  // namespace

const fuse_lowlevel_ops& FuseOperations() {
  static const fuse_lowlevel_ops ops = MakeOperations();
  return ops;
}

}  // namespace flocker
