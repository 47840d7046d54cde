// Calls that make, link, rename and remove names.
#include "tests/tree/calls/call_lists.h"

namespace flocker::testing {

const std::vector<CallList>& NameCalls() {
  static const std::vector<CallList> lists = {
      {"Mkdir", R"(
      umask 022 mkdir d 0777
      mode d = 0755
      umask 077 mkdir e 0777
      mode e = 0700
      nlink . = 4
      mkdir d 0755 = EEXIST
      mkdir f/g 0755 = ENOENT
      open f f creat,w 0644
      mkdir f 0755 = EEXIST
      mkdir f/g 0755 = ENOTDIR
      symlink nowhere s
      mkdir s 0755 = EEXIST
      mkdir <255> 0755
      mkdir <256> 0755 = ENAMETOOLONG
      mkdir <p:4096> 0755 = ENAMETOOLONG
      symlink l1 l2
      symlink l2 l1
      mkdir l1/d 0755 = ELOOP
      mkdir . 0755 = EEXIST
      mkdir d/.. 0755 = EEXIST
      as 65534 mkdir d/x 0755 = EACCES
      chown d 65534 65534
      mark d
      as 65534 mkdir d/x 0755
      changed d = mtime,ctime
      owner d/x = 65534:65534
      as 65533 mkdir d/x/y 0755 = EACCES
      chmod d 0
      as 65534 mkdir d/z 0755 = EACCES
      chmod d 0600
      as 65534 mkdir d/x/z 0755 = EACCES
    )"},
      {"Rmdir", R"(
      mkdir d 0755
      mkdir d/e 0755
      rmdir d = ENOTEMPTY
      mark d
      rmdir d/e
      changed d = mtime,ctime
      nlink d = 2
      rmdir d/e = ENOENT
      open f d/f creat,w 0644
      rmdir d = ENOTEMPTY
      rmdir d/f = ENOTDIR
      rmdir d/f/x = ENOTDIR
      symlink d s
      rmdir s = ENOTDIR
      rmdir <256> = ENAMETOOLONG
      symlink loop loop
      rmdir loop/x = ELOOP
      rmdir d/. = EINVAL
      rmdir d/.. = ENOTEMPTY
      mkdir d/g 0777
      as 65534 rmdir d/g = EACCES
      chmod d 01777
      as 65534 rmdir d/g = EPERM
      chown d/g 65534 65534
      as 65534 rmdir d/g
      mkdir h 0755
      open held h r,dir
      rmdir h
      fstat held = directory,0755,0,-
    )"},
      {"Open", R"(
      umask 022 open f f creat,rw 0666
      mode f = 0644
      owner f = 0:0
      open g f creat,excl,w 0644 = EEXIST
      open g none r = ENOENT
      open g f/x r = ENOTDIR
      open g . w = EISDIR
      open g . rw,creat 0644 = EISDIR
      open g . r
      open g f r,dir = ENOTDIR
      symlink f s
      open g s r,nofollow = ELOOP
      open g s w,creat,excl 0644 = EEXIST
      open g s r
      symlink none dangling
      open g dangling r = ENOENT
      open g dangling creat,w 0644
      type none = file
      symlink loop loop
      open g loop r = ELOOP
      open g <256> creat,w 0644 = ENAMETOOLONG
      open g <255> creat,w 0644
      open g <p:4096> r = ENAMETOOLONG
      mkfifo fifo 0644
      open g fifo w,nonblock = ENXIO
      mknod socket s 0644
      open g socket r = ENXIO
      write f hello
      mark f
      open g f w,trunc
      size f = 0
      changed f = mtime,ctime
      mark .
      open g f w,creat 0644
      changed . = nothing
      open g new w,creat 0644
      changed . = mtime,ctime
      as 65534 open g other w,creat 0644 = EACCES
      chmod f 0400
      as 65534 open g f r = EACCES
      chown f 65534 65533
      as 65534 open g f r
      as 65534 open g f w = EACCES
      as 65534 open g f r,trunc = EACCES
      chmod f 0060
      as 65534 open g f r = EACCES
      as 65532:65533 open g f rw
      as 65532:65532,65533 open g f rw
      as 65532 open g f r = EACCES
      chmod f 0006
      as 65534 open g f r = EACCES
      as 65532:65533 open g f r = EACCES
      as 65532 open g f rw
      as 65532 open g f r,noatime = EPERM
      open g f rw
      mode f = 0006
      as 65532 open g . r,path
      as 65532 open g 1 w,creat,append 0600 = EACCES
    )"},
      {"OpenByDescriptorKeepsItsRights", R"(
      open f f creat,rw 0000
      write f text
      mode f = 0000
      unlink f
      fstat f = file,0000,0,4
      ftruncate f 2
      fchmod f 0644
      fchown f 65534 65534
      fstat f = file,0644,0,2
      open w w creat,w 0644
      read w 1 = EBADF
      open r w r
      write r x = EBADF
      ftruncate r 0 = EINVAL
      chmod w 0
      as 65534 write w more
      size w = 4
    )"},
      {"Tmpfile", R"(
      umask 027 open t . tmpfile,rw 0666
      write t hidden
      fstat t = file,0640,0,6
      linkat t name
      fstat t = file,0640,1,6
      mode name = 0640
      open u . tmpfile,r 0644 = EINVAL
      open u name tmpfile,w 0644 = ENOTDIR
      as 65534 open u . tmpfile,w 0644 = EACCES
      open x . tmpfile,excl,w 0600
      linkat x other = ENOENT
      mkdir setgid 0777
      chown setgid 0 65533
      chmod setgid 02777
      as 65534 open y setgid tmpfile,w 0644
      linkat y setgid/y
      owner setgid/y = 65534:65533
    )"},
      {"Link", R"(
      open f f creat,w 0644
      mark f
      mark .
      link f g
      changed f = ctime
      changed . = mtime,ctime
      nlink f = 2
      link f g = EEXIST
      link none h = ENOENT
      link f none/h = ENOENT
      link f f/h = ENOTDIR
      link f/x h = ENOTDIR
      mkdir d 0755
      link d h = EPERM
      link f d/<256> = ENAMETOOLONG
      link <256> d/x = ENAMETOOLONG
      link f d = EEXIST
      symlink loop loop
      link loop/x d/h = ELOOP
      link f loop/x = ELOOP
      symlink f s
      link s t
      type t = symlink
      nlink s = 2
      chown f 65534 65534
      as 65534 link f d/h = EACCES
      chmod . 0777
      as 65534 link f h
      chmod h 0000
      unlink g
      nlink f = 2
      mkfifo p 0644
      link p q
      nlink p = 2
    )"},
      {"Symlink", R"(
      symlink target s
      target s = target
      mode s = 0777
      size s = 6
      symlink x s = EEXIST
      symlink x none/s = ENOENT
      open f f creat,w 0644
      symlink x f/s = ENOTDIR
      symlink x f = EEXIST
      symlink x <256> = ENAMETOOLONG
      symlink <256> longer
      symlink <p:4095> long
      symlink <p:4096> toolong = ENAMETOOLONG
      target f = EINVAL
      target none = ENOENT
      as 65534 symlink x y = EACCES
      umask 077 symlink x z
      mode z = 0777
      lchown s 65534 65534
      owner s = 65534:65534
      mark .
      symlink x new
      changed . = mtime,ctime
    )"},
      {"Unlink", R"(
      open f f creat,w 0644
      link f g
      mark g
      mark .
      unlink f
      nlink g = 1
      changed . = mtime,ctime
      changed g = ctime
      unlink f = ENOENT
      unlink g/x = ENOTDIR
      mkdir d 0755
      unlink d = EISDIR
      unlink <256> = ENAMETOOLONG
      symlink loop loop
      unlink loop/x = ELOOP
      unlink loop
      mkfifo p 0644
      unlink p
      mknod c c 0644
      unlink c
      open h d/h creat,w 0666
      as 65534 unlink d/h = EACCES
      chmod d 01777
      as 65534 unlink d/h = EPERM
      chown d/h 65534 65534
      as 65533 unlink d/h = EPERM
      as 65534 unlink d/h
      chown d 65533 65533
      open i d/i creat,w 0666
      as 65533 unlink d/i
      fstat i = file,0666,0,0
    )"},
      {"Rename", R"(
      open f f creat,w 0644
      mark f
      mark .
      rename f g
      changed . = mtime,ctime
      type g = file
      rename f h = ENOENT
      mkdir d 0755
      mkdir d/e 0755
      rename g d = EISDIR
      rename d g = ENOTDIR
      rename d d/e/x = EINVAL
      rename d d/e = EINVAL
      rename d/e d = ENOTEMPTY
      mkdir x 0755
      rename x d = ENOTEMPTY
      nlink . = 4
      rename x d/e
      nlink . = 3
      nlink d = 3
      rename d/. y = EBUSY
      rename d/.. y = EBUSY
      rename g g
      link g h
      rename g h
      type g = file
      rename g <255>
      rename <255> <256> = ENAMETOOLONG
      rename <255> g
      rename g h/x = ENOTDIR
      rename g none/x = ENOENT
      symlink loop loop
      rename g loop/x = ELOOP
      rename loop/x g = ELOOP
      rename loop other
      type other = symlink
      rename g other noreplace = EEXIST
      rename g d exchange
      type g = directory
      type d = file
      rename g none exchange = ENOENT
      open k k creat,w 0644
      open l l creat,w 0644
      rename k l
      fstat l = file,0644,0,0
      as 65534 rename l k = EACCES
      mkfifo p 0644
      rename p q
      mknod c c 0600
      rename c b
      rename b q
      type q = char
    )"},
      {"RenameInStickyDirectories", R"(
      chmod . 0777
      mkdir s 0777
      chmod s 01777
      mkdir t 0777
      chmod t 01777
      open f s/f creat,w 0644
      as 65534 rename s/f t/f = EPERM
      chown s/f 65534 65534
      as 65534 rename s/f t/f
      open g s/g creat,w 0644
      chown s/g 65533 65533
      as 65533 rename s/g t/f = EPERM
      chown t 65533 65533
      as 65533 rename s/g t/f
      mkdir s/d 0755
      chown s/d 65533 65533
      as 65533 rename s/d t/d
      mkdir u 0755
      chown u 65533 65533
      mkdir u/d 0755
      as 65533 rename u/d t/e = EACCES
      chmod u 0555
      as 65533 rename u/d t/e = EACCES
    )"},
  };
  return lists;
}

}  // namespace flocker::testing
