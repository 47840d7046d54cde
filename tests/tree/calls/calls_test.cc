// The list of what POSIX and Linux ask of the filesystem calls (what the public pjdfstest suite checks, in our own
// words). Each script runs on a directory of the tree and on one of the native ext4: both must answer what the script
// says, and all else that can be seen must be equal.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_join.h"
#include "tests/harness/two_paths.h"
#include "tests/tree/calls/script.h"

namespace flocker::testing {

struct CallList {
  const char* name;
  const char* script;
};
void PrintTo(const CallList& list, std::ostream* out) { *out << list.name; }

namespace {

class Calls : public ::testing::TestWithParam<CallList> {};

TEST_P(Calls, AnswerAsExt4Does) {
  TwoPaths& paths = SharedTwoPaths();
  ASSERT_TRUE(paths.ready());
  const TwoPaths::Pair pair = paths.MakePair();
  const Outcome native = RunScript(GetParam().script, pair.native);
  EXPECT_TRUE(native.failures.empty()) << "ext4 itself answers otherwise:\n" << absl::StrJoin(native.failures, "\n");
  const Outcome tree = RunScript(GetParam().script, pair.tree);
  EXPECT_TRUE(tree.failures.empty()) << "in the tree:\n" << absl::StrJoin(tree.failures, "\n");
  EXPECT_EQ(tree.lines, native.lines);
}

constexpr CallList kLists[] = {
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
    {"Chmod", R"(
      open f f creat,w 0644
      mark f
      chmod f 0111
      changed f = ctime
      mode f = 0111
      mkdir d 0755
      chmod d 07777
      mode d = 7777
      symlink f s
      chmod s 0222
      mode f = 0222
      chmod none 0644 = ENOENT
      chmod f/x 0644 = ENOTDIR
      chmod <256> 0644 = ENAMETOOLONG
      symlink loop loop
      chmod loop 0644 = ELOOP
      as 65534 chmod f 0644 = EPERM
      chmod d 0700
      open g d/g creat,w 0644
      as 65534 chmod d/g 0644 = EACCES
      chown f 65534 65534
      as 65534 chmod f 0755
      mark f
      as 65533 chmod f 0644 = EPERM
      changed f = nothing
      as 65534 chmod f 06755
      mode f = 6755
      chown f 65534 65533
      as 65534 chmod f 02755
      mode f = 0755
      as 65534:65534,65533 chmod f 02755
      mode f = 2755
      as 65534 chmod f 01644
      mode f = 1644
    )"},
    {"Chown", R"(
      open f f creat,w 0644
      mark f
      chown f 65534 65533
      changed f = ctime
      owner f = 65534:65533
      chown f -1 65532
      owner f = 65534:65532
      as 65534 chown f 65533 65532 = EPERM
      as 65534 chown f -1 65531 = EPERM
      as 65534:65534,65531 chown f -1 65531
      owner f = 65534:65531
      as 65534 chown f 65534 65534
      as 65533 chown f -1 65533 = EPERM
      as 65533 chown f -1 -1
      chmod f 06555
      as 65534 chown f -1 65534
      mode f = 0555
      chmod f 06555
      chown f 0 0
      mode f = 0555
      chmod f 02644
      chown f 0 0
      mode f = 2644
      mkdir d 0755
      chmod d 06755
      chown d 65534 65534
      mode d = 6755
      symlink f s
      chown s 65530 65530
      owner f = 65530:65530
      lchown s 65529 65529
      owner f = 65530:65530
      owner s = 65529:65529
      chown none 0 0 = ENOENT
      chown f/x 0 0 = ENOTDIR
      chown <256> 0 0 = ENAMETOOLONG
      symlink loop loop
      chown loop 0 0 = ELOOP
      as 65534 chown d/. 65534 65534
    )"},
    {"Truncate", R"(
      open f f creat,rw 0644
      truncate f 1234567
      size f = 1234567
      mark f
      truncate f 567
      changed f = mtime,ctime
      mark f
      truncate f 567
      changed f = mtime,ctime
      ftruncate f 0
      size f = 0
      truncate f -1 = EINVAL
      truncate none 0 = ENOENT
      truncate f/x 0 = ENOTDIR
      truncate . 0 = EISDIR
      truncate <256> 0 = ENAMETOOLONG
      symlink loop loop
      truncate loop 0 = ELOOP
      symlink f s
      truncate s 10
      size f = 10
      as 65534 truncate f 0 = EACCES
      chmod f 0666
      as 65534 truncate f 0
      chmod f 06777
      as 65534 truncate f 5
      mode f = 0777
      chmod f 06777
      truncate f 6
      mode f = 6777
      mkfifo p 0644
      truncate p 0 = EINVAL
      ffallocate f 0 100
      size f = 100
      ffallocate f 10 0 = EINVAL
      ffallocate f -1 5 = EINVAL
    )"},
    {"SetuidBitsGoWithAWrite", R"(
      chmod . 0777
      open f f creat,w 0777
      chmod f 06777
      write f root
      mode f = 6777
      as 65534 open g f w
      as 65534 write g user
      mode f = 0777
      chmod f 02766
      as 65534 write g user
      mode f  # newer kernels take a setgid bit away that only locks, too
      chmod f 06777
      as 65534 open h f w,trunc
      mode f = 0777
      as 65534 open s s creat,rw 06777
      mode s = 6777
    )"},
    {"MkfifoAndMknod", R"(
      umask 022 mkfifo p 0666
      mode p = 0644
      mkfifo p 0644 = EEXIST
      mkfifo p/x 0644 = ENOTDIR
      mkfifo none/x 0644 = ENOENT
      mkfifo <256> 0644 = ENAMETOOLONG
      symlink loop loop
      mkfifo loop/x 0644 = ELOOP
      as 65534 mkfifo x 0644 = EACCES
      mknod c c 0666
      mknod b b 0666
      type c = char
      type b = block
      chmod . 0777
      as 65534 mknod d c 0644 = EPERM
      as 65534 mknod e f 0644
      owner e = 65534:65534
      as 65534 mknod s s 0644
      type s = socket
      mark .
      mkfifo q 0644
      changed . = mtime,ctime
      open x c r = EACCES
      open x b r = EACCES
    )"},
    {"Utimens", R"(
      open f f creat,w 0644
      mark f
      utimens f 1000000 2000000
      changed f = atime,mtime,ctime
      times f = 1000000,2000000
      utimens f omit 3000000
      times f = 1000000,3000000
      mark f
      utimens f omit omit
      changed f = nothing
      utimens f now omit
      utimens f -5 -6.5
      times f = -5,-6
      utimens f 5000000000 1.999999999
      symlink f s
      lutimens s 7 8
      times s = 7,8
      utimens s 9 10
      times f = 9,10
      as 65534 utimens f 1 1 = EPERM
      as 65534 utimens f now now = EACCES
      chmod f 0666
      as 65534 utimens f now now
      as 65534 utimens f now omit = EPERM
      as 65534 utimens f 1 1 = EPERM
      chown f 65534 65534
      chmod f 0
      as 65534 utimens f 1 1
      as 65534 utimens f now now
      utimens none 1 1 = ENOENT
      utimens f 1 1.1000000000 = EINVAL
      mkdir d 0755
      utimens d 11 12
      times d = 11,12
    )"},
    {"AccessAndExec", R"(
      open f f creat,w 0640
      close f
      chown f 65534 65533
      access f f
      as 65534 access f rw
      as 65534 access f x = EACCES
      as 65532:65533 access f r
      as 65532:65532,65533 access f r
      as 65532:65533 access f w = EACCES
      as 65532 access f r = EACCES
      access f x = EACCES
      as 65532 access f f
      as 65532 exec f = EACCES
      exec f = EACCES
      chmod f 0750
      exec f = ENOEXEC
      as 65534 exec f = ENOEXEC
      as 65532 exec f = EACCES
      mkdir d 0700
      as 65534 access d/x f = EACCES
      as 65534 chdir d = EACCES
      chmod d 0711
      as 65534 chdir d
      as 65534 ls d = EACCES
      chmod d 0744
      as 65534 ls d
      as 65534 chdir d = EACCES
      access none f = ENOENT
      access f/x f = ENOTDIR
      access <256> f = ENAMETOOLONG
    )"},
    {"SetgidDirectories", R"(
      mkdir d 0777
      chown d 0 65533
      chmod d 02777
      as 65534 mkdir d/sub 0755
      owner d/sub = 65534:65533
      mode d/sub = 2755
      as 65534 open f d/f creat,w 02755
      owner d/f = 65534:65533
      mode d/f = 0755
      as 65534:65534,65533 open g d/g creat,w 02755
      mode d/g = 2755
      as 65534 symlink x d/s
      owner d/s = 65534:65533
      as 65534 mkfifo d/p 0644
      owner d/p = 65534:65533
      as 65534 mknod d/n f 02777
      mode d/n = 0777
    )"},
    {"Appending", R"(
      open a f creat,w,append 0644
      open b f w,append
      write a one
      write b two
      write a three
      size f = 11
      open r f r
      read r 20 = onetwothree
      read r 20
      open w f w
      write w X
      size f = 11
    )"},
};

INSTANTIATE_TEST_SUITE_P(List, Calls, ::testing::ValuesIn(kLists),
                         [](const auto& list) { return std::string(list.param.name); });

}  // namespace
}  // namespace flocker::testing
