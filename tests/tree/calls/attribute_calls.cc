// Calls that change and check attributes, and what sets them.
#include "tests/tree/calls/call_lists.h"

namespace flocker::testing {

const std::vector<CallList>& AttributeCalls() {
  static const std::vector<CallList> lists = {
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
      as 65534 chown f -1 -1
      mode f = 0555
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
      chown f 65534 65533
      chmod f 02706
      as 65534:65534,65533 open h f w
      as 65534:65534,65533 write h again
      mode f  # and leave it to who is in the file's group
      as 65532 open h f w
      as 65532 write h again
      mode f
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
  return lists;
}

}  // namespace flocker::testing
