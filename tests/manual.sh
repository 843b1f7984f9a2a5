#!/bin/sh
# The manual pages are ones that man renders without a warning, and have every key and every option; the completions
# are ones that the shells read.
#
#     tests/manual.sh DIRECTORY PROGRAM
#
# DIRECTORY is what examples/manual has written; PROGRAM is ytcanal, whose help it is compared with.
set -eu
directory=$1 program=$2
here=$(dirname "$(realpath "$0")")/..
export LC_ALL=C.UTF-8 MANWIDTH=120 MAN_KEEP_FORMATTING=

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

render() {
  man --warnings --local-file "$1" 2> "$directory/warnings" | col -bx
}

count=0
for page in "$directory"/man/*; do
  text=$(render "$page")
  warnings=$(cat "$directory/warnings")
  [ -z "$warnings" ] || fail "$page: man warns:" "$warnings"
  case $text in *NAME*) ;; *) fail "$page has no NAME" ;; esac
  count=$((count + 1))
done
[ "$count" -ge 8 ] || fail "only $count manual pages"

text=$(render "$directory/man/ytcanal.toml.5")
# shellcheck disable=SC2013 # A key has no spaces.
for key in $(sed -n 's/^#\([a-z_]*\) = .*/\1/p; s/^\(\[[a-z]*\]\)$/\1/p' "$here/config/ytcanal.toml"); do
  case $text in *"$key"*) ;; *) fail "ytcanal.toml.5 lacks $key" ;; esac
done

# Prints the options that begin a line of a help or a page, with their short forms and values.
options() {
  sed -nE 's/^ +((-[A-Za-z], )?--[a-z-]+( <[A-Z,.]+>)?).*/\1/p'
}

# Prints the commands below a command.
commands_below() {
  "$program" "$@" --help | sed -nE '/^Commands:$/,/^$/s/^  ([a-z-]+) .*/\1/p' | sed '/^help$/d'
}

# A page has the options of the help: compare PAGE COMMAND...
compare() {
  page=$1
  shift
  render "$directory/man/$page" | options > "$directory/options"
  "$program" "$@" --help | options > "$directory/help"
  [ -s "$directory/help" ] || fail "the help of $page has no options"
  lacking=$(grep -vxF -f "$directory/options" "$directory/help" || true)
  [ -z "$lacking" ] || fail "$page lacks $lacking"
  compared=$((compared + 1))
}

compared=0
compare ytcanal.1
for command in $(commands_below); do
  compare "ytcanal-$command.1" "$command"
  for below in $(commands_below "$command"); do
    compare "ytcanal-$command-$below.1" "$command" "$below"
  done
done
# The page that is left is that of the configuration.
[ "$compared" -eq $((count - 1)) ] || fail "$compared of $count manual pages have a help"
text=$(render "$directory/man/ytcanal-get.1")
for section in OUTPUT 'EXIT STATUS' EXAMPLES; do
  printf '%s\n' "$text" | grep -qx "$section" || fail "ytcanal-get.1 has no $section"
done
case $(render "$directory/man/ytcanal.1") in
  *'  /mux?video=URL&audio=URL         two media files joined'*) ;;
  *) fail 'the table of endpoints in ytcanal.1 is not as the help has it' ;;
esac

# What clap_complete writes has words that are to be split.
shellcheck --shell=bash --exclude=SC2207 "$directory/completions/ytcanal.bash"
zsh -n "$directory/completions/_ytcanal"
fish --no-execute "$directory/completions/ytcanal.fish"

# Completes what bash hands over, and prints the candidates.
complete_in_bash() {
  bash -c '
    . "$1/completions/ytcanal.bash"; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _ytcanal ytcanal "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[@]}"' bash "$directory" "$@"
}
found=$(complete_in_bash ytcanal ch)
[ "$found" = check ] || fail "bash completes 'ch' to '$found'"
found=$(complete_in_bash ytcanal token new --pag)
[ "$found" = --pages-per-hour ] || fail "bash completes '--pag' to '$found'"
echo "$count manual pages, and completions for bash, zsh and fish"
