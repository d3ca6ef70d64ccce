#!/bin/bash
# The commands as a user types them: exit codes, messages, names of outputs, and no incomplete file.
# usage: tests/cli/commands.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

model=$data/models/separate48
fast="--steps 2 -q"
mkdir folder series0

# help and misuse of the command line
expect 2 "no command"
expect 0 "usage: ditcl" --help
expect 0 "usage: ditcl sample" sample --help
expect 0 "usage: ditcl decode" decode --help
expect 0 "usage: ditcl devices" devices -h
expect 0 "ditcl" --version
expect 2 "did you mean ditcl sample" smaple
# a page explains each option of --help
root=$(dirname "$data")/..
for command in sample decode encode info init convert devices bench tune check; do
    for word in $("$ditcl" $command --help | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
        grep -qE -- "$word\b" "$root/README.md" "$root"/docs/*.md "$root/cl/devices/README.md" ||
            [ "$word" = --help ] || problem "no page explains ditcl $command $word"
    done
done
expect 2 "MODEL is missing" sample
expect 2 "did you mean --class" sample "$model" --clas 1
expect 2 "--class needs a value" sample "$model" --class
expect 2 "takes no value" sample "$model" --quiet=1
expect 2 'unexpected argument "more"' sample "$model" more
expect 2 "0 to 4" sample "$model" --class 5
expect 2 "a name is missing" sample "$model" --class 1,,2
expect 2 "--steps" info "$model" --steps 5
expect 2 "steps" sample "$model" --steps 0
expect 2 "steps" sample "$model" --steps 10x
expect 2 "steps" sample "$model" --steps -3
expect 2 "1000" sample "$model" --steps 1001
expect 2 "-n" sample "$model" -n 0
expect 2 "-n" sample "$model" -n 1.5
expect 2 "seed" sample "$model" --seed -1
expect 2 "seed" sample "$model" --seed 18446744073709551616
expect 2 "cfg" sample "$model" --cfg nan
expect 2 "cfg" sample "$model" --cfg 3x
expect 2 "eta" sample "$model" --eta 1.1
expect 2 "ddpm, ddim, dpm++, euler" sample "$model" --sampler plms
expect 2 "ddim sampler" sample "$model" --sampler euler --eta 0.5
expect 2 "sde sampler" sample "$model" --sampler ddim --diffusion linear
expect 2 "not for DiT" sample "$model" --class 1 --sampler sde
expect 2 "not for SiT" sample "$data/models/sit24" --class 1 --sampler dpm++
expect 2 "diffusion sbdm" sample "$data/models/sit24" --class 1 --sampler sde --diffusion sbdm
expect 2 "only to a single file" sample "$model" --model-type sit
expect 2 "only with --model-type sit" sample "$model" --path VP
expect 2 "Linear, GVP, VP" sample "$model" --path linear
expect 2 "is a SiT" sample "$data/models/sit24" --compat diffusers
expect 2 "timestep 500 twice" sample "$model" --class 1 --sampler dpm++ --steps 1000
expect 2 "between the commas" sample "$model" --compat original --steps 10,x
expect 2 "original arithmetic" sample "$model" --steps 10,10
expect 2 "LO,HI" sample "$model" --guidance-interval 5
expect 2 "LO,HI" sample "$model" --guidance-interval 5,3
expect 2 "LO,HI" sample "$model" --guidance-interval 5,x
expect 2 "--latents-in" sample "$model" --class 1 --invert
expect 2 "makes no picture" sample "$model" --class 1 --invert --latents-in "$data/models/separate48-in.npy" --latents-out n.npy --out n.png
expect 2 "cannot be inverted" sample "$model" --class 1 --invert --sampler heun --latents-in "$data/models/separate48-in.npy" --latents-out n.npy
expect 2 "eta" sample "$model" --class 1 --invert --eta 0.5 --latents-in "$data/models/separate48-in.npy" --latents-out n.npy
expect 2 "needs --image" sample "$model" --mask "$data/pictures/mask.png"
image="--image $data/pictures/initial.png"
expect 2 "leaves none of the 10 steps" sample "$model" --class 1 --sampler heun --steps 10 $image --strength 0.05
expect 2 "takes no --image" sample "$model" --class 1 --invert $image --latents-in "$data/models/separate48-in.npy" --latents-out n.npy
expect 2 "only with --interpolate" sample "$model" --class 1 --seed-to 2
expect 2 "two classes, or one" sample "$model" --class 1,2,3 --interpolate 4
expect 2 "-n 2" sample "$model" --class 1 --interpolate 4 --seed-to 2 -n 2
expect 2 "3, all" sample "$model" --cfg-channels 4
expect 2 "original, diffusers" sample "$model" --compat other
expect 2 "auto, fp32" sample "$model" --precision fp8
expect 2 "only the ddim" sample "$model" --sampler ddpm --eta 0.5
expect 2 "no such device" sample "$model" --device nothing-like-this
expect 2 "expected 0 to" sample "$model" --device 99
expect 2 "no such device" sample "$model" --device 9:9
expect 2 "%d" sample "$model" --out 'a%s.png'
expect 2 "%d" sample "$model" --out 'a%d%d.png'
expect 2 "%d" sample "$model" --out 'a%5d.png'
expect 2 "PNG" sample "$model" --out a.gif
expect 2 "PNG" sample "$model" --out a.npy
expect 2 "--out a.png ... --latents-out a.png" sample "$model" --out a.png --latents-out a.png
expect 2 "--out a.png ... --noise-out a.png" sample "$model" --out a.png --noise-out a.png
expect 2 "are one file" sample "$model" --latents-out a.npy --noise-out a.npy
expect 2 "torch-cpu, torch-cpu-scalar" sample "$model" --rng cuda
expect 2 "multiprocessors" sample "$model" --rng torch-cuda:0
expect 2 "multiprocessors" sample "$model" --rng torch-cuda:68x100
expect 2 "torch-cuda:108" sample "$model" --rng torch-cuda --class 0 -n 65
expect 2 "torch-cuda:108" sample "$model" --rng torch-cuda --class 0 -n 40 --sampler ddpm --compat original
expect 2 "--heads" sample "$model" --heads 2
expect 2 "--heads H" sample "$data/models/original64.safetensors"
expect 2 "has no VAE" sample "$data/models/original64.safetensors" --heads 2
expect 2 "latents" decode "$model"
expect 0 "usage: ditcl encode" encode --help
expect 2 "IN.png is missing" encode
expect 2 "OUT.npy is missing" encode a.png
expect 2 "--vae PATH is missing" encode a.png a.npy
expect 2 "needs --image" sample "$model" --mask a.png
expect 2 "needs --image" sample "$model" --strength 0.5
expect 2 "needs --image" sample "$model" --fit
expect 2 "0 to 1" sample "$model" --image a.png --strength 1.5
expect 2 "two classes" sample "$model" --class 1 --interpolate 3
expect 2 "how many pictures" sample "$model" --class 1 -n 2 --interpolate 3
expect 2 "two classes" sample "$model" --class 1,2,3 --interpolate 3 --seed-to 5
expect 2 "2 to 1000" sample "$model" --class 1,2 --interpolate 1
expect 2 "only with --interpolate" sample "$model" --class 1,2 --seed-to 4
expect 2 "an integer" sample "$model" --class 1,2 --interpolate 3 --seed-to -4
expect 0 "usage: ditcl bench" bench --help
expect 2 "no MODEL and no --arch" bench
expect 2 "one MODEL" bench "$model" emoji
expect 2 "combined with the MODEL" bench "$model" --arch DiT-S/2
expect 2 "DiT-XL/2" bench --arch DiT-XL/3
expect 2 "DiT-XL, then" bench --arch DiT-S/2-incontext
expect 0 "usage: ditcl init" init --help
expect 2 "OUT.safetensors is missing" init --arch DiT-S/8
expect 2 "--arch NAME is missing" init a.safetensors
expect 2 "expected DiT-S" init --arch DiT-S/3 a.safetensors
expect 2 "only .safetensors" init --arch DiT-S/8 a.pt
expect 2 "only .safetensors" init --arch DiT-S/8 .safetensors
expect 2 "fp32, fp16" init --arch DiT-S/8 --dtype fp8 a.safetensors
expect 2 "256, 512" init --arch DiT-S/8 --image-size 128 a.safetensors
expect 2 "1 to 10000000" init --arch DiT-S/8 --num-classes 0 a.safetensors
expect 2 "seed" init --arch DiT-S/8 --seed -1 a.safetensors
expect 1 "folder" init --arch DiT-S/8 missing/a.safetensors
expect 0 "" init --arch DiT-S/8-in-context --dtype fp16 --num-classes 5 --seed 2 keep/new.safetensors
expect 0 "conditioning in-context" info keep/new.safetensors --vae "$data/models/separate48"
expect 0 "no VAE in this file" info keep/new.safetensors
expect 0 '"vae": null' info keep/new.safetensors --json
rm keep/new.safetensors
expect 0 "MB on a plain GPU" info "$model"
expect 0 "MB on a plain CPU" info "$model" --kernels cpu
expect 0 '"memory_device": "a plain GPU"' info "$model" --json
expect 0 "MB on " info "$model" --device 0
says not "plain" out
expect 2 "needs --device" info "$model" --precision bf16
expect 2 "no MODEL and no --arch" info
expect 2 "one MODEL" info "$model" emoji
expect 2 "combined with the MODEL" info "$model" --arch DiT-S/2
expect 2 "expected DiT-S" info --arch DiT-S
expect 2 "256, 512" info --arch DiT-S/2 --image-size 1024
expect 2 "only to --arch" info "$model" --image-size 256
expect 2 "only to a MODEL" info --arch DiT-S/2 --heads 6
expect 0 "32963360 (32.96 M)" info --arch DiT-S/2
expect 0 "137.63 Gflops" info --arch DiT-XL/2-cross-attention
expect 0 '"parameters": 676014368' info --arch DiT-XL/2 --image-size 512 --json
expect 0 '"design": "in-context"' info --arch DiT-B/8-in-context --json
expect 2 "256, 512" bench --arch DiT-S/2 --image-size 300
expect 2 "only to --arch" bench "$model" --image-size 256
expect 2 "only to a MODEL" bench --arch DiT-S/2 --heads 2
expect 2 "forward, modulation" bench "$model" --only nonsense
expect 2 "a name is missing" bench "$model" --only forward,
expect 2 "repeat" bench "$model" --repeat 0
expect 2 ".html" bench "$model" --html notes.txt

# files that cannot be read or written
expect 1 "no such model" sample nothing-like-this
expect 1 "folder" sample "$model" --out missing/a.png
expect 1 "folder" sample "$model" --out missing/
expect 1 "folder" sample "$model" --latents-out missing/a.npy
expect 1 "folder" sample "$model" --class 1,2 --out 'series%d/a.png'
expect 1 "too large" sample "$model" --class 1 -n 900000 --out a.png
expect 1 "device or pipe" sample "$model" --out /dev/null
expect 1 "folder" bench "$model" --html missing/page.html
expect 1 "no such model" bench nothing-like-this --html page.html
expect 1 "No such file" sample "$model" --latents-in missing.npy
expect 1 "not a .npy" sample "$model" --latents-in "$model/model_index.json"
expect 1 "shape" sample "$model" --class 1 --latents-in "$data/models/separate48-decode.npy"
expect 1 "[10,1,4,8,8]" sample "$model" --class 1 --steps 10 --noise-in "$data/models/separate48-in.npy"
expect 1 "No such file" sample "$model" --noise-in missing.npy
expect 1 "folder" sample "$model" --noise-out missing/a.npy
expect 1 "shape" decode "$model" --latents "$data/models/separate48-decode.npy"
pictures=$data/pictures
expect 1 "No such file" encode missing.png a.npy --vae "$model"
expect 1 "not a PNG" encode "$model/model_index.json" a.npy --vae "$model"
expect 2 "multiples of 2" encode "$pictures/png/bomb.png" a.npy --vae "$model"
head -c 300 "$pictures/initial.png" >keep/cut.png
expect 1 "damaged" encode keep/cut.png a.npy --vae "$model"
expect 1 "no such model" encode "$pictures/initial.png" a.npy --vae nothing-like-this
expect 1 "holds no encoder" encode "$pictures/initial.png" a.npy --vae "$data/models/plain32"
expect 1 "folder" encode "$pictures/initial.png" missing/a.npy --vae "$model"
expect 2 "multiples of 2" encode "$pictures/png/grey.png" a.npy --vae "$model"
expect 1 "not a PNG" sample "$model" --class 1 --image "$model/model_index.json"
expect 1 "holds no encoder" sample "$data/models/plain32" --class 1 --image "$pictures/initial.png"
expect 2 "draws 16 x 16" sample "$model" --class 1 --image "$pictures/png/grey.png"
expect 2 "draws 16 x 16" sample "$model" --class 1 --image "$pictures/initial.png" --mask "$pictures/png/grey.png"
expect 2 "leaves none" sample "$model" --class 1 --image "$pictures/initial.png" --strength 0.05 --steps 10
python3 - >keep/black.png <<'END'
import struct, sys, zlib
chunk = lambda kind, data: (struct.pack(">I", len(data)) + kind + data +
                            struct.pack(">I", zlib.crc32(kind + data)))
sys.stdout.buffer.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)) +
                        chunk(b"IDAT", zlib.compress(bytes(17 * 16))) + chunk(b"IEND", b""))
END
expect 2 "nothing in it is white" sample "$model" --class 1 --image "$pictures/initial.png" --mask keep/black.png
OCL_ICD_VENDORS=$work/keep expect 1 "no OpenCL" sample "$model"
OCL_ICD_VENDORS=$work/keep expect 1 "install" devices

# outputs, in all forms
expect 0 '"id": "0:0"' devices --json
expect 0 '"gflops"' info "$model" --json
expect 0 "parameters" info "$model"
expect 0 "heun, SiT: GVP path, velocity" info "$data/models/sit24"
expect 0 '"model_type": "sit"' info "$data/models/sit24" --json
expect 0 "" sample "$model" $fast --class 1
made ditcl.png
expect 2 "PNG" sample "$model" --out out
expect 2 "PNG" sample "$model" --out notes.txt
expect 0 "" sample "$model" $fast --class 0,1 -n 2 --out sheet.png --latents-out l.npy
made sheet.png l.npy
expect 0 "" sample "$model" $fast --class 0 --class 1 --out 'p-%03d.png'
made p-000.png p-001.png
expect 0 "" sample "$model" $fast --class all --out folder
made folder/000000.png folder/000001.png folder/000002.png folder/000003.png folder/000004.png
expect 0 "" decode "$model" -q --latents "$data/models/separate48-z.npy" --out d.npy
made d.npy
expect 0 "" decode "$model" -q --latents "$data/models/separate48-z.npy" --out d.png
made d.png
expect 2 "applies only to pictures" decode "$model" --latents "$data/models/separate48-z.npy" --out e.npy --compat original
touch keep/notes.txt
expect 2 "replaces only .npy files" sample "$model" --class 1 --latents-out keep/notes.txt
expect 2 "replaces only .npy files" encode "$pictures/initial.png" keep/notes.txt --vae "$model"
expect 2 "--seed ... --sample" encode "$pictures/initial.png" a.npy --vae "$model" --seed 1
expect 2 "--rng ... --sample" encode "$pictures/initial.png" a.npy --vae "$model" --rng torch-cuda
expect 2 "torch-cpu, torch-cpu-scalar" encode "$pictures/initial.png" a.npy --vae "$model" --sample --rng cuda
for rng in torch-cpu torch-cuda; do
    expect 0 "" encode "$pictures/initial.png" keep/$rng.npy --vae "$model" --sample --rng $rng -q
done
cmp -s keep/torch-cpu.npy keep/torch-cuda.npy && problem "encode --rng: two generators give the same latents"
expect 0 "PSNR" encode "$pictures/initial.png" a.npy --vae "$model"
made a.npy
expect 0 "" encode "$pictures/png/grey.png" a.npy --vae "$model" --fit --sample --seed 3 -q
[ -s out ] && problem "encode -q says: $(cat out)"
expect 0 "" decode "$model" -q --latents a.npy --out a.png
made a.npy a.png
expect 0 "" sample "$model" --steps 4 -q --class 1,2 --image "$pictures/png/scaled.png" --fit --strength 0.5
made ditcl.png
expect 0 "" sample "$model" $fast --class 1,2 -n 2 --image "$pictures/initial.png" --mask "$pictures/mask.png" --out folder
made folder/000000.png folder/000001.png folder/000002.png folder/000003.png
expect 0 "" sample "$model" $fast --class 1,4 --interpolate 5 --seed-to 4 --out folder
made folder/000000.png folder/000001.png folder/000002.png folder/000003.png folder/000004.png
DITCL_DEVICE=cpu expect 0 "" sample "$model" $fast --class 1
made ditcl.png
DITCL_MODELS=$data/models expect 0 "" sample separate48 $fast --class 1
made ditcl.png

# ditcl bench: names, FLOP and a complete page, but no times
judge=$(dirname "$data")/bench.py
ln -s "$model" 'keep/a <b>&"c'
expect 0 "" bench 'keep/a <b>&"c' -v --json --repeat 1 --precision fp32 --html page.html
if python3 "$judge" report out page.html 'keep/a <b>&"c'; then passed=$((passed + 1)); else
    problem "ditcl bench --json --html"
fi
made page.html
cp out keep/all.json
expect 0 "" bench "$model" --json --repeat 1 --precision fp32 --only "$(python3 "$judge" names keep/all.json)"
if python3 "$judge" same keep/all.json out; then passed=$((passed + 1)); else
    problem "ditcl bench --only with every name"
fi

# the same command draws the same bits, also in other batches
"$ditcl" sample "$model" $fast --class all -n 3 --latents-out keep/a.npy --out keep/a.png
"$ditcl" sample "$model" $fast --class all -n 3 --latents-out keep/b.npy --out keep/b.png
cmp -s keep/a.npy keep/b.npy && cmp -s keep/a.png keep/b.png || problem "two runs differ"
"$ditcl" sample "$model" $fast --class all -n 3 --batch 4 --latents-out keep/b.npy --out keep/b.png
cmp -s keep/a.npy keep/b.npy || problem "latents depend on the batch"

# the text of a picture
expect 0 "" sample "$model" -q --steps 6 --class 1,3 -n 2 --seed 9 --sampler ddim --eta 0.25 --cfg 2.5 \
    --cfg-channels 3 --guidance-interval 100,900 --rng torch-cuda --out keep/n.png
said="seed 9 of torch-cuda, steps 6, sampler ddim, eta 0.25, cfg 2.5 of 3 channels from 100 to 900, "
# in brackets: what ran, if it was not only fp32
grep -qaE "${said}diffusers arithmetic, precision auto( \([a-z0-9, A-Z]+\))?, device" keep/n.png || problem "notes: $(strings keep/n.png | grep model)"
grep -qaF "; class 1 3, 2 pictures of each" keep/n.png || problem "notes: $(strings keep/n.png | grep model)"
expect 0 "" sample "$data/models/sit24" -q --steps 3 --class 1 --sampler sde --diffusion linear --out keep/n.png
grep -qaF "model sit24, SiT, path GVP, prediction velocity, seed 0, steps 3, sampler sde, diffusion linear" keep/n.png ||
    problem "notes: $(strings keep/n.png | grep model)"
expect 0 "no step's timestep is in it" sample "$model" --steps 2 --class 1 --guidance-interval 600,700 --out keep/n.png
expect 0 "--cfg 1 guides nothing" sample "$model" --steps 2 --class 1 --guidance-interval 0,999 --cfg 1 --out keep/n.png

# noise that is written and read again draws the same; generators differ; two GPUs with enough threads
# for all values draw the same
noisy="$model --steps 4 -q --class 1,2 --sampler ddpm --out keep/n.png"
expect 0 "" sample $noisy --seed 3 --noise-out keep/noise.npy --latents-out keep/n1.npy
expect 0 "" sample $noisy --seed 3 --noise-in keep/noise.npy --rng torch-cuda --latents-out keep/n2.npy
cmp -s keep/n1.npy keep/n2.npy && problem "two generators draw the same initial noise"
"$ditcl" sample "$model" --steps 4 -q --class 1,2 --sampler ddim --latents-in keep/n2.npy --noise-out keep/none.npy \
    --latents-out keep/n1.npy --out keep/n.png
[ "$(tail -c +129 keep/none.npy | tr -d '\0' | wc -c)" -eq 0 ] || problem "--noise-out: noise of steps that add none"
expect 0 "" sample $noisy --latents-in keep/n2.npy --noise-in keep/noise.npy --latents-out keep/n3.npy
expect 0 "" sample $noisy --latents-in keep/n2.npy --seed 7 --rng torch-cuda:2 \
    --noise-in keep/noise.npy --noise-out keep/again.npy --latents-out keep/n4.npy
cmp -s keep/n3.npy keep/n4.npy || problem "--noise-in: other latents"
cmp -s keep/noise.npy keep/again.npy || problem "--noise-out differs from --noise-in"
expect 0 "" sample $noisy --rng torch-cuda --latents-out keep/n1.npy
expect 0 "" sample $noisy --rng torch-cuda:108x1536 --latents-out keep/n2.npy
cmp -s keep/n1.npy keep/n2.npy || problem "two GPUs with enough threads draw other noise"
expect 0 "" sample $noisy --rng torch-cuda:1x256 --latents-out keep/n2.npy
cmp -s keep/n1.npy keep/n2.npy && problem "a GPU with few threads draws the same noise"
expect 0 "" sample $noisy --rng torch-cpu-scalar --latents-out keep/n2.npy

# inversion: latents -> noise -> latents. SiT models: a folder, a file with options, converted files
there="--class 1 --cfg 1 -q"
emoji=$(dirname "$data")/../models/emoji
expect 0 "" sample "$emoji" $there --sampler ddim --latents-out keep/emoji-in.npy --out keep/b.png
cp "$data/models/sit24-in.npy" keep
for way in "$emoji --sampler ddim --steps 100" "$data/models/sit24 --sampler heun --steps 60"; do
    from=keep/$(basename "${way%% *}")-in.npy
    expect 0 "" sample $way $there --invert --latents-in "$from" --latents-out keep/noise.npy
    [ -e ditcl.png ] && problem "--invert made a picture"
    expect 0 "" sample $way $there --latents-in keep/noise.npy --latents-out keep/back.npy --out keep/b.png
    if ! python3 "$(dirname "$data")/near.py" keep/back.npy "$from" 0.05; then
        problem "inverted and sampled: other latents with $way"
    fi
done
sit=$data/models/original64.safetensors single="--vae $data/models/original64-vae.safetensors --heads 1"
expect 0 "" sample "$sit" $single --class 1 -q --model-type sit --path GVP --sampler sde --latents-out keep/s1.npy --out keep/b.png
expect 0 "" convert "$sit" keep/sit $single --model-type sit --path GVP
expect 0 "" sample keep/sit --class 1 -q --sampler sde --latents-out keep/s2.npy --out keep/b.png
cmp -s keep/s1.npy keep/s2.npy || problem "a converted SiT: other latents"
expect 0 "" convert keep/sit keep/sit.safetensors
expect 0 "" sample keep/sit.safetensors --vae keep/sit --class 1 -q --sampler sde --latents-out keep/s2.npy --out keep/b.png
cmp -s keep/s1.npy keep/s2.npy || problem "a SiT converted twice: other latents"

# convert: bad arguments, existing outputs, conversion and back
original=$data/models/original64.safetensors
expect 2 "IN is missing" convert
expect 1 "no such model" convert nothing keep/new
expect 2 "only .safetensors" convert "$original" new.pt
expect 2 "holds no VAE" convert "$original" new.safetensors $single
expect 1 "folder nowhere" convert "$original" nowhere/new $single
mkdir keep/full keep/empty && touch keep/full/file && ln -s nowhere keep/link
expect 1 "not empty" convert "$original" keep/full $single
expect 1 "new folder's name" convert "$original" keep/link $single
expect 1 "new folder's name" convert "$original" keep/empty/. $single
expect 0 "" convert "$original" keep/there $single
cp "$original" keep/same.safetensors && ln keep/same.safetensors keep/linked.safetensors
expect 2 "is the input file" convert keep/same.safetensors keep/linked.safetensors --heads 1
# a limit of the file size, like a full disk: the message names the output, and no file is left
(
    failed=0
    ulimit -f 64
    trap '' XFSZ
    expect 1 "keep/large/transformer/diffusion_pytorch_model.safetensors ... File too large" \
        convert "$original" keep/large $single
    expect 1 "keep/large.safetensors: cannot write" convert keep/there keep/large.safetensors
    exit $failed
) || failed=$((failed + $?))
[ -z "$(find keep -name '*large*')" ] || problem "left $(find keep -name '*large*')"
# a scheduler's configuration without a class: info does not need it, convert does
cp -r keep/there keep/classless
echo '{"beta_end": 0.02}' >keep/classless/scheduler/scheduler_config.json
sed -i 's/"DDIMScheduler"/null/' keep/classless/model_index.json
expect 0 "" info keep/classless
expect 1 "_class_name is missing" convert keep/classless keep/new
expect 1 "_class_name is missing" convert keep/classless keep/new.safetensors
echo '[' >keep/classless/scheduler/scheduler_config.json
expect 1 "scheduler ... byte" convert keep/classless keep/new
# fp16 queries and fp32 keys: the tensor that joins them is fp32
python3 - "$data/models/plain32" keep/mixed <<'END'
import json, os, shutil, struct, sys
shutil.copytree(*sys.argv[1:])
path = sys.argv[2] + "/transformer/diffusion_pytorch_model.safetensors"
data = open(path, "rb").read()
end = 8 + struct.unpack("<Q", data[:8])[0]
header, values = json.loads(data[8:end]), data[end:]
out, blob = {}, b""
for name, entry in header.items():
    if name == "__metadata__": continue
    piece = values[slice(*entry["data_offsets"])]
    if "to_q" in name:
        n = len(piece) // 4
        piece, entry["dtype"] = struct.pack(f"<{n}e", *struct.unpack(f"<{n}f", piece)), "F16"
    out[name] = {**entry, "data_offsets": [len(blob), len(blob) + len(piece)]}
    blob += piece
text = json.dumps(out).encode()
open(path, "wb").write(struct.pack("<Q", len(text)) + text + blob)
END
expect 0 "" convert keep/mixed keep/mixed.safetensors
head -c 100000 keep/mixed.safetensors | grep -qa '"blocks.0.attn.qkv.weight":{"dtype":"F32"' ||
    problem "convert: fp32 keys became fp16"
expect 0 "" convert keep/there keep/back.safetensors
expect 0 "" convert keep/back.safetensors keep/again --vae keep/there
cmp -s keep/{there,again}/transformer/diffusion_pytorch_model.safetensors ||
    problem "converted and back: another transformer"
cmp -s keep/{there,again}/vae/diffusion_pytorch_model.safetensors ||
    problem "converted and back: another VAE"
# a tensor of the encoder with an odd shape: kept as it is
python3 - "$data/models/original64-vae.safetensors" keep/odd.safetensors <<'END'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
end = 8 + struct.unpack("<Q", data[:8])[0]
header, values = json.loads(data[8:end]), data[end:]
header["encoder.mid_block.attentions.0.to_q.weight"] = {
    "dtype": "F32", "shape": [4, 4, 3, 3], "data_offsets": [len(values), len(values) + 576]}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + values + bytes(576))
END
expect 0 "" convert "$original" keep/odd --vae keep/odd.safetensors --heads 1
expect 0 "a bare VAE: 32 groups" decode "$data/models/original64-vae.safetensors" -v --latents "$data/models/separate48-z.npy" --out keep/b.png
expect 0 "" info keep/odd

# one VAE in diffusers' layout, in Latent Diffusion's, and inside a Stable Diffusion file
for vae in models/plain32 checkpoints/vae/latent-diffusion.safetensors \
    checkpoints/vae/stable.ckpt; do
    expect 0 "" decode "$data/$vae" --latents "$data/models/plain32-z.npy" --out keep/vae.npy -q
    [ -e keep/vae1.npy ] || cp keep/vae.npy keep/vae1.npy
    cmp -s keep/vae.npy keep/vae1.npy || problem "$vae: another picture"
done

# the same latents with stored programs, without the cache, with two processes that build at once, and
# with damaged stored programs
[ -n "$(ls keep/cache/ditcl)" ] || problem "no program was stored"
"$ditcl" sample "$model" $fast --class all -n 3 --no-cache --latents-out keep/b.npy --out keep/b.png
cmp -s keep/a.npy keep/b.npy || problem "latents depend on the cache"
rm -r keep/cache/ditcl
for i in 1 2; do
    "$ditcl" sample "$model" $fast --class all -n 3 --latents-out keep/t$i.npy --out keep/t$i.png &
done
wait
for i in 1 2; do cmp -s keep/a.npy keep/t$i.npy || problem "two processes at once: other latents"; done
for file in keep/cache/ditcl/*; do printf 'x' | dd of="$file" bs=1 seek=100 conv=notrunc 2>err; done
expect 0 "built anew: " sample "$model" --steps 2 -v --class all -n 3 --latents-out keep/b.npy --out keep/b.png
cmp -s keep/a.npy keep/b.npy || problem "latents depend on a damaged cache"
XDG_CACHE_HOME=/proc POCL_CACHE_DIR=$work/keep/pocl expect 0 "not stored" sample "$model" --steps 2 -v --class 1 --out keep/b.png
env -u XDG_CACHE_HOME -u HOME "$ditcl" sample "$model" $fast --class 1 --out keep/b.png ||
    problem "without HOME: exit code $?"

# the first use measures once; a damaged store is named and ignored. In fp32, because with other
# arithmetic some CPUs have only one configuration
fp32="--steps 2 --precision fp32 --out keep/b.png"
"$ditcl" sample "$model" $fp32 -q --class all -n 3 --latents-out keep/a.npy
unset DITCL_FIT
expect 0 "measuring once" sample "$model" $fp32 --class all -n 3 --latents-out keep/b.npy
cmp -s keep/a.npy keep/b.npy || problem "latents depend on the measured configuration"
expect 0 "" sample "$model" $fp32 --class 1
grep -q measuring err && problem "measured twice: $(cat err)"
for file in keep/config/ditcl/devices/*.conf; do echo "tune gemm" >>"$file"; done
expect 0 "ignored: no such implementation" sample "$model" $fp32 --class 1
expect 0 "" sample "$model" $fp32 --class 1 -q
[ -s err ] && problem "-q says: $(cat err)"
export DITCL_FIT=off

# Ctrl-C: ends soon (the limit allows for a busy machine) with 130, and leaves no file
for wait in 0.2 1; do
    "$ditcl" sample "$model" --class all -n 50 --steps 1000 -q --out folder 2>err &
    pid=$!
    sleep $wait
    start=$(date +%s%N)
    kill -INT $pid
    wait $pid
    code=$?
    spent=$((($(date +%s%N) - start) / 1000000))
    [ $code -eq 130 ] || problem "interrupted after $wait s: exit code $code, expected 130"
    [ $spent -lt 5000 ] || problem "interrupted after $wait s: left after $spent ms"
    [ -z "$(ls -A folder)" ] || problem "interrupted after $wait s: left $(ls -A folder)"
done

finish
