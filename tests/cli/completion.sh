#!/bin/bash
# Completion: what the program offers for a word, and that bash, zsh and fish show it.
# usage: tests/cli/completion.sh PATH/ditcl
source "$(dirname "$0")/expect.sh"

export DITCL_MODELS=$work/keep/models HF_HOME=$work/keep/hub PATH=$(dirname "$ditcl"):$PATH
unset HF_HUB_CACHE HUGGINGFACE_HUB_CACHE
mkdir -p keep/models keep/hub/hub/models--some--net
cp -r "$data/models/plain32" keep/models/
sed -i 's/.*/{"_class_name": "DiTPipeline", "id2label": {"0": "cat face", "1": "dog, hound", "2": "heart"}}/;2,$d' \
    keep/models/plain32/model_index.json

# offers "CANDIDATE..." WORD...: exactly these candidates, of which + ends the list if there may be more
offers()
{
    local wanted=$1 got
    shift
    got=$("$ditcl" --complete "$@" 2>&1 | cut -f 1 | tr '\n' ' ')
    case "$wanted" in
    *+) case "$got" in "${wanted%+}"*) passed=$((passed + 1)) ;; *) problem "$* offers $got" ;; esac ;;
    *) if [ "$got" = "$wanted " ]; then passed=$((passed + 1)); else problem "$* offers $got"; fi ;;
    esac
}

offers "sample" sa
offers "decode devices" de
offers "decode devices" help de
offers "--version" --v
offers "--cfg --cfg-channels" sample plain32 --cfg
offers "ddpm ddim dpm++" sample plain32 --sampler d
offers "--sampler=ddpm --sampler=ddim --sampler=dpm++" sample --sampler=d
offers "ddpm ddim dpm++" sample --sampler = d
offers "plain32 :files" sample pl
offers "some/net :files" info some
offers "cat face" sample plain32 --class ca
offers "dog" sample --seed 3 plain32 -c DO
offers "cat,heart" sample plain32 --class cat,he
offers "all" sample plain32 --class al
offers ":files" sample plain32 --out pic
offers ":files" convert keep
offers "DiT-XL/2 DiT-XL/4 DiT-XL/8+" info --arch DiT-XL
offers "0+" sample plain32 --device ""
offers "fish" completion f
got=$("$ditcl" --complete nonsense x; "$ditcl" --complete; "$ditcl" --complete sample none -c x)
if [ -z "$got" ]; then passed=$((passed + 1)); else problem "nonsense offers $got"; fi

expect 0 "_ditcl" completion bash
expect 2 "tcsh ... bash, zsh or fish" completion tcsh
expect 2 "SHELL is missing" completion

# shows SHELL "PART" GOT
shows()
{
    case "$3" in *"$2"*) passed=$((passed + 1)) ;; *) problem "$1 shows \"$3\", not \"$2\"" ;; esac
}

for shell in bash zsh fish; do "$ditcl" completion $shell >keep/$shell; done
touch keep/picture.npy

in_bash()
{
    bash -c 'source keep/bash; compopt() { :; }; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _ditcl "$1" "${!#}"; printf "%s|" "${COMPREPLY[@]}"' bash "$@"
}
shows bash "sample|" "$(in_bash ditcl sa)"
shows bash "cat\\ face|" "$(in_bash ditcl sample plain32 --class ca)"
shows bash "keep/picture.npy|" "$(in_bash ditcl decode plain32 --latents keep/pict)"

if command -v fish >/dev/null; then
    in_fish() { HOME=$work/keep fish --no-config -c "source keep/fish; complete -C '$1'"; }
    shows fish "sample	draw pictures of classes" "$(in_fish 'ditcl sa')"
    shows fish "cat face" "$(in_fish 'ditcl sample plain32 --class ca')"
    shows fish "keep/picture.npy" "$(in_fish 'ditcl decode plain32 --latents keep/pict')"
else
    echo "*** SKIPPED: completion in fish is not tested: apt install fish ***" >&2
fi

# zsh completes only in a terminal, which its module zpty makes
if command -v zsh >/dev/null && zsh -fc 'zmodload zsh/zpty' 2>/dev/null; then
    mkdir keep/functions && cp keep/zsh keep/functions/_ditcl
    # in_zsh LINE: the line after the tab key, as the terminal shows it
    in_zsh()
    {
        zsh -fc 'zmodload zsh/zpty; zpty it zsh -f -i
            zpty -w it "PS1=; fpath=($PWD/keep/functions \$fpath); autoload -U compinit; compinit -D -u"
            zpty -w it "echo ready"; zpty -r it seen "*ready*ready*"
            zpty -n -w it "$1"$'"'\\t'"'; sleep ${2:-2}; zpty -n -w it $'"'\\x01'"'"echo >keep/line "$'"'\\n'"'
            sleep 1; zpty -d it' zsh "$1"
        cat keep/line 2>/dev/null
    }
    shows zsh "ditcl sample" "$(in_zsh 'ditcl sa')"
    shows zsh "cat face" "$(in_zsh 'ditcl sample plain32 --class ca')"
    shows zsh "keep/picture.npy" "$(in_zsh 'ditcl decode plain32 --latents keep/pict')"
else
    echo "*** SKIPPED: completion in zsh is not tested: apt install zsh ***" >&2
fi
finish
