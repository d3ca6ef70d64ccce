#!/bin/bash
# Outputs on various file systems and with various names: errors before any work, replaced files, and
# files after a failure at the end. usage: tests/cli/outputs.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

model=$data/models/plain32 original=$data/models/original64.safetensors
one="sample $model --class 0 --steps 2 -q"
faults=$(dirname "$ditcl")/libfile_faults.so
loud() { echo "*** SKIPPED: $* ***" >&2; }
# is FILE TEXT FORMAT: stat must print this text for the file
is()
{
    local found
    found=$(stat -c "$3" "$1" 2>&1)
    if [ "$found" = "$2" ]; then passed=$((passed + 1)); else problem "$1 is $found, expected $2"; fi
}
# clean: no file may be left outside keep
clean()
{
    local left
    left=$(find . -mindepth 1 ! -path './keep*' ! -name out ! -name err)
    if [ -z "$left" ]; then passed=$((passed + 1)); else problem "left: $left"; fi
}
expect 0 "" $one --out keep/first.png # programs are built and stored

# ---- one file under two names ----
mkdir keep/d && ln -s d keep/e
for two in "a.png ./a.png" "keep/d/a.png keep/e/a.png" "keep/d/a.png keep/d/../e/a.png"; do
    expect 2 "are one file" $one --out ${two% *} --latents-out ${two#* }
done
expect 2 "--latents-out keep/d/a.npy ... --noise-out keep/e/a.npy" \
    $one --latents-out keep/d/a.npy --noise-out keep/e/a.npy
expect 2 "--out p-2.png ... --latents-out ./p-2.png" $one -n 4 --out p-%d.png --latents-out ./p-2.png
expect 2 "are one file" $one -n 4 --out keep/d/ --noise-out keep/e/000003.png
ln -s q-3.png keep/q-1.png
expect 2 "keep/q-1.png ... --out keep/q-3.png" $one -n 4 --out keep/q-%d.png
touch keep/a.npy && ln keep/a.npy keep/hard.npy && ln -s a.npy keep/soft.npy
expect 2 "are one file" $one --latents-out keep/a.npy --noise-out keep/hard.npy
expect 2 "are one file" $one --latents-out keep/soft.npy --noise-out keep/a.npy
expect 0 "" $one --out n.png --latents-out n.npy # names that differ
made n.png n.npy

# ---- links and modes ----
mkdir keep/t && echo old >keep/t/x.png && ln -s t/x.png keep/l.png && ln -s l.png keep/ll.png
ln -s t/new.png keep/new.png && ln -s none/x.png keep/none.png && ln -s loop.png keep/loop.png
expect 0 "" $one --out keep/ll.png
is keep/l.png "symbolic link" %F
is keep/ll.png "symbolic link" %F
cmp -s keep/first.png keep/t/x.png || problem "the link's target is not the picture"
expect 0 "" $one --out keep/new.png
cmp -s keep/first.png keep/t/new.png || problem "the link's new target is not the picture"
expect 1 "none: No such file" $one --out keep/none.png
expect 1 "symbolic links" $one --out keep/loop.png
for mode in 600 664 640; do
    chmod $mode keep/t/x.png
    expect 0 "" $one --out keep/l.png
    is keep/t/x.png $mode %a
done
chmod 444 keep/t/x.png
for name in keep/t/x.png keep/l.png; do expect 1 "write-protected (mode 444)" $one --out $name; done
echo '{}' >keep/c.safetensors && chmod 400 keep/c.safetensors
expect 1 "write-protected (mode 400)" convert "$original" keep/c.safetensors --heads 1
expect 1 "write-protected (mode 400)" init --arch DiT-S/8 keep/c.safetensors
touch keep/b.html keep/b.conf && chmod 444 keep/b.html keep/b.conf
expect 1 "write-protected" bench --arch DiT-S/8 --html keep/b.html
expect 1 "write-protected" tune --export keep/b.conf
(umask 077 && "$ditcl" $one --out keep/private.png)
is keep/private.png 600 %a
mkdir keep/empty && chmod 700 keep/empty && ln -s empty keep/le
expect 0 "" convert "$original" keep/le --vae "$model" --heads 1
is keep/le "symbolic link" %F
is keep/empty 700 %a
[ -s keep/empty/model_index.json ] || problem "the link's empty folder got no model"

# ---- names ----
long=$(printf 'n%.0s' {1..251})
expect 0 "" $one --out "$long.png"
made "$long.png"
expect 1 "name too long" $one --out "${long}n.png"
expect 0 "" convert "$original" "keep/${long}.abc" --vae "$model" --heads 1
[ -s "keep/${long}.abc/model_index.json" ] || problem "no model under a name of 255 bytes"
mkdir 100% 'a%d'
expect 0 "" $one --out 100%/x.png
expect 0 "" $one -n 2 --out '100%/y%02d.png'
expect 0 "" $one --out 'a%d'
expect 0 "" $one --out 'a%d/50%%.png'
expect 0 "" $one -n 2 --out 'a%d/%%%03d%%.png'
made 100%/x.png 100%/y00.png 100%/y01.png a%d/000000.png a%d/50%.png a%d/%000%.png a%d/%001%.png
rmdir 100% 'a%d'
for bad in 'a%' 'a%.png' '%5d.png' '%00d.png' '%d%%%d.png' '100%/%s.png'; do
    expect 2 "%0Nd" $one --out "$bad"
done
for name in notes.txt keep/first.png; do expect 2 "ends in .conf" tune --export $name; done
touch keep/plain
expect 2 "ends in .conf" tune --export keep/plain
expect 1 "device or pipe" $one --latents-out /dev/null

# ---- files that cannot be mapped, and truncated files ----
clean
if [ -f "$faults" ]; then
    faulty() # faulty "FAULTS" followed by the arguments of expect
    {
        local what=$1
        shift
        LD_PRELOAD=$faults FILE_FAULTS=$what expect "$@"
    }
    "$ditcl" $one --out keep/z.png --latents-out keep/z.npy
    for reason in ENODEV EACCES ENOMEM EPERM EINVAL; do
        faulty "mmap $reason .safetensors; mmap $reason .json; mmap $reason .npy" 0 "" \
            $one --latents-in keep/z.npy --latents-out keep/y1.npy --out keep/y1.png
    done
    "$ditcl" $one --latents-in keep/z.npy --latents-out keep/y2.npy --out keep/y2.png
    cmp -s keep/y1.npy keep/y2.npy || problem "a file that is read gives other latents than a mapped one"
    faulty "mmap ENODEV .png" 0 "" encode "$data/pictures/initial.png" keep/g.npy --vae "$data/models/separate48" -q
    faulty "mmap ENODEV .safetensors; pread SHORT .safetensors" 1 "became shorter" $one
    faulty "mmap ENODEV .npy; pread EIO .npy" 1 "Input/output error" $one --latents-in keep/z.npy
    # the shape in the header is checked before 1 TB of values is read
    printf '\x93NUMPY\1\0v\0%-118s' "{'descr': '<f4', 'fortran_order': False, 'shape': (274877906944,)}" >keep/big.npy
    if truncate -s 1099511627904 keep/big.npy; then
        faulty "mmap ENODEV .npy" 1 "has shape [274877906944]" $one --latents-in keep/big.npy
    fi
    head -c 100 "$data/pictures/initial.png" >keep/big.png
    if truncate -s 1099511627776 keep/big.png; then
        faulty "mmap ENODEV .png" 1 "larger than" encode keep/big.png a.npy --vae "$data/models/separate48"
    fi
    rm -f keep/big.*

    # ---- calls that a file system does not support ----
    for reason in ENOSYS EOPNOTSUPP EINVAL EROFS; do
        faulty "fsync $reason .png" 0 "" $one --out keep/f.png
        faulty "fchmod EPERM .; fchown EPERM .; fsync $reason ." 0 "" $one --out keep/f.png
    done
    faulty "write SHORT partial" 0 "" $one --out keep/f.png
    cmp -s keep/first.png keep/f.png || problem "short writes change the picture"
    faulty "fchmod EPERM .; fchown EPERM ." 0 "" $one --out new.png
    is new.png "$(printf '%o' $((0666 & ~$(umask))))" %a
    made new.png

    # ---- errors of disks: the message has the reason, the old file stays, no other file is left ----
    echo old >keep/old.png
    for fault in "write ENOSPC:No space left" "write EDQUOT:quota" "fsync EIO:Input/output" \
        "fsync ENOSPC:No space left" "close EDQUOT:quota" "write EIO:Input/output"; do
        faulty "${fault%:*} .png" 1 "keep/old.png: cannot write" $one --out keep/old.png
        says "${fault#*:}" err
    done
    says old keep/old.png
    for fault in "write ENOSPC:No space left" "fsync EIO:Input/output"; do # all commands
        faulty "${fault%:*} .npy" 1 "${fault#*:}" $one --noise-out n.npy
        faulty "${fault%:*} .npy" 1 "${fault#*:}" encode "$data/pictures/initial.png" e.npy --vae "$data/models/separate48"
        faulty "${fault%:*} .npy" 1 "${fault#*:}" decode "$model" --latents "$data/models/plain32-z.npy" --out d.npy
        faulty "${fault%:*} new" 1 "${fault#*:}" convert "$original" new.safetensors --heads 1
        faulty "${fault%:*} scheduler_config" 1 "new/scheduler/scheduler_config.json" convert "$original" new --vae "$model" --heads 1
        faulty "${fault%:*} .safetensors" 1 "${fault#*:}" convert "$original" new --vae "$model" --heads 1
        faulty "${fault%:*} .safetensors" 1 "${fault#*:}" init --arch DiT-S/8 new.safetensors
        faulty "${fault%:*} .conf" 1 "${fault#*:}" tune --export new.conf
    done
    clean

    # ---- a rename that fails loses nothing ----
    mkdir keep/one keep/other
    faulty "rename EXDEV .png; rename EXDEV .npy" 1 "keep/one/x.png ... Invalid cross-device" \
        $one --out keep/one/x.png --latents-out keep/other/y.npy
    says "kept in $(echo keep/one/ditcl-kept-*) and $(echo keep/other/ditcl-kept-*)" err
    rm -r keep/one keep/other
    "$ditcl" $one -n 2 --out keep/p%d.png
    for reason in EBUSY EXDEV EPERM; do
        LD_PRELOAD=$faults FILE_FAULTS="rename $reason .png" "$ditcl" $one -n 2 --out p%d.png --latents-out l.npy 2>err
        code=$?
        folder=$(sed -n 's/.*finished files are kept in //p' err)
        [ $code -eq 1 ] || problem "rename $reason: exit code $code"
        for i in 0 1; do
            cmp -s "$folder/p$i.png" keep/p$i.png || problem "rename $reason: p$i.png is lost: $(cat err)"
        done
        [ -s l.npy ] || problem "rename $reason: l.npy is lost"
        LD_PRELOAD=$faults FILE_FAULTS="rename $reason ." "$ditcl" $one --out q.png 2>>err
        folder=$(sed -n 's/.*finished files are kept in //p' err | tail -n 1)
        "$ditcl" $one --out r.png # another run must not remove it as a leftover
        cmp -s "$folder/q.png" r.png || problem "rename $reason of all: q.png is lost: $(cat err)"
        rm -r l.npy r.png ditcl-kept-* "$folder"
        LD_PRELOAD=$faults FILE_FAULTS="rename $reason new" "$ditcl" convert "$original" new --vae "$model" --heads 1 2>err
        folder=$(sed -n 's/.*finished files are kept in //p' err)
        "$ditcl" info "$folder/new" >out || problem "rename $reason: the model is lost"
        rm -r ditcl-kept-*
        clean
    done
else
    loud "no libfile_faults.so: failing file systems"
fi
(
    ulimit -f 4
    failed=0
    expect 1 "File too large" init --arch DiT-S/8 new.safetensors
    expect 1 "File too large" $one -n 9 --out sheet.png
    exit $failed
) || failed=$((failed + $?))
"$ditcl" info "$model" --json >/dev/full 2>err && problem "info to a full disk: exit code 0"
says "standard output: No space left on device" err
# a limit of 4 descriptors, some of which a test runner may use
(
    for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done
    ulimit -n 4 && exec "$ditcl" init --arch DiT-S/8 new.safetensors -q
) 2>err && problem "4 descriptors: exit code 0"
says "Too many open files" err

# ---- the next run removes files of a killed run, but not those of a run that still writes ----
left() { find . -maxdepth 1 -name '.ditcl-partial-*' | wc -l; }
wait_for() { for _ in {1..200}; do [ "$(left)" -ge "$1" ] && return; sleep 0.05; done; }
for signal in KILL SEGV ABRT; do
    "$ditcl" init --arch DiT-B/2 big.safetensors -q 2>err &
    pid=$!
    wait_for 1
    kill -$signal $pid
    wait $pid 2>/dev/null
    [ "$(left)" -eq 1 ] || problem "$signal: the run had ended, or left $(left)"
    expect 0 "" $one --out a.png
    made a.png
    clean
done
"$ditcl" convert keep/empty slow 2>err & # killed at once, whatever it has written
wait_for 1
kill -KILL $! 2>/dev/null
wait $! 2>/dev/null
rm -rf slow
expect 0 "" $one --out a.png
made a.png
clean
"$ditcl" init --arch DiT-B/2 big.safetensors -q &
pid=$!
wait_for 1
expect 0 "" $one --out a.png
[ "$(left)" -eq 1 ] || problem "the file of another run that still writes was removed"
wait $pid || problem "init beside another run: exit code $?"
made a.png big.safetensors
mkdir .ditcl-partial-mine .ditcl-partial-0123abcd-123456 && touch .ditcl-partial-mine/file .a.png.XXXXXX
touch .ditcl-partial-0123abcd-123456/file # from another boot, but just modified
chmod 700 .ditcl-partial-*
expect 0 "" $one --out a.png
[ -e .ditcl-partial-mine/file ] && [ -e .a.png.XXXXXX ] || problem "foreign hidden files were removed"
[ -e .ditcl-partial-0123abcd-123456/file ] || problem "a file that another machine may write was removed"
touch -d '8 days ago' .ditcl-partial-0123abcd-123456
expect 0 "" $one --out a.png
[ -e .ditcl-partial-0123abcd-123456 ] && problem "a leftover that is a week old was not removed"
rm -r .ditcl-partial-mine .a.png.XXXXXX
made a.png
clean

# ---- cases that only root can set up ----
if [ "$(id -u)" -ne 0 ]; then
    loud "not root: mount points, sticky folders, other users' files"
    finish
fi
as_nobody() { chmod 755 "$work" keep && setpriv --reuid 65534 --regid 65534 --clear-groups env -u POCL_CACHE_DIR -u MESA_SHADER_CACHE_DIR HOME="$work/keep/home" XDG_CACHE_HOME= XDG_CONFIG_HOME= "$@"; }
if [ -n "${OCL_ICD_VENDORS:-}" ]; then cp -r "$OCL_ICD_VENDORS" keep/icd && export OCL_ICD_VENDORS=$work/keep/icd; fi
mkdir keep/home keep/sticky keep/mine && chown 65534 keep/home keep/mine && chmod 1777 keep/sticky
if as_nobody true 2>err; then
    refused() # refused "PART" ARGUMENT...: user nobody runs ditcl, which must refuse
    {
        local part=$1
        shift
        as_nobody "$ditcl" "$@" >out 2>err
        [ $? -eq 1 ] || problem "as nobody: $*: $(cat err)"
        says "$part" err
    }
    touch keep/sticky/x.png keep/sticky/x.safetensors keep/mine/root.png && chmod 666 keep/sticky/*
    refused "belongs to another user" $one --out keep/sticky/x.png
    refused "belongs to another user" init --arch DiT-S/8 keep/sticky/x.safetensors
    refused "mode 644" $one --out keep/mine/root.png
    refused "folder keep/d: Permission denied" $one --out keep/d/x.png
    refused "folder keep/d: Permission denied" convert "$original" keep/d/new --vae "$model" --heads 1
    as_nobody "$ditcl" $one --out keep/sticky/new.png || problem "a new file in a sticky folder"
    rm -rf keep/sticky
else
    loud "setpriv is not permitted: other users' files: $(cat err)"
fi
echo old >keep/m.png && chown 65534:65534 keep/mine/root.png && chmod 640 keep/mine/root.png
expect 0 "" $one --out keep/mine/root.png
is keep/mine/root.png "65534 65534 640" "%u %g %a"
if mount --bind keep/m.png keep/m.png 2>err; then
    mkdir keep/volume && mount -t tmpfs -o size=64k tmpfs keep/volume
    inode=$(stat -c %i keep/m.png)
    expect 0 "keep/m.png ... mount point" ${one% -q} --out keep/m.png
    cmp -s keep/first.png keep/m.png || problem "the mounted file is not the picture"
    is keep/m.png "$inode" %i
    expect 0 "" $one --out keep/m.png
    says not "mount point" err
    mount -o remount,ro,bind keep/m.png
    expect 1 "Read-only file system" $one --out keep/m.png
    umount keep/m.png
    # a read-only folder with one writable file, as in containers
    mkdir keep/ro && touch keep/ro/m.npy keep/rw.npy && mount --bind keep/ro keep/ro &&
        mount -o remount,ro,bind keep/ro && mount --bind keep/rw.npy keep/ro/m.npy
    expect 0 "written in place" ${one% -q} --out n.png --latents-out keep/ro/m.npy
    [ -s keep/rw.npy ] || problem "nothing in the file of a read-only folder"
    made n.png
    expect 1 "Read-only file system" $one --out keep/ro/new.png
    umount keep/ro/m.npy keep/ro
    expect 1 "is a mount point" convert "$original" keep/volume --vae "$model" --heads 1
    says "keep/volume/model" err
    # a full disk
    expect 1 "No space left on device" convert "$original" keep/volume/new --vae "$model" --heads 1
    expect 1 "No space left on device" init --arch DiT-S/8 keep/volume/new.safetensors
    expect 1 "No space left on device" $one -n 100 --out keep/volume/sheet.png
    [ -z "$(ls -A keep/volume)" ] || problem "a full disk: left $(ls -A keep/volume)"
    umount keep/volume
else
    loud "mount is not permitted: mount points, full disks: $(cat err)"
fi
clean
finish
