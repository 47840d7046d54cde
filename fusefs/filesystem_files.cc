// Requests about open files and directories.
#include <poll.h>

#include <cerrno>
#include <utility>

#include "fusefs/filesystem.h"

namespace flocker {

void Filesystem::WithFile(Request request, uint64_t handle, FileWork work) {
  std::shared_ptr<OpenFile> file = files_.Find(handle);
  const auto left = file == nullptr ? files_.FindLeft(handle) : std::nullopt;
  if (left) {
    const auto dataset = view_.Find(left->dataset);
    if (dataset && dataset->serial != left->serial) return request.Error(ESTALE);
    auto when_in = [this, handle, work = std::move(work)](Request inside, LocalMount::Use in) mutable {
      const auto taken = files_.TakeUp(handle, std::move(in));
      const int error = taken == nullptr ? ESTALE : taken->Ready();
      error == 0 ? work(std::move(inside), *taken) : inside.Error(error);
    };
    return datasets_.Enter(std::move(request), {left->dataset, left->serial, std::move(when_in)});
  }
  if (file == nullptr) file = files_.Find(handle);  // taken up between the two looks
  if (file == nullptr) return request.Error(ESTALE);
  WorkerPool& workers = file->use->workers();
  workers.Submit([request = std::move(request), file = std::move(file), work = std::move(work)]() mutable {
    const int error = file->Ready();
    error == 0 ? work(std::move(request), *file) : request.Error(error);
  });
}

void Filesystem::CloseOnWorker(std::shared_ptr<OpenFile> file) {
  WorkerPool& workers = file->use->workers();
  workers.Submit([file = std::move(file)]() mutable { file.reset(); });
}

void Filesystem::Open(Request request, uint64_t id, int flags) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (node->kind == InodeKind::kInfoFile) return info_.Open(std::move(request), *node, flags);
  if (node->kind != InodeKind::kFile) return request.Error(EPERM);
  Inside(std::move(request), node, [this, node, flags](Request inside, LocalMount::Use in) {
    passthrough_.Open(std::move(inside), std::move(in), *node, flags);
  });
}

void Filesystem::Create(Request request, uint64_t parent, const std::string& name, mode_t mode, int flags) {
  const InodePtr node = inodes_.Find(parent);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Error(EPERM);
  Inside(std::move(request), node, [this, node, name, mode, flags](Request inside, LocalMount::Use in) {
    passthrough_.Create(std::move(inside), std::move(in), *node, name, mode, flags);
  });
}

void Filesystem::Read(Request request, uint64_t handle, size_t size, off_t offset, int flags) {
  if (InfoFiles::Owns(handle)) return info_.Read(std::move(request), handle, size, offset);
  WithFile(std::move(request), handle, [this, size, offset, flags](Request inside, OpenFile& file) {
    passthrough_.Read(std::move(inside), file, size, offset, flags);
  });
}

void Filesystem::Write(Request request, uint64_t handle, Passthrough::Write write) {
  WithFile(std::move(request), handle, [this, write = std::move(write)](Request inside, OpenFile& file) {
    passthrough_.DoWrite(std::move(inside), file, write);
  });
}

void Filesystem::Sync(Request request, uint64_t handle, bool data_only) {
  if (InfoFiles::Owns(handle)) return request.Error(0);  // nothing of it is anybody's to write
  WithFile(std::move(request), handle, [this, data_only](Request inside, OpenFile& file) {
    passthrough_.Sync(std::move(inside), file, data_only);
  });
}

void Filesystem::Allocate(Request request, uint64_t handle, int mode, off_t offset, off_t size) {
  WithFile(std::move(request), handle, [this, mode, offset, size](Request inside, OpenFile& file) {
    passthrough_.Allocate(std::move(inside), file, mode, offset, size);
  });
}

void Filesystem::Seek(Request request, uint64_t handle, off_t offset, int whence) {
  if (InfoFiles::Owns(handle)) return request.Error(EINVAL);  // SEEK_DATA and SEEK_HOLE; the kernel does the others
  WithFile(std::move(request), handle, [this, offset, whence](Request inside, OpenFile& file) {
    passthrough_.Seek(std::move(inside), file, offset, whence);
  });
}

void Filesystem::CopyRange(Request request, uint64_t from, off_t from_offset, uint64_t to, off_t to_offset, size_t size,
                           int flags) {
  // Makes the kernel read and write instead (fs/fuse/file.c, fuse_copy_file_range).
  if (InfoFiles::Owns(from)) return request.Error(EXDEV);
  std::shared_ptr<OpenFile> target = files_.Find(to);
  if (target == nullptr) return request.Error(ESTALE);
  WithFile(std::move(request), from,
           [this, target = std::move(target), from_offset, to_offset, size, flags](Request inside, OpenFile& file) {
             if (const int error = target->Ready(); error != 0) return inside.Error(error);
             passthrough_.CopyRange(std::move(inside), file, from_offset, *target, to_offset, size, flags);
           });
}

void Filesystem::Control(Request request, uint64_t id, uint64_t handle, Passthrough::Control control) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Error(ENOTTY);
  WithFile(std::move(request), handle, [this, control = std::move(control)](Request inside, OpenFile& file) {
    passthrough_.DoControl(std::move(inside), file, control);
  });
}

void Filesystem::Poll(Request request, uint64_t handle, PollHandle wanted) {
  if (InfoFiles::Owns(handle)) return info_.Poll(std::move(request), handle, std::move(wanted));
  request.Polled(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);  // poll(2): regular files are always ready
}

void Filesystem::Release(Request request, uint64_t handle) {
  if (InfoFiles::Owns(handle)) return info_.Release(std::move(request), handle);
  if (auto file = files_.Remove(handle)) CloseOnWorker(std::move(file));
  request.Error(0);  // nobody waits for it (the kernel sends RELEASE after close returned)
}

void Filesystem::OpenDirectory(Request request, uint64_t id) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return tree_.OpenDirectory(std::move(request), *node);
  auto work = [this, node](Request inside, LocalMount::Use in) {
    passthrough_.OpenDirectory(std::move(inside), std::move(in), *node);
  };
  Inside(std::move(request), node, std::move(work), /*listing=*/true);
}

void Filesystem::ReadDirectory(Request request, uint64_t id, uint64_t handle, size_t size, off_t offset) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return tree_.ReadDirectory(std::move(request), *node, handle, size, offset);
  WithFile(std::move(request), handle, [this, size, offset](Request inside, OpenFile& file) {
    passthrough_.ReadDirectory(std::move(inside), file, size, offset);
  });
}

void Filesystem::SyncDirectory(Request request, uint64_t id, uint64_t handle, bool data_only) {
  const InodePtr node = inodes_.Find(id);
  if (node == nullptr) return request.Error(ESTALE);
  if (!node->InsideDataset()) return request.Error(0);  // changes of the tree are durable when they return
  WithFile(std::move(request), handle, [this, data_only](Request inside, OpenFile& file) {
    passthrough_.SyncDirectory(std::move(inside), file, data_only);
  });
}

void Filesystem::ReleaseDirectory(Request request, uint64_t id, uint64_t handle) {
  const InodePtr node = inodes_.Find(id);
  if (node != nullptr && !node->InsideDataset()) return tree_.ReleaseDirectory(std::move(request), handle);
  Release(std::move(request), handle);
}

}  // namespace flocker
